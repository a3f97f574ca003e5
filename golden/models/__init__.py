# SPDX-License-Identifier: Apache-2.0
"""The float model and the quantized network: what they are made of, and their files."""
