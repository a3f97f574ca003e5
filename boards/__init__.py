# SPDX-License-Identifier: Apache-2.0
"""FPGA boards: top levels, the open toolchain, and reports of area, clock and latency."""
