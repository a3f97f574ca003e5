# SPDX-License-Identifier: Apache-2.0
"""The cycle model against the core in Verilator: the error of its cycles per step, in percent.

The model knows how many elements fire in a step and not which ones; beats must agree exactly.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure
from peers import INPUTS, ar1_frames, noise_frames
from speech import TUNED, speech_network, test_frames

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.testing.core_in_verilator import measure_core

COMMAND = "make bench ARGS=models"
TARGET = 2.0
"""Percent."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network, its frames, and the options of its configuration."""

    name: str
    network: Network
    frames: Ints
    options: dict[str, Any] = field(default_factory=dict)


def figures(work: Path, *, steps: int) -> Iterator[Figure]:
    """The errors, and how long a thousand steps of the shipped LSTM take the model."""
    for case in cases(steps):
        config = derive_config(case.network, **case.options)
        found = measure_core(case.network, [case.frames], config, work)
        start = time.perf_counter()
        model = estimate_cycles(case.network, config, [found.results[0].events])
        seconds = (time.perf_counter() - start) * 1000 / len(case.frames)
        if model.beats != found.beats:
            raise SystemExit(f"{case.name}: {model.beats} beats, measured {found.beats}")
        measured = found.cycles_per_step
        yield Figure(
            name=f"cycle model, {case.name}: error",
            value=round(100 * abs(model.cycles_per_step / measured - 1), 2),
            unit="%",
            reference=round(measured, 1),
            reference_is=f"cycles per step measured, {model.cycles_per_step:.1f} predicted",
            target=TARGET,
            at_most=True,
            command=COMMAND,
        )
        if case.name.startswith("speech lstm, Θ = 0"):
            yield Figure(
                name=f"cycle model, {case.name}: a thousand steps",
                value=round(seconds, 2),
                unit="s",
                command=COMMAND,
            )


def cases(steps: int) -> Iterator[Case]:
    """The shipped networks; GRUs of random weights, dense and sparse; several cell units."""
    for cell, tuned in TUNED.items():
        network = speech_network(cell)
        frames = test_frames(network, steps)[0]
        for threshold in (0, tuned):
            yield Case(
                f"speech {cell}, Θ = {threshold}, 256-bit words",
                uniform_thresholds(network, threshold),
                frames,
                {"word_bits": 256},
            )
    smooth, still = ar1_frames(steps, INPUTS), np.zeros((steps, INPUTS), np.int64)
    narrow = {"word_bits": 64}
    yield Case("GRU 40 -> 128, dense", _gru(0, 128), noise_frames(8, INPUTS), narrow)
    for units in (64, 128):
        for threshold in (8, 20, 40, 80):
            name = f"GRU 40 -> {units}, Θ = {threshold}, smooth"
            yield Case(name, _gru(threshold, units), smooth, narrow)
    yield Case("GRU 40 -> 128, no events", _gru(255, 128), still, narrow)
    for threshold in (40, 120):
        for count in (1, 2, 4):
            yield Case(
                f"GRU 40 -> 768 -> 768, Θ = {threshold}, smooth, {count} cell units",
                _gru(threshold, 768, 768),
                smooth[:20],
                narrow | _several(count),
            )
    for threshold in (0, 40):
        yield Case(
            f"GRU 40 -> 256 -> 256, Θ = {threshold}, 512-bit words",
            _gru(threshold, 256, 256),
            smooth,
            {"word_bits": 512},
        )


def _gru(threshold: int, *units: int) -> Network:
    return make_network([("gru", n) for n in units], INPUTS, seed=1, threshold=threshold)


def _several(count: int) -> dict[str, int]:
    return {"cell_units": count, "input_elements": count, "output_elements": count}
