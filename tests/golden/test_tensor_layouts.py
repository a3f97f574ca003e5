# SPDX-License-Identifier: Apache-2.0
"""The table of layouts, and what is known about tensors that cannot be imported."""

import numpy as np
import pytest

from deltaloom.golden import checkpoint
from deltaloom.golden.cells import CELLS
from deltaloom.golden.tensor_layouts import (
    LAYOUTS,
    SUPPORTED,
    Layout,
    Tensor,
    other_cell,
    refusal,
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.title)
def test_layouts_agree_with_the_cells(layout):
    cell = CELLS[layout.kind]
    assert {t.source for t in layout.weights} == set(cell.sources)
    assert {g for t in layout.tensors for g in t.gates} == set(cell.gates)
    assert not any(t.source for t in layout.biases)
    assert len({"{n}" in name for name in layout.names}) == 1
    assert layout.title in SUPPORTED


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
    assert Tensor("name", tuple(gates), source).rule(units) == rule


@pytest.mark.parametrize(
    ("name", "shape", "what"),
    [
        ("lstm.weight_ih_l0_reverse", (16, 3), "the backward half of a bidirectional layer"),
        ("lstm.weight_hr_l0", (2, 4), "the projection of an LSTM with proj_size"),
        ("bn.running_mean", (4,), "BatchNorm"),
        ("bn.num_batches_tracked", (), "BatchNorm"),
        ("norm.weight", (4,), "LayerNorm or BatchNorm"),
        ("conv.weight", (8, 4, 3), "a convolution"),
        ("conv.weight", (8, 4, 3, 3), "a convolution"),
        ("embedding.weight", (100, 3), "an embedding"),
        ("encoder.word_emb.weight", (100, 3), "an embedding"),
        ("fc.weight_g", (2, 1), "weight normalization"),
        ("fc.parametrizations.weight.original0", (2, 1), "weight normalization"),
        ("attention.in_proj_weight", (12, 4), "attention"),
    ],
)
def test_other_layers_are_known(name, shape, what):
    found = refusal(name, shape)
    assert found is not None and found.startswith(what)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fc.weight", (2, 4)),
        ("weight", (2, 4)),
        ("fc.bias", (2,)),
        ("lstm.weight_ih_l0", (16, 3)),
        ("embedding.bias", (4,)),
        ("odd", (1, 2, 3)),
    ],
)
def test_nothing_against_the_rest(name, shape):
    assert refusal(name, shape) is None


@pytest.mark.parametrize(
    ("shape", "what"),
    [((12, 4), "an nn.GRU"), ((4, 4), "an nn.RNN"), ((13, 4), None), ((20, 4), None)],
)
def test_other_cells(shape, what):
    assert other_cell(*shape) == what


def test_another_gate_order_is_one_entry(monkeypatch, tmp_path):
    """Rows marked with their gate land in the cell's order, whatever the file's."""
    order, units = "iofg", 2
    layout = Layout(
        "other",
        "lstm",
        (Tensor("W", tuple(order), "x"), Tensor("R", tuple(order), "h")),
        (Tensor("b", tuple(order)), Tensor("forget", ("f",))),
    )
    monkeypatch.setattr(checkpoint, "LAYOUTS", (layout,))
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
