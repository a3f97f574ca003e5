# SPDX-License-Identifier: Apache-2.0
"""Utilisation of every cell at threshold 0, in the core alone; see README.md here."""

from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from peers import ideal_cycles, noise_frames

from deltaloom.golden.cells import CELLS
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.testing.core_in_verilator import measure_core

INPUTS, UNITS, WORD_BITS, STEPS = 40, 128, 256, 8
TARGET = 0.95


def figures(work: Path) -> Iterator[Figure]:
    """Two layers of each cell on white noise, so that nearly every delta is sent."""
    for cell in CELLS:
        # A "sru" layer adds its input to its output, so one of another kind makes them as many.
        front = [("linear", UNITS)] if CELLS[cell].reads_input else []
        network = make_network([*front, (cell, UNITS), (cell, UNITS)], INPUTS, seed=1)
        config = derive_config(network, word_bits=WORD_BITS)
        found = measure_core(network, [noise_frames(STEPS, INPUTS)], config, work)
        ideal = ideal_cycles(network, found.results[0], WORD_BITS, config.cell_units)
        yield Figure(
            name=f"{cell} 40 -> 128 -> 128, {WORD_BITS}-bit words, threshold 0: utilisation",
            value=round(ideal / found.cycles_per_step, 4),
            unit="",
            reference=round(ideal, 1),
            reference_is=f"ideal cycles per step, {found.cycles_per_step:.1f} measured",
            target=TARGET,
            command="make bench ARGS=cells",
        )
