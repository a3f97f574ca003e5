# SPDX-License-Identifier: Apache-2.0
"""Searching bits, thresholds and hardware options for several objectives at once."""
