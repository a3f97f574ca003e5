# SPDX-License-Identifier: Apache-2.0
"""The integer-only LSTM of Li and Alvarez (2021), as LiteRT runs it: docs/integer-lstm.md."""
