# SPDX-License-Identifier: Apache-2.0
"""Readers of checkpoints: tensors by name, ONNX graphs, Keras weights."""
