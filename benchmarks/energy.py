# SPDX-License-Identifier: Apache-2.0
"""Energy a frame in standard cells: bits and thresholds of one network; see README.md here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from figures import Figure
from peers import noise_frames

from deltaloom.boards.asic.build import build_cells
from deltaloom.boards.asic.energy import PartEnergy
from deltaloom.boards.asic.libraries import find_technology
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.gates.run import simulate_gates

LIBRARY, CLOCK_MHZ = "osu018", 100.0
UNITS, LANES, FRAMES, MACRO_BITS = 8, 2, 5, 256
COMMAND = "make bench ARGS=energy"
SPEECH = Path(__file__).parent.parent / "src" / "deltaloom" / "data" / "speech" / "test.npz"


@dataclass(frozen=True, slots=True)
class Case:
    """Bits of the weights, threshold in codes of 8 bits, and whether the frames are white noise."""

    weight_bits: int
    threshold: int
    noise: bool = False

    def __str__(self) -> str:
        what = "noise" if self.noise else "speech"
        return f"W{self.weight_bits} A8, threshold {self.threshold}, {what}"


CASES = (Case(8, 0, noise=True), Case(8, 8), Case(4, 8), Case(2, 8))
"""The first is dense: nearly every element changes in every frame, and whatever changes is sent."""


def figures(work: Path) -> Iterator[Figure]:
    """A GRU on some frames, each case with as many lanes and as many frames a second."""
    data = Dataset.load(SPEECH)
    technology = find_technology(LIBRARY, workdir=work)
    corner = technology.library.corner
    frame_ns, first = 0.0, 0.0
    for case in CASES:
        network = make_network(
            [("gru", UNITS)],
            data.inputs,
            seed=1,
            weight_bits=case.weight_bits,
            threshold=case.threshold,
        )
        config = derive_config(network, word_bits=LANES * case.weight_bits)
        build = build_cells(
            config,
            technology,
            folder=work / f"energy-{case.weight_bits}",
            clock_mhz=CLOCK_MHZ,
            macro_bits=MACRO_BITS,
        )
        frames = quantize_frames(network, data.features[0][:FRAMES])
        if case.noise:
            frames = noise_frames(FRAMES, data.inputs)
        activity = simulate_gates(build, network, [frames]).activity
        cycles = activity.cycles / FRAMES
        # All do as many frames a second as the first at its clock: their clocks are slower.
        frame_ns = frame_ns or cycles * build.period_ns
        parts = build.energy().run(activity, period_ns=frame_ns / cycles)
        name = f"GRU {data.inputs} -> {UNITS}, {LANES} lanes, {case}, {corner}"
        total = sum(parts.values(), PartEnergy()).scaled(1 / FRAMES)
        first = first or total.total
        yield Figure(
            name=f"{name}: energy a frame",
            value=round(1e9 * total.total, 2),
            unit="nJ",
            reference=round(100 * total.total / first, 1),
            reference_is="% of the dense one's",
            command=COMMAND,
        )
        yield Figure(name=f"{name}: cycles a frame", value=cycles, unit="", command=COMMAND)
        area = sum(part.cell_area + part.macro_area for part in build.areas.values())
        yield Figure(name=f"{name}: area", value=round(area / 1e6, 3), unit="mm2", command=COMMAND)
        for part, energy in parts.items():
            for kind in ("logic", "memory", "clock", "leakage"):
                value = 1e9 * getattr(energy, kind) / FRAMES
                if value >= 0.005:
                    yield Figure(
                        name=f"{name}: {part}, {kind}",
                        value=round(value, 2),
                        unit="nJ",
                        command=COMMAND,
                    )
