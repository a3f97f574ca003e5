# SPDX-License-Identifier: Apache-2.0
"""The table of layouts against the cells, and how names and shapes are told by it."""

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.cells.stages import ALIKE
from deltaloom.golden.importers import checkpoint, modules
from deltaloom.golden.importers.tensors.layout import NORM_KIND, Layout, Tensor
from deltaloom.golden.importers.tensors.layouts import LAYOUTS, ONNX_LAYOUTS, SUPPORTED

EVERY = (*LAYOUTS, *ONNX_LAYOUTS.values())


@pytest.mark.parametrize("layout", EVERY, ids=lambda layout: f"{layout.title} {layout.kind}")
def test_layouts_agree_with_the_cells(layout):
    cell = CELLS[layout.kind]
    fed = [(t.source_of(gate), gate) for t in layout.weights for gate in t.gates]
    if layout.kind == NORM_KIND:  # whose matrix is 1
        fed = [("x", "y")]
    assert sorted(fed) == sorted((s, g) for s, gates in cell.feeds.items() for g in gates)
    assert {g for t in layout.biases for g in t.gates} <= set(cell.gates)
    vectors = (*layout.vectors, *layout.gains, *layout.offsets)
    read = {v for v in cell.vectors if not v.startswith(ALIKE)}
    assert {v for t in vectors for v in t.gates} == read
    assert {g for norm in layout.norms for g in norm.gates} <= set(cell.feeds["x"])
    assert not any(t.source for t in (*layout.biases, *vectors))
    assert len({"{n}" in name for name in layout.names}) == 1
    if layout in LAYOUTS:
        assert layout.title in SUPPORTED


BY_NAME = [layout for layout in LAYOUTS if not layout.several]
"""Those of which one tensor's name is a sign."""


@pytest.mark.parametrize(
    ("name", "title", "place"),
    [
        ("a.b.weight_ih_l3", "PyTorch nn.LSTM", ("a.b", 3, "weight_ih_l{n}")),
        ("rnn.weight_hh", "PyTorch nn.LSTMCell", ("rnn", 0, "weight_hh")),
        ("rnn.1.w.weight", "SpeechBrain LiGRU", ("", 1, "rnn.{n}.w.weight")),
        ("m.rnn.1.norm.running_var", "SpeechBrain LiGRU", ("m", 1, "rnn.{n}.norm.running_var")),
        ("bn_wfx.2.bias", "PyTorch-Kaldi LSTM", ("", 2, "bn_wfx.{n}.bias")),
        ("wr.0.weight", "PyTorch-Kaldi GRU", ("", 0, "wr.{n}.weight")),
        ("sru.rnn_lst.0.scale_x", "sru.SRU", ("sru", 0, "rnn_lst.{n}.scale_x")),
        ("a/lstm/kernel", "Keras LSTM", ("a/lstm", 0, "kernel")),
        ("fc.2.weight", "PyTorch nn.Linear", ("fc.2", 0, "weight")),
        ("bias", "PyTorch nn.Linear", ("", 0, "bias")),
    ],
)
def test_the_first_layout_that_knows_a_name(name, title, place):
    found = next((a.title, p) for a in BY_NAME if (p := a.place(name)) is not None)
    assert found == (title, place)


@pytest.mark.parametrize(
    "name", ["kernel", "fc.weights", "rnn.x.w.gain", "lstm/weight", "wfx.weights"]
)
def test_names_that_no_layout_knows(name):
    assert all(layout.place(name) is None for layout in BY_NAME)


@pytest.mark.parametrize(
    ("name", "leaf", "number"),
    [
        ("weight_ih_l{n}", "weight_ih_l0", 0),
        ("weight_ih_l{n}", "weight_ih_l12", 12),
        ("weight_ih_l{n}", "weight_ih_l", None),
        ("weight_ih_l{n}", "weight_ih_l01", None),
        ("weight_ih_l{n}", "weight_ih_l0_reverse", None),
        ("weight_ih_l{n}", "weight_ih", None),
        ("weight_ih", "weight_ih", 0),
        ("weight_ih", "weight_ih_l0", None),
        ("weight", "a_weight", None),
        ("a.b", "axb", None),
    ],
)
def test_number(name, leaf, number):
    assert Tensor(name, ("y",)).number(leaf) == number


@pytest.mark.parametrize(
    ("source", "gates", "units", "rule"),
    [
        ("x", "ifgo", "units", "[4*units, inputs]"),
        ("x", "ifgo", 3, "[12, inputs]"),
        ("h", "ifgo", "units", "[4*units, units]"),
        ("h", "ifgo", 3, "[12, 3]"),
        ("", "ifgo", 3, "[12]"),
        ("x", "y", "units", "[units, inputs]"),
        ("", "y", 5, "[5]"),
    ],
)
def test_rule(source, gates, units, rule):
    tensor = Tensor("name", tuple(gates), source)
    assert Layout("any", "lstm", (tensor,)).rule(tensor, units) == rule


def test_rules_of_other_axes():
    weights, bias = Tensor("k", tuple("zrn"), "x"), Tensor("b", tuple("zrnzrn"), rows=2)
    layout = Layout("any", "gru", (weights,), (bias,), columns_first=True)
    assert layout.rule(weights, "units") == "[inputs, 3*units]"
    assert layout.rule(weights, 4) == "[inputs, 12]"
    assert layout.rule(bias, "units") == "[2, 3*units]"
    assert layout.rule(bias, 4) == "[2, 12]"


def test_another_gate_order_is_one_entry(monkeypatch, tmp_path):
    """Rows marked with their gate land in the cell's order, whatever the file's."""
    order, units = "iofg", 2
    layout = Layout(
        "other",
        "lstm",
        (Tensor("W", tuple(order), "x"), Tensor("R", tuple(order), "h")),
        (Tensor("b", tuple(order)), Tensor("forget", ("f",))),
    )
    monkeypatch.setattr(modules, "LAYOUTS", (layout,))
    marks = np.repeat([float(ord(gate)) for gate in order], units)
    np.savez(
        tmp_path / "net.npz",
        W=np.tile(marks[:, None], 3),
        R=np.tile(marks[:, None], units),
        b=marks,
        forget=np.full(units, 1000.0),
    )
    (layer,) = checkpoint.import_checkpoint(tmp_path / "net.npz").layers
    for path in layer.paths:
        assert path.gates == ("i", "f", "g", "o")
        assert path.weights[:, 0, 0].tolist() == [ord(gate) for gate in "ifgo"]
    assert layer.bias[:, 1].tolist() == [ord("i"), ord("f") + 1000, ord("g"), ord("o")]
