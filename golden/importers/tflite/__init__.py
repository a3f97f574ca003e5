# SPDX-License-Identifier: Apache-2.0
"""From a .tflite file to a float model, or to an integer-only LSTM."""
