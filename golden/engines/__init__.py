# SPDX-License-Identifier: Apache-2.0
"""Running a network over sequences: integer, dense or delta, and float."""
