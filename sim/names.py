# SPDX-License-Identifier: Apache-2.0
"""Names that a simulation's processes share; importing them costs nothing."""

TOP = "deltaloom"
"""Name of the generated top module."""
BENCH = "deltaloom.sim.cocotb_bench"
"""The module of the bench."""
PLUSARG = "deltaloom_job"
"""The simulator's plusarg that names the job's folder."""
