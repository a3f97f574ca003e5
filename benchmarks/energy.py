# SPDX-License-Identifier: Apache-2.0
"""Energy a frame in standard cells: bits and thresholds of one network; see README.md here."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from figures import Figure
from peers import noise_frames

from deltaloom.boards.asic.build import AsicBuild, build_cells
from deltaloom.boards.asic.energy import Activity, PartEnergy
from deltaloom.boards.asic.libraries import find_technology
from deltaloom.boards.tools.process import digest
from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.gates.bench import image_writes
from deltaloom.sim.gates.run import simulate_gates

LIBRARY, CLOCK_MHZ = "osu018", 100.0
UNITS, LANES, FRAMES, MACRO_BITS = 8, 2, 5, 256
COMMAND = "make bench ARGS=energy"
SPEECH = Path(__file__).parent.parent / "src" / "deltaloom" / "data" / "speech" / "test.npz"
POINTS = "energy.json"
"""What `energy_picture.py` draws, in the benchmarks' folder of work."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What one case came to, a frame: nJ by component and kind, and the part of its products that
    it did.

    fixed: nJ where the clock is the dense one's, and goes on while nothing is to do.
    """

    case: str
    weight_bits: int
    products: float
    cycles: float
    area_mm2: float
    fmax_mhz: float
    gates: int
    gated: int
    flip_flops: int
    parts: dict[str, dict[str, float]]
    total: float
    fixed: float


def figures(work: Path) -> Iterator[Figure]:
    """A GRU on some frames, each case with as many lanes and as many frames a second."""
    data = Dataset.load(SPEECH)
    corner = find_technology(LIBRARY, workdir=work).library.corner
    points: list[Point] = []
    for case in CASES:
        point = measure(case, work, data, None if not points else points[0].cycles)
        points.append(point)
        (work / POINTS).write_text(json.dumps([asdict(each) for each in points], indent=1))
        name = f"GRU {data.inputs} -> {UNITS}, {LANES} lanes, {case}, {corner}, gated"
        yield from _figures(name, point, points[0])


def measure(case: Case, work: Path, data: Dataset, dense_cycles: float | None) -> Point:
    """Build a case and simulate it; dense_cycles: a frame of the one that sets the frame rate."""
    technology = find_technology(LIBRARY, workdir=work)
    network = make_network(
        [("gru", UNITS)],
        data.inputs,
        seed=1,
        weight_bits=case.weight_bits,
        threshold=case.threshold,
    )
    build = build_cells(
        derive_config(network, word_bits=LANES * case.weight_bits),
        technology,
        folder=work / f"energy-{case.weight_bits}",
        clock_mhz=CLOCK_MHZ,
        macro_bits=MACRO_BITS,
    )
    frames = quantize_frames(network, data.features[0][:FRAMES])
    if case.noise:
        frames = noise_frames(FRAMES, data.inputs)
    activity = _activity(build, network, frames, work)
    cycles = activity.cycles / FRAMES
    # All do as many frames a second as the first at its clock: their clocks are slower.
    frame_ns = (dense_cycles or cycles) * build.period_ns
    model = build.energy()
    parts = model.run(activity, period_ns=frame_ns / cycles)
    total = sum(parts.values(), PartEnergy()).scaled(1e9 / FRAMES).total
    idle_watts, _ = model.clock_and_leakage(period_ns=build.period_ns)
    areas = build.areas.values()
    assert build.timing is not None
    return Point(
        case=str(case),
        weight_bits=case.weight_bits,
        products=_products(network, frames),
        cycles=cycles,
        area_mm2=sum(part.cell_area + part.macro_area for part in areas) / 1e6,
        fmax_mhz=build.timing.fmax_mhz,
        gates=len(build.tree.gates),
        gated=sum(part.gated for part in areas),
        flip_flops=sum(part.flip_flops for part in areas),
        parts={name: asdict(part.scaled(1e9 / FRAMES)) for name, part in parts.items()},
        total=total,
        fixed=total + idle_watts * (frame_ns - cycles * build.period_ns),
    )


def _activity(build: AsicBuild, network: Network, frames: Ints, work: Path) -> Activity:
    """What the netlist does with the frames; kept, for it takes minutes."""
    contents = build.netlist.verilog(), repr(image_writes(network, build.config)), frames.tobytes()
    kept = work / f"activity-{digest(*map(str, contents))}.json"
    if not kept.exists():
        activity = simulate_gates(build, network, [frames]).activity
        kept.write_text(json.dumps(asdict(activity)))
    return Activity(**json.loads(kept.read_text()))


def _products(network: Network, frames: Ints) -> float:
    """The part of a network's products that its events are."""
    (result,) = run(network, [frames])
    done = sum(result.events[name].sum() * path.rows for name, path in network.paths())
    every = sum(path.rows * path.columns for _, path in network.paths())
    return float(done / (len(frames) * every))


def _figures(name: str, point: Point, dense: Point) -> Iterator[Figure]:
    gain, ideal = dense.total / point.total, dense.products / point.products
    rows = (
        ("energy a frame", round(point.total, 2), "nJ"),
        ("energy a frame at the dense one's clock", round(point.fixed, 2), "nJ"),
        ("cycles a frame", point.cycles, ""),
        ("products done", round(100 * point.products, 1), "%"),
        ("gain in energy over that in products", round(100 * gain / ideal, 1), "%"),
        ("area", round(point.area_mm2, 3), "mm2"),
        ("Fmax", round(point.fmax_mhz, 1), "MHz"),
        ("flip-flops behind gates", round(100 * point.gated / point.flip_flops, 1), "%"),
    )
    for what, value, unit in rows:
        energy = what == "energy a frame"
        yield Figure(
            name=f"{name}: {what}",
            value=value,
            unit=unit,
            reference=round(100 * point.total / dense.total, 1) if energy else None,
            reference_is="% of the dense one's" if energy else "",
            command=COMMAND,
        )
    for part, kinds in point.parts.items():
        for kind, value in kinds.items():
            if value >= 0.005:
                yield Figure(
                    name=f"{name}: {part}, {kind}",
                    value=round(value, 2),
                    unit="nJ",
                    command=COMMAND,
                )
