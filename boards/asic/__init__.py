# SPDX-License-Identifier: Apache-2.0
"""Standard cells: from a network to a mapped netlist, its area, timing and energy."""
