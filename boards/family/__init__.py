# SPDX-License-Identifier: Apache-2.0
"""What an FPGA family does for the build flow, and what it answers; no family in particular."""
