# SPDX-License-Identifier: Apache-2.0
"""The ECP5 family: devices, clocks, synthesis, place and route, timing."""
