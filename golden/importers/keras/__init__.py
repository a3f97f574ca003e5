# SPDX-License-Identifier: Apache-2.0
"""The weight files of Keras."""
