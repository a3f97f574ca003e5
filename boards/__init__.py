# SPDX-License-Identifier: Apache-2.0
"""FPGA boards: their facts, and the way from a network to a bitstream.

`board` says what a fact is, `registry` finds the boards, every other module here is a board. `flow`
builds and reports, `family` is what it asks an FPGA family, `ecp5` the family there is, `uart` the
serial bridge in each top level, `tools` runs programs.
"""
