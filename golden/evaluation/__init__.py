# SPDX-License-Identifier: Apache-2.0
"""Figures of merit, and the delta thresholds that they choose."""
