# SPDX-License-Identifier: Apache-2.0
"""Test helpers: components and whole cores driven without the product's cocotb bench."""
