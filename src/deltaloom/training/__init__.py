# SPDX-License-Identifier: Apache-2.0
"""Training a quantized delta network with PyTorch, the extra `torch`; docs/training.md.

`options` and `result` work without it.
"""
