# SPDX-License-Identifier: Apache-2.0
"""Cycles of the shipped speech networks in RTL simulation, over word widths and thresholds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from figures import Figure

import deltaloom
from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.report import SimulationReport
from deltaloom.sim.simulate import simulate
from deltaloom.sim.stimulus import FULL_SPEED

DATA = Path(deltaloom.__file__).parent / "data" / "speech"
COMMAND = "make bench"
TUNED = {"lstm": 8, "gru": 8, "ligru": 4, "sru": 4, "rnn": 8, "min_gru": 4}
"""Thresholds, in 8-bit codes, that cost each network less than a point of frame error."""
WIDTHS = (64, 128, 256, 512)
TARGET = 0.90
"""Of the utilisation at 256-bit words, dense and at the tuned thresholds."""


def figures(work: Path, *, frames: int) -> Iterator[Figure]:
    """Utilisation of the W8/A8 networks, dense and sparse, and of the LSTM at several widths."""
    for cell, tuned in TUNED.items():
        network = speech_network(cell)
        for word_bits in WIDTHS if cell == "lstm" else (256,):
            for threshold in (
                (0, 4, tuned, 12) if (cell, word_bits) == ("lstm", 256) else (0, tuned)
            ):
                report = run(network, word_bits, threshold, work, frames=frames)
                target = TARGET if word_bits == 256 and threshold in (0, tuned) else None
                yield Figure(
                    name=f"speech {cell}, {word_bits}-bit words, Θ = {threshold}: utilisation",
                    value=round(report.utilisation, 4),
                    unit="",
                    reference=round(report.ideal_cycles_per_step, 1),
                    reference_is=f"ideal cycles per step, {report.cycles_per_step:.1f} measured",
                    target=target,
                    command=COMMAND,
                )


def speech_network(cell: str, *, weight_bits: int = 8, activation_bits: int = 8) -> Network:
    """The shipped network of this cell, quantized on the shipped calibration data."""
    model = import_checkpoint(DATA / f"{cell}.safetensors")
    scheme = Scheme(weight_bits=weight_bits, activation_bits=activation_bits)
    return quantize(model, Dataset.load(DATA / "calibration.npz"), scheme)


def run(
    network: Network, word_bits: int, threshold: int, work: Path, *, frames: int
) -> SimulationReport:
    """Simulate some test speech at full speed; the RTL must equal golden."""
    config = derive_config(network, word_bits=word_bits)
    design = generate(network, work / f"{network.layers[0].kind}-{word_bits}", config=config)
    return run_design(design.verilog, network, threshold, work, frames=frames)


def run_design(
    verilog: Path, network: Network, threshold: int, work: Path, *, frames: int
) -> SimulationReport:
    """The same on a design that is there already."""
    report = simulate(
        verilog,
        uniform_thresholds(network, threshold),
        test_frames(network, frames),
        workdir=work,
        stimulus=FULL_SPEED,
        thresholds={name: threshold for name, _ in network.paths()},
    )
    if not report.ok:
        raise SystemExit(f"RTL differs from golden: {report}")
    return report


def test_frames(network: Network, frames: int) -> list[Ints]:
    """The first frames of the test set's median-length sequence."""
    features = sorted(Dataset.load(DATA / "test.npz").features, key=len)
    return [quantize_frames(network, np.asarray(features[len(features) // 2])[:frames])]
