# SPDX-License-Identifier: Apache-2.0
"""The networks on which the best open delta-GRU accelerator was measured, on our hardware.

Random weights of the same shapes and smooth AR(1) inputs (0.98), 8 MACs a cycle at 8 bits, one cell
unit. The peer is EdgeDRNN (8 PEs, weight memory without latency); its figure is the part of its own
array's ideal that it reaches at its high threshold, so both are compared with their own events.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from figures import Figure

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.engine import Result, run
from deltaloom.golden.network import Network
from deltaloom.golden.synthetic import make_network
from deltaloom.hw.compile import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.runner import simulate

WORD_BITS = 64
COMMAND = "make bench ARGS=peers"


@dataclass(frozen=True, slots=True)
class Case:
    """units: of the stacked GRU layers; peer: EdgeDRNN's part of its ideal, smooth input."""

    units: tuple[int, ...]
    peer: float

    @property
    def name(self) -> str:
        return " -> ".join(["GRU 40", *map(str, self.units)])


CASES = (Case((128,), 0.56), Case((256, 256), 0.67))


def figures(work: Path, *, steps: int) -> Iterator[Figure]:
    """Cycles per step over the ideal, for dense and for sparse steps."""
    for case in CASES:
        network = make_network([("gru", n) for n in case.units], 40, seed=1)
        config = derive_config(network, word_bits=WORD_BITS)
        design = generate(network, work / f"peer-{'-'.join(map(str, case.units))}", config=config)
        for what, threshold, target in (("dense", 0, 1.02), ("sparse", 24, 1.15)):
            smooth = what == "sparse"
            frames = ar1_frames(steps, 40) if smooth else noise_frames(steps, 40)
            tuned = network.with_thresholds({name: threshold for name, _ in network.paths()})
            report = simulate(
                design.verilog,
                tuned,
                [frames],
                workdir=work,
                idle=0,
                backpressure=0,
                thresholds={name: threshold for name, _ in network.paths()},
            )
            if not report.ok:
                raise SystemExit(f"RTL differs from golden: {report}")
            ideal = ideal_cycles(tuned, run(tuned, [frames])[0])
            yield Figure(
                name=f"{case.name}, {WORD_BITS}-bit words, {what}: cycles / ideal",
                value=round(report.cycles_per_step / ideal, 4),
                unit="x",
                reference=round(ideal, 1),
                reference_is=f"ideal cycles per step, {report.cycles_per_step:.1f} measured"
                + (f"; peer {1 / case.peer:.2f} x its own" if smooth else ""),
                target=target,
                at_most=True,
                command=COMMAND,
            )


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


def ideal_cycles(network: Network, result: Result) -> float:
    """Mean over steps of what the silicon could do at best.

    Per layer the larger of the array's work, events * ceil(rows * width / word), and one cycle per
    unit for the cell unit; summed over layers.
    """
    total = np.zeros(result.steps)
    for layer in network.layers:
        work = np.zeros(result.steps)
        for name, path in network.paths():
            if name.startswith(f"{layer.name}."):
                work += result.events[name] * ceil(path.rows * path.weight_bits / WORD_BITS)
        total += np.maximum(work, layer.units)
    return float(total.mean())
