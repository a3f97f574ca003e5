# SPDX-License-Identifier: Apache-2.0
"""The accelerator in Amaranth, and the compiler from a quantized network to its image."""
