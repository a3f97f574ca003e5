# SPDX-License-Identifier: Apache-2.0
"""Data sets that a user has: TIMIT."""
