# SPDX-License-Identifier: Apache-2.0
"""From a quantized network to the smallest accelerator for it and its image."""
