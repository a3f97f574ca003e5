# SPDX-License-Identifier: Apache-2.0
"""The iCE40 UltraPlus family: devices, clocks, weights in SPRAM, synthesis, place and route."""
