# SPDX-License-Identifier: Apache-2.0
"""A board as a program: its top level in Verilator, its serial line behind a pseudo-terminal."""
