# SPDX-License-Identifier: Apache-2.0
"""The Verilog under `verilator --lint-only -Wall`: clean, but for the waivers."""

import re
import subprocess
from pathlib import Path

import pytest

import deltaloom as dl
from deltaloom.boards.tools import toolchain
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.lint import WAIVERS, waiver_file

ROOT = Path(__file__).parents[2]
DATA = ROOT / "src/deltaloom/data"
SMALL = {
    "both ways": ([Shape(kind="lstm", units=3, both=True), ("linear", 2)], {"frames": 4}),
    "shift_add": ([("lstm", 4), ("sru", 4), ("linear", 3)], {"lane_kind": "shift_add"}),
    "gru_before": ([("ligru", 9), ("gru_before", 7), ("rnn_tanh", 5)], {"word_bits": 128}),
}


def lint(verilog, *waivers):
    """The messages, rule and text."""
    verilator = toolchain.require("verilator")
    ran = subprocess.run(
        [*verilator.command, "--lint-only", "-Wall", *waivers, verilog],
        env=toolchain.environment(verilator),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "%Error" not in ran.stderr.replace("%Error: Exiting due to", ""), ran.stderr
    return re.findall(r"%Warning-(\w+): \S+ (.*)", ran.stderr)


def waived(design):
    file = design.verilog.with_suffix(".vlt")
    file.write_text(waiver_file(design.verilog.stem))
    return file


def shipped(kind, name, folder, **options):
    """The design of a shipped network, quantized as the README does."""
    model = dl.import_model(DATA / kind / f"{name}.safetensors")
    network = dl.quantize(model, dl.Dataset.load(DATA / kind / "calibration.npz"), "4-bit")
    return generate(network, folder, config=derive_config(network, **options), name=name)


@pytest.fixture(scope="module")
def radio(tmp_path_factory):
    return shipped("radio", "model", tmp_path_factory.mktemp("rtl"), word_bits=64)


def test_the_shipped_radio_network(radio, tmp_path):
    """With the waivers nothing is said but of two faults that are planted here."""
    text = radio.verilog.read_text()
    first, end = text.split("endmodule", 1)
    wrong = "  wire forgotten = clk;\n  wire never = s_axis_tdata < 16'd0;\n"
    file = tmp_path / radio.verilog.name
    file.write_text(f"{first}{wrong}endmodule{end}")
    assert sorted(lint(file, waived(radio))) == [
        ("UNSIGNED", "Comparison is constant due to unsigned arithmetic"),
        ("UNUSEDSIGNAL", "Signal is not used: 'forgotten'"),
        ("UNUSEDSIGNAL", "Signal is not used: 'never'"),
    ]


def test_no_waiver_is_for_nothing(radio):
    assert {rule for rule, _ in lint(radio.verilog)} == {waiver.rule for waiver in WAIVERS}


def test_the_page_has_the_waivers():
    page = (ROOT / "docs/integration.md").read_text("utf-8")
    assert all(f"| {waiver.rule} | {waiver.reason} |" in page for waiver in WAIVERS)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ["multiplier", "shift_add"])
@pytest.mark.parametrize("name", ["lstm", "gru", "ligru", "sru"])
def test_the_shipped_speech_networks(name, lanes, tmp_path):
    design = shipped("speech", name, tmp_path, lane_kind=lanes)
    assert lint(design.verilog, waived(design)) == []


@pytest.mark.slow
@pytest.mark.parametrize("baked", [True, False])
@pytest.mark.parametrize("kind", SMALL)
def test_other_designs(kind, baked, tmp_path):
    layers, options = SMALL[kind]
    network = make_network(layers, 3)
    config = derive_config(network, **{"word_bits": 32, **options})
    design = generate(network, tmp_path, config=config, baked=baked)
    assert lint(design.verilog, waived(design)) == []
