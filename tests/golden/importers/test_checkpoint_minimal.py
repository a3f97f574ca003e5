# SPDX-License-Identifier: Apache-2.0
"""minGRU and minLSTM from tensors of nn.Linear, against the equations of Feng et al. 2024.

The reference is independent of the golden model: the paper's recurrences, one line per equation.
"""

from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import save_file

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import run_float

SIZES = [5, 7, 3]  # inputs, units of two layers
GATES = {"min_gru": ("z", "h"), "min_lstm": ("f", "i", "h")}
X = np.random.default_rng(5).normal(size=(19, SIZES[0]))


def state_dict(kind, biases=True):
    rng = np.random.default_rng(1)
    tensors = {}
    for n, (inputs, units) in enumerate(pairwise(SIZES)):
        for gate in GATES[kind]:
            name = f"net.layers.{n}.linear_{gate}"
            tensors[f"{name}.weight"] = rng.normal(size=(units, inputs)).astype(np.float32)
            if biases:
                tensors[f"{name}.bias"] = rng.normal(size=units).astype(np.float32)
    return tensors


def reference(kind, tensors, x):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for n in range(len(SIZES) - 1):
        a = {}
        for gate in GATES[kind]:
            name = f"net.layers.{n}.linear_{gate}"
            weight = tensors[f"{name}.weight"].astype(np.float64)
            a[gate] = x @ weight.T + tensors.get(f"{name}.bias", 0)
        h, outputs = 0.0, []
        for t in range(len(x)):
            if kind == "min_gru":
                z = sigmoid(a["z"][t])
                h = (1 - z) * h + z * a["h"][t]
            else:
                f, i = sigmoid(a["f"][t]), sigmoid(a["i"][t])
                h = f / (f + i) * h + i / (f + i) * a["h"][t]
            outputs.append(h)
        x = np.array(outputs)
    return x


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("kind", GATES)
def test_minimal_cells_are_the_papers(tmp_path, kind, biases):
    tensors = state_dict(kind, biases)
    np.savez(tmp_path / "model.npz", **tensors)
    model = import_checkpoint(tmp_path / "model.npz")
    assert [layer.kind for layer in model.layers] == [kind, kind]
    outputs, _ = run_float(model, X)
    np.testing.assert_allclose(outputs, reference(kind, tensors, X), atol=1e-6)


def test_layers_of_a_list_are_a_stack_whatever_their_order_in_the_file(tmp_path):
    tensors = {}
    for n in range(12):  # "10" is before "2" in a .safetensors
        for gate in ("z", "h"):
            tensors[f"rnns.{n}.linear_{gate}.weight"] = np.full((3, 3), n, np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    layers = import_checkpoint(tmp_path / "model.safetensors").layers
    assert [layer.paths[0].weights[0, 0, 0] for layer in layers] == [*range(12)]


def test_a_gate_that_is_missing_is_named(tmp_path):
    tensors = state_dict("min_lstm")
    del tensors["net.layers.1.linear_i.weight"], tensors["net.layers.1.linear_i.bias"]
    np.savez(tmp_path / "model.npz", **tensors)
    with pytest.raises(UserError) as caught:
        import_checkpoint(tmp_path / "model.npz")
    assert str(caught.value) == (
        f"{tmp_path / 'model.npz'}: net.layers.1.linear_i.weight is missing; minLSTM (Feng et al.) "
        "has it, shape [units, inputs], beside net.layers.1.linear_f.weight"
    )


def test_a_linear_layer_of_such_a_name_alone_is_no_cell(tmp_path):
    weight, bias = np.ones((2, 3), np.float32), np.ones(2, np.float32)
    tensors = {"head.linear_h.weight": weight, "head.linear_h.bias": bias}
    np.savez(tmp_path / "model.npz", **tensors)
    (layer,) = import_checkpoint(tmp_path / "model.npz").layers
    assert layer.kind == "linear"
