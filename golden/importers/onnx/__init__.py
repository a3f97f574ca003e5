# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are ONNX graphs."""
