# SPDX-License-Identifier: Apache-2.0
"""A mapped netlist simulated: every word against golden, and how often each net switches."""
