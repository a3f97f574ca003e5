# SPDX-License-Identifier: Apache-2.0
"""Figures of docs/integer-lstm.md that need nothing trained: those of the shipped speech LSTM."""

import re
import runpy
from pathlib import Path

import pytest

import deltaloom as dl
from deltaloom.golden.evaluation.sweep import of_network, of_widths, sweep_networks
from deltaloom.golden.quantization.calibration import observe

ROOT = Path(__file__).parents[2]
DATA = Path(dl.__file__).parent / "data" / "speech"


def rows(heading):
    """The rows of the page's table whose heading begins so, as texts by column."""
    lines = (ROOT / "docs" / "integer-lstm.md").read_text("utf-8").splitlines()
    (first,) = [n for n, line in enumerate(lines) if line.startswith(f"| {heading}")]
    end = next(n for n in range(first, len(lines)) if not lines[n].startswith("|"))
    head, _, *found = ([c.strip() for c in line.split("|")[1:-1]] for line in lines[first:end])
    return [dict(zip(head, row, strict=True)) for row in found]


@pytest.fixture(scope="module")
def speech():
    """The float model, the integer-only network and the test set."""
    model = dl.import_model(DATA / "lstm.safetensors")
    calibration = dl.Dataset.load(DATA / "calibration.npz")
    network = dl.quantize_integer_lstm(model, calibration)
    return model, network, dl.Dataset.load(DATA / "test.npz"), calibration


@pytest.fixture(scope="module")
def tuned(speech):
    """An evaluation with the thresholds that the page says were tuned."""
    model, network, test, _ = speech
    (row,) = [r for r in rows("network | frame error") if r["network"].startswith("with thres")]
    codes = map(int, re.findall(r"\d+", row["network"]))
    chosen = dict(zip((name for name, _ in network.paths()), codes, strict=True))
    return row, dl.evaluate(network.with_thresholds(chosen), test, model)


def test_the_shipped_network(tuned):
    row, found = tuned
    floats, integers, _ = rows("network | frame error")
    assert floats["frame error"] == f"{found.float_error:.2f} %"
    assert integers["frame error"] == f"{found.quantized_error:.2f} %"
    assert integers["operations eliminated"] == f"{found.eliminated_lossless:.1f} %"
    assert row["frame error"] == f"{found.delta_error:.2f} %"
    assert row["operations eliminated"] == f"{found.eliminated_operations:.1f} %"


def test_the_plain_row_of_the_trained_variants(tuned, speech):
    _, found = tuned
    (row,) = [
        r for r in rows("variant | kB | float | integer-only | fra") if r["variant"] == "plain"
    ]
    _, network, test, _ = speech
    estimate = dl.estimate(network, word_bits=64)
    assert row["kB"] == f"{found.size_bits / 8000:.1f}"
    assert row["float"] == f"{found.float_error:.2f} %"
    assert row["integer-only"] == f"{found.quantized_error:.2f} %"
    assert row["cycles"] == f"{estimate.cycles_per_step_dense:,}"
    assert row["with thresholds"] == f"{found.delta_error:.2f} %"
    assert row["eliminated"] == f"{found.eliminated_operations:.1f} %"
    assert row["words that differ"] == f"0 of {test.frames * network.outputs:,}"


def test_thresholds_beside_our_own_arithmetic(speech):
    """A row of the sweep."""
    model, network, test, calibration = speech
    candidates = [
        *of_widths(model, observe(model, calibration), [8], [8]),
        of_network("integer-only", network),
    ]
    (row,) = [r for r in rows("threshold | W8/A8") if r["threshold"] == "8"]
    points = sweep_networks(candidates, test, thresholds=[8]).points
    found = [t for p in points for t in (f"{p.error:.2f} %", f"{p.eliminated:.1f} %")]
    assert [*row.values()] == ["8", *found]


def test_the_example_takes_what_ships_without_torch(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    example = runpy.run_path(str(ROOT / "examples" / "speech" / "trained_lstms.py"))
    file = example["trained"]("lstm", Path("nowhere"))
    floats = example["float_network"]("lstm", file)
    assert [layer.name for layer in floats.layers] == ["lstm.0", "lstm.1", "linear"]
    row = example["Row"](
        kilobytes=226.32,
        float_error=19.139,
        error=19.05,
        speed=12332.4,
        litert_speed=None,
        differ=None,
        words=9,
        cycles=None,
        sparse_error=19.6,
        eliminated=72.31,
        broken_error=20.0,
    )
    line = example["line"]("norm", row)
    assert line == (
        "| norm (without the factor 2^10: 20.00 %) | 226.3 | 19.14 % | 19.05 % | 12,332 |  |  | "
        "- | 19.60 % | 72.3 % |"
    )
