# SPDX-License-Identifier: Apache-2.0
"""`deltaloom evaluate`: its tables, its JSON, its thresholds, its errors."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.boards.flow.fits import fit_boards
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate
from deltaloom.golden.evaluation.metrics import METRICS
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.reports.warnings import warnings_of
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.estimates.area import estimate_area
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles
from deltaloom.hw.estimates.energy import estimate_energy
from deltaloom.terminal import options
from deltaloom.terminal.boards import boards_json
from deltaloom.terminal.options import set_thresholds


@pytest.fixture
def files(tmp_path):
    """NET and D: an LSTM of 6 on 5 inputs and 3 classes, 30 smooth labelled frames in two parts."""
    rng = np.random.default_rng(0)
    network = make_network([("lstm", 6), ("linear", 3)], 5)
    walk = np.cumsum(rng.normal(size=(30, 5)), axis=0).astype(np.float32) / 4
    labels = rng.integers(0, 3, 30)
    labels[3] = -1
    data = Dataset((walk[:20], walk[20:]), (labels[:20], labels[20:]))
    network.save(tmp_path / "net")
    data.save(tmp_path / "data.npz")
    return tmp_path / "net", tmp_path / "data.npz"


def run(net, data, *words):
    return cli.main(["evaluate", str(net), "--data", str(data), *map(str, words)])


def value(text, name):
    """The number at the end of the line that starts with `name`."""
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line.split("  ")[-1].strip()


def test_numbers(files, tmp_path, capsys):
    options = ["--threshold", "20", "--threshold", "lstm0.h=9", "--word-bits", "64"]
    assert run(*files, *options, "--json", tmp_path / "out.json") == 0
    network = Network.load(files[0]).with_thresholds({"lstm0.x": 20, "lstm0.h": 9, "linear1.x": 20})
    expected = evaluate(network, Dataset.load(files[1]), word_bits=64)
    fits = fit_boards(derive_config(network, word_bits=64))
    written = json.loads((tmp_path / "out.json").read_text())
    estimated = written.pop("estimated_cycles_per_step"), written.pop("estimated_area")
    energy = written.pop("estimated_energy_nj")
    found = saturation(network, Dataset.load(files[1]))
    layers = written["saturation"].pop("layers")
    assert [layer["name"] for layer in layers] == ["lstm0", "linear1"]
    assert layers[0]["gates"] == {g: list(n) for g, n in found.layers[0].gates.items()}
    assert written.pop("saturation") == {
        "frames": 30,
        "features": list(found.features),
        "reach": list(found.reach),
    }
    assert written.pop("warnings") == [*warnings_of(network, found)]
    assert written == asdict(expected) | {"boards": boards_json(fits), "no_hardware": None}
    text = capsys.readouterr().out
    for fit in fits:  # before everything else
        numbers = [f"{used:,} of {there:,}" for used, there in fit.resources.values()]
        row = next(line for line in text.splitlines()[3:] if fit.board in line)
        assert [cell.strip() for cell in row.split("│")[1 : 3 + len(numbers)]] == [
            fit.board,
            "yes" if fit.fits else "no",
            *numbers,
        ]
    assert value(text, "frames (sequences)") == "30 (2)"
    assert value(text, "frames scored") == "29"
    assert value(text, "frame error, float") == "-"
    assert value(text, "frame error, quantized ") == f"{expected.quantized_error:.2f} %"
    assert value(text, "frame error, quantized, delta") == f"{expected.delta_error:.2f} %"
    assert value(text, "operations eliminated ") == f"{expected.eliminated_operations:.1f} %"
    assert value(text, "size") == f"{expected.size_bits / 8000:,.1f} kB"
    cycles = value(text, "ideal cycles per step, 64-bit words, dense")
    assert cycles == f"{expected.ideal_cycles_per_step_dense:,.0f}"
    config = derive_config(network, word_bits=64)
    frames = [quantize_frames(network, x) for x in Dataset.load(files[1]).features]
    events = [r.events for r in run_golden(network, frames)]
    estimate = estimate_cycles(network, config, events)
    cycles = value(text, "estimated cycles per step, 64-bit words, delta")
    assert cycles == f"{estimate.cycles_per_step:,.1f}"
    in_cells = estimate_energy(Plan.of(network, config), events)
    assert energy["delta"] == 1e9 * in_cells.total < energy["dense"]
    assert energy["delta"] == pytest.approx(sum(energy["parts"].values()) + energy["clock"])
    what = "estimated energy per step, 64-bit words"
    assert value(text, f"{what}, dense") == f"{energy['dense']:,.0f} nJ"
    assert value(text, f"{what}, delta") == f"{energy['delta']:,.0f} nJ"
    library = value(text, "library of the energy, before placement")
    assert f"{library}, {value(text, 'its corner')}" == energy["corner"]
    area = estimate_area(config)
    assert estimated[0]["delta"] == estimate.cycles_per_step < estimated[0]["dense"]
    dense = [dense_events(network, len(x)) for x in frames]  # sequences' starts included
    assert estimated[0]["dense"] == estimate_cycles(network, config, dense).cycles_per_step
    assert energy["dense"] == 1e9 * estimate_energy(Plan.of(network, config), dense).total
    fields = ("luts", "flip_flops", "multipliers", "block_rams")
    assert estimated[1] == {name: getattr(area, name) for name in fields}
    numbers = f"{area.luts:,}, {area.flip_flops:,}"
    assert value(text, "estimated LUTs, flip-flops (ECP5)") == numbers
    numbers = f"{area.multipliers:,}, {area.block_rams:,}"
    assert value(text, "estimated multipliers, block RAMs (ECP5)") == numbers
    row = re.search(r"lstm0\.h .*", text)
    events = f"{expected.events_per_step['lstm0.h']:.1f}"
    assert row and re.findall(r"[\d./]+", row[0])[1:6] == ["6", "24", "8/8", "9", events]
    assert max(map(len, text.splitlines())) <= 80


def test_cycles_without_amaranth(files, capsys, monkeypatch):
    monkeypatch.setattr("deltaloom.terminal.estimates.find_spec", lambda name: None)
    assert run(*files) == 0
    out = capsys.readouterr().out
    assert "estimated" not in out
    assert out.endswith(
        "\nno hardware: Amaranth is not installed; pip install deltaloom brings it\n"
    )


def test_why_there_is_no_hardware(files, tmp_path, capsys):
    """A note, in the JSON file and on the page, too; the rest is there."""
    network = Network.load(files[0])
    layer = replace(network.layers[0], c_exponent=8)
    replace(network, layers=(layer, network.layers[1])).save(tmp_path / "wide")
    page = ["--json", tmp_path / "out.json", "--report", tmp_path / "page.html"]
    assert run(tmp_path / "wide", files[1], *page) == 0
    out = capsys.readouterr().out
    why = "lstm0: c exponent 8, the hardware takes 0..7; quantize with other data, or scale the "
    (line,) = [line for line in out.splitlines() if line.startswith("no hardware: ")]
    assert line.startswith(f"no hardware: {why}") and "estimated" not in out
    assert value(out, "frames (sequences)") == "30 (2)"
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["no_hardware"].startswith(why) and written["estimated_area"] is None
    assert why in (tmp_path / "page.html").read_text()


def test_float_model(files, tmp_path, capsys):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(1, 3, 5)).astype(np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    bias = np.zeros((1, 3), np.float32)
    layer = FloatLayer(name="l", kind="linear", paths=(path,), bias=bias)
    model = FloatModel(layers=(layer,))
    model.save(tmp_path / "model")
    assert run(*files, "--model", tmp_path / "model") == 0
    data = Dataset.load(files[1])
    wrong = sum(
        int(((x @ weights[0].T).argmax(axis=1) != y)[y >= 0].sum())
        for x, y in zip(data.features, data.labels, strict=True)
    )
    assert value(capsys.readouterr().out, "frame error, float") == f"{100 * wrong / 29:.2f} %"


def test_unlabelled_data(files, tmp_path, capsys):
    data = Dataset.load(files[1])
    replace(data, labels=None).save(tmp_path / "plain.npz")
    assert run(files[0], tmp_path / "plain.npz") == 0
    text = capsys.readouterr().out
    assert value(text, "frame error, quantized, delta") == "-"
    assert float(value(text, "operations eliminated ").split()[0]) > 0


def test_thresholds_in_order(files):
    network = Network.load(files[0])

    def thresholds(*words):
        changed = set_thresholds(network, list(words))
        return [path.threshold for _, path in changed.paths()]

    assert thresholds() == [0, 0, 0]
    assert thresholds("5") == [5, 5, 5]
    assert thresholds("5", "lstm0.h=2") == [5, 2, 5]
    assert thresholds("lstm0.h=2", "5") == [5, 5, 5]
    assert thresholds("linear1.x=255") == [0, 0, 255]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x", "threshold 'x': 'x' is not a whole number; give N or PATH=N"),
        ("1.5", "threshold '1.5': '1.5' is not a whole number"),
        ("lstm0.x=", "threshold 'lstm0.x=': '' is not a whole number"),
        ("lstm9=3", "threshold of 'lstm9': no such path; paths: lstm0.x, lstm0.h, linear1.x"),
        ("=3", "threshold of '': no such path"),
        ("256", "threshold: 256 is not possible, it must be 0..255"),
        ("lstm0.x=-1", "threshold: -1 is not possible, it must be 0..255"),
    ],
)
def test_thresholds_that_cannot_be(files, word, message):
    with pytest.raises(UserError, match=re.escape(message)):
        set_thresholds(Network.load(files[0]), [word])


def test_errors_are_one_line_and_write_nothing(files, tmp_path, capsys):
    assert run(*files, "--word-bits", 20, "--json", tmp_path / "out.json") == 2
    assert capsys.readouterr().err == (
        "deltaloom: word bits: 20 is not possible, it must be a multiple of 8, the widest weights "
        "of the network\n"
    )
    assert not (tmp_path / "out.json").exists()


def test_a_regression_is_in_decibels(files, tmp_path, capsys):
    data = Dataset.load(files[1])
    targets = tuple(np.ones((len(x), 3), np.float32) for x in data.features)
    data = replace(data, labels=None, targets=targets, task="regression")
    data.save(tmp_path / "values.npz")
    assert run(files[0], tmp_path / "values.npz") == 0
    text = capsys.readouterr().out
    expected = evaluate(Network.load(files[0]), data)
    assert value(text, "NMSE, quantized ") == f"{expected.quantized_error:.2f} dB"
    assert value(text, "NMSE, float") == "-"
    assert "frame error" not in text


def test_several_metrics(files, tmp_path, capsys):
    data = Dataset.load(files[1])
    replace(data, label_names=("a", "b", "sil")).save(tmp_path / "named.npz")
    (tmp_path / "fold.txt").write_text("b a\nsil\n")
    (tmp_path / "own.py").write_text("def count(data, outputs):\n    return len(outputs)\n")
    own = f"{tmp_path / 'own.py'}:count"
    words = ["--metric", "perplexity", "--metric", "phone", "--metric", own]
    fold = ["--fold", tmp_path / "fold.txt"]
    out = ["--json", tmp_path / "out.json"]
    assert run(files[0], tmp_path / "named.npz", *words, *fold, *out) == 0
    text = capsys.readouterr().out
    got = json.loads((tmp_path / "out.json").read_text())
    assert list(got["errors"]) == ["perplexity", "phone", own] and got["metric"] == "perplexity"
    assert got["delta_error"] == got["errors"]["perplexity"]["delta_error"]
    assert value(text, "perplexity, quantized ") == f"{got['quantized_error']:.2f}"
    phone = got["errors"]["phone"]["quantized_error"]
    assert value(text, "phone error, quantized ") == f"{phone:.2f} %"
    assert value(text, "count, quantized ") == "2.00"
    assert "frame error" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "nmse"], "targets: no frame is scored; an error needs labelled data"),
        (["--metric", "wer"], "metric 'wer': not known; there are frame, phone"),
        (["--fold", "f", "--metric", "frame"], "f: cannot be read as text"),
    ],
)
def test_metrics_that_cannot_be(files, capsys, words, message):
    assert run(*files, *words) == 2
    assert message in capsys.readouterr().err


def test_a_fold_needs_the_phone_error(files, tmp_path, capsys):
    (tmp_path / "fold").write_text("")
    assert run(*files, "--fold", tmp_path / "fold") == 2
    assert "--fold: only for --metric phone; give both" in capsys.readouterr().err


def test_the_help_names_all_metrics():
    assert options.METRICS.split(", ") == list(METRICS)


def test_operations(files, tmp_path, capsys):
    assert run(*files, "--threshold", 20, "--json", tmp_path / "out.json") == 0
    text = capsys.readouterr().out
    got = json.loads((tmp_path / "out.json").read_text())
    macs = 4 * 6 * (5 + 6) + 3 * 6
    assert value(text, "operations per step, dense") == f"{macs}"
    left = macs * (1 - got["eliminated_operations"] / 100)
    assert value(text, "operations per step, delta") == f"{left:,.0f}"
    published = value(text, "eliminated as published ")
    assert published == f"{got['eliminated_as_published']:.1f} %"


def test_against_float_without_labels(tmp_path, capsys, make_pair):
    """NMSE, the worst sequence and output in words; the worst outputs where there are many."""
    model, net, data = make_pair(tmp_path, outputs=14)
    options = ["--model", model, "--threshold", 3, "--report", tmp_path / "r.html"]
    assert run(net, data, *options) == 0
    text = capsys.readouterr().out
    network = set_thresholds(Network.load(net), ["3"])
    found = evaluate(network, Dataset.load(data), FloatModel.load(model)).fidelity
    assert value(text, "NMSE to float, quantized ") == f"{found['quantized'].nmse:.2f} dB"
    assert value(text, "NMSE to float, quantized, delta") == f"{found['delta'].nmse:.2f} dB"
    assert f"- of the worst sequence, {found['delta'].worst_sequence} " in text
    rows = re.findall(r"│ (\d+) +│ +(-[\d.]+) │ +([\d.]+) │", text)
    worst = sorted(found["delta"].outputs, key=lambda each: each.snr)[:12]
    wanted = [(e.name, f"{e.nmse:.2f}", f"{e.snr:.2f}") for e in found["delta"].outputs]
    assert rows == [row for row in wanted if row[0] in {each.name for each in worst}]
    assert "the 12 worst of 14 outputs" in text
    page = (tmp_path / "r.html").read_text()
    assert all(f"{each.snr:.2f}" in page for each in found["quantized"].outputs)
