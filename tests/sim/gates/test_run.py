# SPDX-License-Identifier: Apache-2.0
"""Mapped netlists in Icarus: from all X, over the bus, to golden's words."""

import re
from pathlib import Path

import pytest

import deltaloom
from deltaloom.boards.asic import synthesis
from deltaloom.boards.asic.build import VERILOG, build_cells
from deltaloom.boards.asic.libraries import find_technology
from deltaloom.boards.asic.report import AsicReport
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.integer_lstm.recipe import quantize as quantize_lstm
from deltaloom.golden.integer_lstm.synthetic import make_frames as make_lstm_frames
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.gates.run import run_bench, simulate_gates
from deltaloom.sim.testing.cut import cut

TESTS = Path(__file__).parents[2]
TINY = TESTS / "boards" / "asic" / "tiny.lib"
OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
SPEECH = Path(deltaloom.__file__).parent / "data" / "speech"
FRAMES = [make_frames(2, 3, seed=1), make_frames(2, 2, seed=2)]


def without(kind, text):
    """Liberty text without its groups of a kind."""
    while match := re.search(rf"\b{kind} \(.*?\) \{{", text):
        end, depth = match.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: match.start()] + text[end:]
    return text


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Cells without delays, so that nothing is needed but Yosys and Icarus."""
    folder = tmp_path_factory.mktemp("library")
    file = folder / "untimed.lib"
    file.write_text(without("timing", TINY.read_text()))
    return find_technology(str(file), workdir=folder, node=65, models=TINY.with_suffix(".v"))


@pytest.fixture(scope="module")
def mapped(library, tmp_path_factory):
    """A recurrent layer of one unit, loaded and run: the build and the run.

    Memories of more than 16 bits are macros where they can be.
    """
    folder = tmp_path_factory.mktemp("mapped")
    network = make_network(
        [("ind_rnn", 1)], 2, weight_bits=2, activation_bits=2, threshold=1, seed=4
    )
    config = derive_config(network, word_bits=2)
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(synthesis, "MAPPING", "+strash;&get,-n;&nf;&put")
        build = build_cells(config, library, folder=folder / "build", macro_bits=16)
    return build, simulate_gates(build, network, FRAMES)


def test_the_netlist_loaded_from_all_x_is_golden(mapped):
    build, run = mapped
    assert run.words == 5
    assert run.activity.frames == 5
    assert 20 < run.activity.cycles < 500
    assert len(build.tree.gates) > 0
    assert sum(area.gated for area in build.areas.values()) > 100
    text = (build.folder / VERILOG).read_text()
    assert not re.search(r"^\s*(initial|reg|always)\b", text, re.MULTILINE)


def test_every_net_and_every_macro_is_counted(mapped):
    build, run = mapped
    nets = {
        f"{build.netlist.path(module)}.{wire}".lstrip(".")
        for module in build.netlist.modules.values()
        for wire in module.wires
    }
    assert nets <= run.activity.toggles.keys()
    moving = sum(run.activity.toggles[net] > 0 for net in nets)
    assert len(nets) / 20 < moving < len(nets)
    assert set(run.activity.accesses) == set(build.macro_paths)
    assert len(build.macros) > 1
    cycles = run.activity.cycles
    assert all(n <= cycles for pair in run.activity.accesses.values() for n in pair)
    assert sum(sum(pair) for pair in run.activity.accesses.values()) > 0


def test_an_area_only_library_has_areas_and_no_energy(mapped):
    build, run = mapped
    report = AsicReport.of(build, macro_bits=16, activity=run.activity, words=run.words)
    assert report.energy is None
    assert report.fmax_mhz is None
    assert report.area == pytest.approx(
        sum(a.cell_area + a.macro_area for a in build.areas.values())
    )
    assert {"lanes", "weight memory", "accumulators", "encoders", "cells"} <= set(report.areas)
    cells = sum(area.cells for area in report.areas.values())
    assert cells == sum(i.kind in build.technology.library.cells for _, i in build.netlist.cells())


def test_a_wrong_word_is_found(mapped):
    build, _ = mapped
    words = build.folder / "words.hex"
    good = words.read_text()
    lines = good.splitlines()
    lines[3] = format(int(lines[3], 16) ^ 1, f"0{len(lines[3])}x")
    words.write_text("\n".join(lines) + "\n")
    try:
        with pytest.raises(UserError, match="does not equal golden: word 3 is"):
            run_bench(build.folder, frames=5)
    finally:
        words.write_text(good)


def network_of(name):
    """Three small networks, each with its threshold."""
    kind, bits, threshold = {
        "lstm": ("lstm", 8, 0), "gru": ("gru", 4, 2), "ligru": ("ligru", 2, 1),
    }[name]  # fmt: skip
    return make_network([(kind, 6), ("linear", 3)], 5, weight_bits=bits, threshold=threshold)


@pytest.mark.slow
def test_an_integer_only_lstm_is_golden(library, tmp_path, monkeypatch):
    frames = Dataset(tuple(make_lstm_frames(2, [20, 20])))
    network = quantize_lstm(make_lstm_network("plain", (2, 1)), frames)
    monkeypatch.setattr(synthesis, "MAPPING", "+strash;&get,-n;&nf;&put")
    config = derive_config(network, word_bits=8)
    build = build_cells(config, library, folder=tmp_path, macro_bits=16)
    words = [network.x.codes(x[:3]) for x in frames.features]
    assert simulate_gates(build, network, words).words == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru", "ligru"])
def test_networks_in_osu018_are_golden(name, tmp_path):
    """With the cells' own Verilog and their delays."""
    if not OSU018.is_file():
        pytest.skip("osu018 is not installed: apt-get install qflow-tech-osu018")
    technology = find_technology("osu018", workdir=tmp_path)
    network = network_of(name)
    config = derive_config(network, word_bits=16)
    build = build_cells(config, technology, folder=tmp_path, macro_bits=128)
    frames = [make_frames(5, 8, seed=3, smooth=0.8), make_frames(5, 4, seed=5)]
    assert simulate_gates(build, network, frames).words == 36


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "bits", "layers"), [("lstm", 8, 1), ("gru", 4, 1), ("ligru", 2, 2)]
)
def test_speech_networks_in_osu018_are_golden(cell, bits, layers, tmp_path):
    """Cut out of the shipped ones: 32 units of each layer, 16 outputs; threshold 8, on speech."""
    if not OSU018.is_file():
        pytest.skip("osu018 is not installed: apt-get install qflow-tech-osu018")
    model = cut(
        import_checkpoint(SPEECH / f"{cell}.safetensors"), units=32, layers=layers, outputs=16
    )
    calibration = Dataset.load(SPEECH / "calibration.npz")
    network = uniform_thresholds(quantize(model, calibration, Scheme(weight_bits=bits)), 8)
    frames = quantize_frames(network, Dataset.load(SPEECH / "test.npz").features[0][:4])
    technology = find_technology("osu018", workdir=tmp_path)
    config = derive_config(network, word_bits=64)
    build = build_cells(config, technology, folder=tmp_path, macro_bits=256)
    assert simulate_gates(build, network, [frames]).words == 4 * 16
