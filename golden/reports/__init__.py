# SPDX-License-Identifier: Apache-2.0
"""What a quantization, a tuning and an evaluation look like."""
