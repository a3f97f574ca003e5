# SPDX-License-Identifier: Apache-2.0
"""The MAC array: weights times deltas, summed by rows."""
