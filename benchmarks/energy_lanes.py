# SPDX-License-Identifier: Apache-2.0
"""Lanes of either kind in standard cells, at 8, 4 and 2 bits: area and energy."""

from collections.abc import Iterator
from pathlib import Path

from energy_cases import (
    DELTA,
    LIBRARY,
    SPEECH,
    Case,
    Measured,
    measure,
)
from figures import Figure

from deltaloom.boards.asic.libraries import find_technology
from deltaloom.golden.data import Dataset
from deltaloom.golden.delta import EXACT, POWER_OF_TWO

COMMAND = "make bench ARGS=energy-lanes"


def _delta(bits: int, kind: str, mode: str) -> Case:
    return Case(
        cell="gru",
        units=8,
        weight_bits=bits,
        lanes=2,
        lane_kind=kind,
        delta_mode=mode,
        stimuli=(DELTA,),
    )


CASES = (
    *(_delta(bits, "multiplier", EXACT) for bits in (8, 4, 2)),
    _delta(8, "shift_add", EXACT),
    *(_delta(bits, "shift_add", POWER_OF_TWO) for bits in (8, 2, 4)),
)
"""Powers of two are what lanes of shifts and adds take a cycle for; exact deltas take several."""


def figures(work: Path) -> Iterator[Figure]:
    """Of each kind and width the lanes' area, and the energy of the lanes and of all."""
    data = Dataset.load(SPEECH / "test.npz")
    corner = find_technology(LIBRARY, workdir=work).library.corner
    for case in CASES:
        for stimulus in case.stimuli:
            measured = measure(case, stimulus, data, work)
            yield from _figures(f"{case}, {stimulus}, {corner}", measured)


def _figures(name: str, measured: Measured) -> Iterator[Figure]:
    rows = (
        ("lanes' area", 1e6 * measured.area_mm2["lanes"], "um2"),
        ("area", sum(measured.area_mm2.values()), "mm2"),
        ("cycles a frame", measured.cycles, ""),
        ("lanes' energy a frame", 1e9 * measured.parts["lanes"].total, "nJ"),
        ("fetch's energy a frame", 1e9 * measured.parts["fetch"].total, "nJ"),
        ("Fmax", measured.fmax_mhz, "MHz"),
        ("energy a frame", 1e9 * measured.total, "nJ"),
    )
    for what, value, unit in rows:
        yield Figure(name=f"{name}: {what}", value=round(value, 3), unit=unit, command=COMMAND)
