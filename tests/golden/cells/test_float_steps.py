# SPDX-License-Identifier: Apache-2.0
"""Float steps against the papers' equations, and an RNN against ONNX's reference."""

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath, run_float

rng = np.random.default_rng(0)
UNITS = 500


def s(x):
    return 1 / (1 + np.exp(-x))


def hs(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def lstm_hard(p, c, h, v):
    new = hs(p["f"]) * c + hs(p["i"]) * np.tanh(p["g"])
    return new, hs(p["o"]) * np.tanh(new)


def gru_hard(p, c, h, v):
    z = hs(p["z"])
    return c, (1 - z) * np.tanh(p["nx"] + hs(p["r"]) * p["nh"]) + z * h


def ligru_tanh(p, c, h, v):
    z = s(p["z"])
    return c, z * h + (1 - z) * np.tanh(p["a"])


def min_gru(p, c, h, v):
    """Feng et al. 2024, section 3.1: h = (1 - z) * h' + z * h~."""
    z = s(p["z"])
    new = (1 - z) * c + z * p["n"]
    return new, new


def min_lstm(p, c, h, v):
    """Feng et al. 2024, section 3.2, with the gates scaled to a sum of 1."""
    f, i = s(p["f"]), s(p["i"])
    new = f / (f + i) * c + i / (f + i) * p["n"]
    return new, new


def lstm_clip(p, c, h, v):
    """Sak et al. 2014, with c within +-clip as in TensorFlow's cell_clip."""
    new = s(p["f"]) * c + s(p["i"]) * np.tanh(p["g"])
    new = np.clip(new, -v["clip"], v["clip"])
    return new, s(p["o"]) * np.tanh(new)


def janet(p, c, h, v):
    """Van der Westhuizen and Lasenby 2018, equation 7, beta = 1."""
    new = s(p["f"]) * c + (1 - s(p["f"] - 1)) * np.tanh(p["g"])
    return new, new


def ind_rnn(p, c, h, v):
    """Li et al. 2018, equation 2."""
    new = np.maximum(p["n"] + v["u"] * c, 0)
    return new, new


def fast_grnn(p, c, h, v):
    """Kusupati et al. 2018, section 3.2."""
    z = s(p["z"])
    new = (v["zeta"] * (1 - z) + v["nu"]) * np.tanh(p["n"]) + z * c
    return new, new


def qrnn(p, c, h, v):
    """Bradbury et al. 2017, section 2.1, fo-pooling."""
    f = s(p["f"])
    new = f * c + (1 - f) * np.tanh(p["z"])
    return new, s(p["o"]) * new


def output(function):
    return lambda p, c, h, v: (c, function(next(iter(p.values()))))


EQUATIONS = {
    "lstm_hard": lstm_hard,
    "gru_hard": gru_hard,
    "ligru_tanh": ligru_tanh,
    "rnn_tanh": output(np.tanh),
    "rnn_relu": output(lambda y: np.maximum(y, 0)),
    "lstm_clip": lstm_clip,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "janet": janet,
    "ind_rnn": ind_rnn,
    "fast_grnn": fast_grnn,
    "qrnn": qrnn,
    "linear_relu": output(lambda y: np.maximum(y, 0)),
    "linear_sigmoid": output(s),
    "linear_tanh": output(np.tanh),
    "linear_hard_sigmoid": output(hs),
}


@pytest.mark.parametrize("kind", EQUATIONS)
def test_float_step_is_the_papers(kind):
    cell = CELLS[kind]
    p = {gate: rng.normal(size=UNITS) * 3 for gate in cell.gates}
    v = {name: rng.normal(size=UNITS) for name in cell.vectors}
    v |= {"clip": np.abs(v["clip"])} if "clip" in v else {}
    c, h = rng.normal(size=(2, UNITS))
    after = cell.float_step(p, State(c, h), Numbers(vectors=v))
    expected = EQUATIONS[kind](p, c, h, v)
    for got, wanted in zip(after, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)


def test_rnn_is_that_of_onnx():
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    helper, units, inputs, steps = onnx.helper, 6, 4, 20
    w, r = rng.normal(size=(1, units, inputs)), rng.normal(size=(1, units, units)) / 2
    b, x = rng.normal(size=(1, 2 * units)), rng.normal(size=(steps, 1, inputs))
    node = helper.make_node("RNN", ["x", "w", "r", "b"], ["y"], hidden_size=units)
    info = [helper.make_tensor_value_info(n, 1, None) for n in "xwrby"]
    graph = helper.make_graph([node], "rnn", info[:4], info[4:])
    feeds = {n: a.astype(np.float32) for n, a in zip("xwrb", (x, w, r, b), strict=True)}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    expected = reference.ReferenceEvaluator(model).run(None, feeds)[0][:, 0, 0]
    paths = tuple(
        FloatPath(source=source, gates=("n",), weights=matrix.astype(np.float32))
        for source, matrix in (("x", w), ("h", r))
    )
    bias = (b[:, :units] + b[:, units:]).astype(np.float32)
    layer = FloatLayer(name="rnn", kind="rnn_tanh", paths=paths, bias=bias)
    outputs, _ = run_float(FloatModel(layers=(layer,)), x[:, 0].astype(np.float32))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
