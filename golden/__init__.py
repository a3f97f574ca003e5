# SPDX-License-Identifier: Apache-2.0
"""The golden model: arithmetic, networks, quantization and metrics in NumPy; never imports hw."""
