# SPDX-License-Identifier: Apache-2.0
"""The lists in which events stand until every group of rows has replayed them."""
