# SPDX-License-Identifier: Apache-2.0
"""Cycles over the ideal: the networks on which the best open delta-GRU accelerator was measured.

Random weights of the same shapes and smooth AR(1) inputs (0.98), 8 MACs a cycle at 8 bits. The peer
is EdgeDRNN (8 PEs, weight memory without latency). Both are compared at equal numbers of events:
one threshold for all paths, the lowest at which the array has no more to do than the peer's had.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.engines.engine import Result, run
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.testing.core_in_verilator import CoreCycles, measure_core

INPUTS = 40
COMMAND = "make bench ARGS=peers"


@dataclass(frozen=True, slots=True)
class Case:
    """units: of the stacked GRU layers. cycles, share: EdgeDRNN's cycles a step at its high
    threshold, and the part of its array's ideal that they reach. cell_units, target: ours.
    """

    units: tuple[int, ...]
    cycles: int
    share: float
    cell_units: tuple[int, ...] = (1,)
    target: float = 1.15

    @property
    def name(self) -> str:
        return " -> ".join(["GRU 40", *map(str, self.units)])


CASES = (
    Case((128,), 331, 0.56),
    Case((256, 256), 1761, 0.67),
    Case((768, 768), 3370, 0.11, (1, 2, 4), 1.25),
)
DENSE = (
    ("gru", (128,), 64, 1.02),
    ("gru", (256, 256), 64, 1.02),
    ("lstm", (128,), 64, 1.02),
    ("ligru", (128,), 64, 1.02),
    ("sru4", (128,), 64, 1.02),
    ("gru_before", (128,), 64, 1.02),
    ("gru", (256, 256), 512, 1.10),
    ("lstm", (256, 256), 512, 1.10),
)
"""Cell, units, word bits, target."""


def figures(work: Path, *, steps: int) -> Iterator[Figure]:
    """Cycles per step over the ideal, sparse and dense, and what depends on them."""
    for case in CASES:
        yield from _sparse(case, work, steps)
    for cell, units, word_bits, target in DENSE:
        network = make_network([(cell, n) for n in units], INPUTS, seed=1)
        what = f"{cell} 40 -> {' -> '.join(map(str, units))}, {word_bits}-bit words, dense"
        ratio, ideal, measured = _over_ideal(
            network, noise_frames(8, INPUTS), work, word_bits=word_bits
        )
        yield _figure(what, ratio, ideal, measured, target)
    yield from _without_events(work, steps)
    yield from _small(work, steps)
    yield from _narrow(work)


def _sparse(case: Case, work: Path, steps: int) -> Iterator[Figure]:
    network = make_network([("gru", n) for n in case.units], INPUTS, seed=1)
    frames = ar1_frames(steps, INPUTS)
    budget = case.cycles * case.share
    tuned = lowest_threshold(
        network, frames, lambda made, found: array_cycles(made, found, 64) <= budget
    )
    for units in case.cell_units:
        several = {"cell_units": units, "input_elements": units, "output_elements": units}
        ratio, ideal, measured = _over_ideal(tuned, frames, work, word_bits=64, **several)
        what = f"{case.name}, 64-bit words, {units} cell unit{'s' * (units > 1)}, smooth input"
        note = f"; peer {case.cycles}, {1 / case.share:.2f} x its array's ideal"
        yield _figure(what, ratio, ideal, measured, case.target, note)


def _without_events(work: Path, steps: int) -> Iterator[Figure]:
    """Frames that never change: only the cell units have work."""
    network = make_network([("gru", 128)], INPUTS, seed=1, threshold=255)
    frames = np.zeros((steps, INPUTS), np.int64)
    ratio, ideal, measured = _over_ideal(network, frames, work, word_bits=64)
    yield _figure("GRU 40 -> 128, no events", ratio, ideal, measured, 1.0)


def _small(work: Path, steps: int) -> Iterator[Figure]:
    network = make_network([("gru", 64)], INPUTS, seed=1)
    frames = ar1_frames(steps, INPUTS)
    columns = sum(path.columns for _, path in network.paths())

    def sparse(_: Network, found: Result) -> bool:
        return float(sum(e.mean() for e in found.events.values())) <= 0.13 * columns

    tuned = lowest_threshold(network, frames, sparse)
    _, dense_ideal, dense = _over_ideal(network, noise_frames(8, INPUTS), work, word_bits=64)
    _, ideal, measured = _over_ideal(tuned, frames, work, word_bits=64)
    yield Figure(
        name="GRU 40 -> 64, 87 % of deltas zero: part of the ideal speed-up over dense",
        value=round((dense / measured) / (dense_ideal / ideal), 4),
        unit="",
        reference=0.31,
        reference_is="a published chip; speed-up "
        f"{dense / measured:.2f} of {dense_ideal / ideal:.2f}",
        target=0.70,
        command=COMMAND,
    )


def _narrow(work: Path) -> Iterator[Figure]:
    """The same network at 8 and at 2 bits on the same silicon."""
    networks = [make_network([("gru", 256)], INPUTS, seed=1, weight_bits=bits) for bits in (8, 2)]
    config = derive_config(networks[0], networks[1], word_bits=64)
    frames = noise_frames(8, INPUTS)
    wide, narrow = (
        measure_core(network, [frames], config, work).cycles_per_step for network in networks
    )
    yield Figure(
        name="GRU 40 -> 256, dense, weights of 8 bits / of 2 bits on the same silicon: cycles",
        value=round(wide / narrow, 3),
        unit="x",
        reference=4,
        reference_is=f"ideal; {wide:.1f} and {narrow:.1f} cycles per step",
        target=3.6,
        command=COMMAND,
    )


def _over_ideal(
    network: Network, frames: Ints, work: Path, **options: Any
) -> tuple[float, float, float]:
    """(cycles / ideal, ideal, cycles) per step; every output equals golden."""
    config = derive_config(network, **options)
    found: CoreCycles = measure_core(network, [frames], config, work)
    ideal = ideal_cycles(network, found.results[0], config.word_bits, config.cell_units)
    return found.cycles_per_step / ideal, ideal, found.cycles_per_step


def _figure(
    what: str, ratio: float, ideal: float, measured: float, target: float, note: str = ""
) -> Figure:
    return Figure(
        name=f"{what}: cycles / ideal",
        value=round(ratio, 4),
        unit="x",
        reference=round(ideal, 1),
        reference_is=f"ideal cycles per step, {measured:.1f} measured{note}",
        target=target,
        at_most=True,
        command=COMMAND,
    )


def lowest_threshold(
    network: Network, frames: Ints, good: Callable[[Network, Result], bool]
) -> Network:
    """`network` with the lowest threshold for all paths at which a golden run is `good`."""
    low, high = 0, 255
    while low < high:
        middle = (low + high) // 2
        made = _with_threshold(network, middle)
        low, high = (low, middle) if good(made, run(made, [frames])[0]) else (middle + 1, high)
    return _with_threshold(network, low)


def _with_threshold(network: Network, threshold: int) -> Network:
    return network.with_thresholds({name: threshold for name, _ in network.paths()})


def ar1_frames(steps: int, inputs: int) -> Ints:
    """Smooth frames: AR(1) with 0.98, the standard deviation a fifth of full scale."""
    rng = np.random.default_rng(0)
    x = np.zeros((steps, inputs))
    for t in range(1, steps):
        x[t] = 0.98 * x[t - 1] + np.sqrt(1 - 0.98**2) * rng.standard_normal(inputs)
    return np.clip(x * 32768 / 5, -32768, 32767).astype(np.int64)


def noise_frames(steps: int, inputs: int) -> Ints:
    """White noise over the whole range: nearly every element changes in every step."""
    return np.random.default_rng(0).integers(-32768, 32768, (steps, inputs))


def array_cycles(network: Network, result: Result, word_bits: int) -> float:
    """Mean over steps of the array's work: events * ceil(rows * width / word)."""
    return sum(
        float(result.events[name].mean()) * ceil(path.rows * path.weight_bits / word_bits)
        for name, path in network.paths()
    )


def ideal_cycles(network: Network, result: Result, word_bits: int, cell_units: int) -> float:
    """Mean over steps of what the silicon could do at best.

    Per layer the larger of the array's work and that of the cell units, a cycle for each
    `cell_units` units; summed over layers.
    """
    total = np.zeros(result.steps)
    for layer in network.layers:
        work = np.zeros(result.steps)
        for name, path in network.paths():
            if name.startswith(f"{layer.name}."):
                work += result.events[name] * ceil(path.rows * path.weight_bits / word_bits)
        total += np.maximum(work, layer.units / cell_units)
    return float(total.mean())
