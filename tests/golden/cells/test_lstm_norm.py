# SPDX-License-Identifier: Apache-2.0
"""Means over a layer's units: the LSTM with layer normalization, step by step and in a network."""

import numpy as np
import pytest

from deltaloom.golden.cells import Numbers, State, describe
from deltaloom.golden.cells.lstm_norm import lstm_norm
from deltaloom.golden.cells.norm import EPSILON, epsilons
from deltaloom.golden.cells.values import GATE, UNIT, C, Format, mean, over_root, rshr, sat16, tanh
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath, run_float
from deltaloom.golden.quantization.quantize import quantize

UNITS = 64


def reference(p, c, v):
    """Ba et al. 2016, section 3.1, as in a hand-written PyTorch cell with F.layer_norm a gate."""

    def norm(gate):
        x = p[gate]
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return centred / deviation * v[f"gain_{gate}"] + v[f"bias_{gate}"]

    i, f, o = (1 / (1 + np.exp(-norm(gate))) for gate in "ifo")
    new = f * c + i * np.tanh(norm("g"))
    return new, o * np.tanh(new)


def inputs(rng, scale=1.0, offset=0.0):
    p = {g: np.clip(rng.normal(size=(9, UNITS)) * scale + offset, -7.9, 7.9) for g in "ifgo"}
    vectors = {n: rng.normal(size=UNITS) * 0.3 + n.startswith("gain") for n in lstm_norm.vectors}
    return p, rng.normal(size=(9, UNITS)), vectors | epsilons(lstm_norm, UNITS)


def test_float_step_is_the_papers():
    p, c, v = inputs(np.random.default_rng(0))
    got = lstm_norm.float_step(p, State(c, np.zeros_like(c)), Numbers(vectors=v))
    for one, wanted in zip(got, reference(p, c, v), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (2, -3), (0.3, 5)])
def test_integer_step_is_close_to_it(scale, offset):
    p, c, v = inputs(np.random.default_rng(1), scale, offset)
    codes = {gate: np.round(values * 4096).astype(np.int64) for gate, values in p.items()}
    vectors = {name: np.round(values * 2**14).astype(np.int64) for name, values in v.items()}
    vectors |= {name: np.full(UNITS, 167) for name in v if name.startswith("epsilon")}
    numbers = Numbers(c_exponent=3, vectors=vectors, vector_shift=18 - 1 - 3)
    before = State(np.round(c * 4096).astype(np.int64), np.zeros(c.shape, np.int64))
    after = lstm_norm.step(codes, before, numbers)
    np.testing.assert_allclose(after.h / 32768, reference(p, c, v)[1], rtol=0, atol=2e-3 / scale)


def test_what_is_not_finite_in_reals_is_in_integers():
    """All units alike: the variance is 0, and the root that of epsilon."""
    p = {gate: np.full(7, -32768) for gate in "ifgo"}
    vectors = {name: np.zeros(7, np.int64) for name in lstm_norm.vectors}
    zero = np.zeros(7, np.int64)
    after = lstm_norm.step(p, State(zero, zero), Numbers(vectors=vectors, vector_shift=18))
    assert not after.h.any()


def test_a_network_with_it_is_quantized_and_runs():
    rng = np.random.default_rng(2)
    shapes = {"x": (4, UNITS, 10), "h": (4, UNITS, UNITS)}
    paths = tuple(
        FloatPath(
            source=source,
            gates=tuple("ifgo"),
            weights=(rng.normal(size=shape) / shape[2] ** 0.5).astype(np.float32),
        )
        for source, shape in shapes.items()
    )
    layer = FloatLayer(
        name="norm",
        kind="lstm_norm",
        paths=paths,
        bias=np.zeros((4, UNITS), np.float32),
        vectors={
            name: (rng.normal(size=UNITS) * 0.2 + name.startswith("gain")).astype(np.float32)
            for name in lstm_norm.vectors
        }
        | epsilons(lstm_norm, UNITS),
    )
    model = FloatModel(layers=(layer,))
    frames = rng.normal(size=(40, 10)).astype(np.float32)
    network = quantize(model, Dataset(features=(frames,)))
    expected, _ = run_float(model, frames)
    (result,) = run(network, [quantize_frames(network, frames)])
    got = result.outputs / 32768
    assert np.abs(got - expected).max() < 0.05


WRONG = {
    "names for the turns": (
        {"x": "n", "bounded": True, "stages": ("a", "b")},
        lambda n: {"h": tanh(sat16(n - mean(n)))},
        r"stages \('a', 'b'\), one name is needed for each; a source makes two",
    ),
    "a root of what may be 0": (
        {"x": "n", "bounded": True},
        lambda n: {"h": tanh(sat16(over_root(n, mean(n * n), GATE)))},
        r"the root's argument reaches 0..\d+, it must be positive",
    ),
    "a root of what moves with an exponent": (
        {"x": "n", "bounded": True},
        lambda n, c: {"c": c, "h": tanh(sat16(over_root(n, mean(rshr(c * c, C)) + n * n, GATE)))},
        r"mul|add of",
    ),
    "a root with half a bit": (
        {"x": "n", "bounded": True},
        lambda n: {"h": tanh(sat16(over_root(n, mean(rshr(n * n, Format(13))) + 1, GATE)))},
        r"over_root of 12 fraction bits and 13 fraction bits in 12 fraction bits: all must be",
    ),
    "a mean of a constant": (
        {"x": "n", "bounded": True},
        lambda n, epsilon_n: {"h": tanh(sat16(n - mean(rshr(epsilon_n * 1, GATE)) + mean(n)))},
        "a mean of what is the same for all units; leave mean out",
    ),
    "a name of the hardware's": (
        {"x": "n", "bounded": True},
        lambda n, mean_v: {"h": tanh(sat16(n + rshr(mean_v * 1, GATE)))},
        "parameter mean_v, the hardware has names that begin with mean_, sum_, layer_",
    ),
    "a mean of what is too wide": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": sat16(rshr(mean(rshr(n * h, Format(40))), UNIT))},
        r"mean's argument reaches .*, it may have 36 bits",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_with_the_rule(name):
    options, function, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        describe(name="wrong", **options)(function)
