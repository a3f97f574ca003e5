# SPDX-License-Identifier: Apache-2.0
"""Files of LiteRT (.tflite): what of their schema is needed, read within limits, and written."""
