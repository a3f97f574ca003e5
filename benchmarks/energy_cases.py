# SPDX-License-Identifier: Apache-2.0
"""Accelerators in standard cells whose energy is measured: what they are, and what runs on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from peers import noise_frames
from speech import DATA as SPEECH

import deltaloom
from deltaloom.boards.asic.build import AsicBuild, build_cells
from deltaloom.boards.asic.energy import PartEnergy
from deltaloom.boards.asic.libraries import find_technology
from deltaloom.boards.tools.process import digest
from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.data import Dataset
from deltaloom.golden.delta import EXACT
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.sim.gates.run import simulate_gates
from deltaloom.sim.testing.cut import cut

LIBRARY, CLOCK_MHZ = "osu018", 100.0
MACRO_BITS = 256
INPUTS = 40
"""Of the speech networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stimulus:
    """What is sent: frames of speech, or white noise; threshold: of every path, in codes."""

    threshold: int = 0
    noise: bool = False
    frames: int = 4

    def __str__(self) -> str:
        return f"threshold {self.threshold}, {'noise' if self.noise else 'speech'}"


DENSE, DELTA = Stimulus(noise=True, frames=2), Stimulus(threshold=8, frames=4)
"""All that changes is sent, and nearly every element does; what is usual."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An accelerator, of a network that is cut out of a shipped one, or of random layers.

    cell: whose speech network it is cut from; trained: False where its weights are random.
    units, layers: that are left of each layer, and of the layers in front of the linear one, which
        keeps `outputs`; 0 outputs: it is left out.
    fitted: the energy model's constants are fitted to it.
    """

    cell: str
    units: int
    weight_bits: int
    lanes: int
    layers: int = 1
    outputs: int = 0
    activation_bits: int = 8
    lane_kind: str = "multiplier"
    delta_mode: str = EXACT
    trained: bool = True
    fitted: bool = True
    stimuli: tuple[Stimulus, ...] = (DENSE, DELTA)

    def __str__(self) -> str:
        sizes = [INPUTS, *[self.units] * self.layers, *([self.outputs] if self.outputs else [])]
        kind = "" if self.lane_kind == "multiplier" else f" {self.lane_kind}, {self.delta_mode}"
        bits = f"W{self.weight_bits} A{self.activation_bits}"
        weights = "" if self.trained else ", random weights"
        return (
            f"{self.cell} {' -> '.join(map(str, sizes))}, {bits}, {self.lanes} lanes{kind}{weights}"
        )

    def network(self, threshold: int) -> Network:
        """Its network; the accelerator does not depend on the threshold."""
        if not self.trained:
            return make_network(
                [(self.cell, self.units)] * self.layers,
                INPUTS,
                seed=1,
                weight_bits=self.weight_bits,
                activation_bits=self.activation_bits,
                threshold=threshold,
            )
        whole = import_checkpoint(SPEECH / f"{self.cell}.safetensors")
        model = cut(whole, units=self.units, layers=self.layers, outputs=self.outputs)
        scheme = Scheme(
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
            delta_mode=self.delta_mode,
        )
        network = quantize(model, Dataset.load(SPEECH / "calibration.npz"), scheme)
        return uniform_thresholds(network, threshold)

    def config(self, network: Network) -> AcceleratorConfig:
        """The accelerator that its network gets."""
        word_bits = self.lanes * self.weight_bits
        return derive_config(network, word_bits=word_bits, lane_kind=self.lane_kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a stimulus cost, J a frame by component and kind; `idle_watts`: clock and leakage."""

    cycles: float
    parts: Mapping[str, PartEnergy]
    accesses: Mapping[str, Sequence[int]]
    idle_watts: float
    area_mm2: Mapping[str, float]
    fmax_mhz: float

    @property
    def total(self) -> float:
        """Of all components."""
        return sum(self.parts.values(), PartEnergy()).total


def build_case(case: Case, work: Path) -> AsicBuild:
    """The netlist that a case's network gets, with any threshold."""
    config = case.config(case.network(0))
    return build_cells(
        config,
        find_technology(LIBRARY, workdir=work),
        folder=work / f"energy-{digest(repr(config), str(MACRO_BITS))[:12]}",
        clock_mhz=CLOCK_MHZ,
        macro_bits=MACRO_BITS,
    )


def stimulus_frames(stimulus: Stimulus, network: Network, data: Dataset) -> Ints:
    """The words that are sent."""
    if stimulus.noise:
        return noise_frames(stimulus.frames, data.inputs)
    return quantize_frames(network, data.features[0][: stimulus.frames])


def measure(case: Case, stimulus: Stimulus, data: Dataset, work: Path) -> Measured:
    """What a stimulus costs; kept as long as the hardware and the flow are what they were."""
    kept = work / f"measured-{digest(repr(case), repr(stimulus), _sources())}.json"
    if not kept.exists():
        network = case.network(stimulus.threshold)
        frames = stimulus_frames(stimulus, network, data)
        found = _measure(build_case(case, work), network, frames)
        kept.write_text(json.dumps(asdict(found)))
    plain = json.loads(kept.read_text())
    parts = {name: PartEnergy(**part) for name, part in plain.pop("parts").items()}
    return Measured(parts=parts, **plain)


def _sources() -> str:
    """A digest of what a netlist is made of and measured by."""
    root = Path(deltaloom.__file__).parent
    folders = root / "hw", root / "boards" / "asic"
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return digest(*(file.read_text() for file in files if "estimates" not in file.parts))


def _measure(build: AsicBuild, network: Network, frames: Ints) -> Measured:
    """Simulate frames on a netlist."""
    activity = simulate_gates(build, network, [frames]).activity
    model = build.energy()
    parts = model.run(activity, period_ns=build.period_ns)
    clock, leakage = model.clock_and_leakage(period_ns=build.period_ns)
    assert build.timing is not None
    return Measured(
        cycles=activity.cycles / len(frames),
        parts={name: part.scaled(1 / len(frames)) for name, part in parts.items()},
        accesses=activity.accesses,
        idle_watts=clock + leakage,
        area_mm2={
            name: (part.cell_area + part.macro_area) / 1e6 for name, part in build.areas.items()
        },
        fmax_mhz=build.timing.fmax_mhz,
    )
