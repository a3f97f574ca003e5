# SPDX-License-Identifier: Apache-2.0
"""Simulation of the generated Verilog against golden, in cocotb on Icarus and Verilator."""
