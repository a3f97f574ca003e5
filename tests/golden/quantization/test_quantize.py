# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: numbers by hand, bounds to the float model, odd models."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import code_range, from_fixed, rshr, to_fixed
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.calibration import LayerStatistics, observe
from deltaloom.golden.quantization.clipping import squared_error
from deltaloom.golden.quantization.quantize import (
    Scheme,
    exponent_for,
    make_quantizer,
    quantize,
    quantize_with,
)

SHAPE = [("lstm", 24), ("lstm", 17), ("linear", 5)]
PLAIN = {"rounding": "nearest", "activation_codes": "symmetric"}
ALL_SCHEMES = [
    Scheme(weight_bits=w, activation_bits=a, granularity=g, clipping=c, **PLAIN)
    for w, a in ((16, 16), (8, 8), (4, 8), (2, 4), (8, 2))
    for g in ("row", "tensor")
    for c in ("mmse", "max")
]


def linear(weights, bias, name="linear"):
    weights = np.asarray(weights, np.float32)[None]
    path = FloatPath(source="x", gates=("y",), weights=weights)
    bias = np.asarray(bias, np.float32)[None]
    return FloatLayer(name=name, kind="linear", paths=(path,), bias=bias)


def change_arrays(model, change):
    """The model with change(array) in place of every weight and bias array."""
    return replace(
        model,
        layers=tuple(
            replace(
                layer,
                bias=change(layer.bias),
                paths=tuple(replace(p, weights=change(p.weights)) for p in layer.paths),
            )
            for layer in model.layers
        ),
    )


def worst_error(model: FloatModel, network: Network, data: Dataset) -> float:
    results = run(network, [quantize_frames(network, x) for x in data.features])
    floats = run_float_batch(model, data.features)
    return max(
        float(np.abs(real_outputs(network, r.outputs) - y).max(initial=0))
        for r, y in zip(results, floats, strict=True)
    )


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [(0, 0), (0.9, 0), (0.92, 1), (1.0, 1), (4.0, 3), (3.6, 2), (7.2, 3), (7.3, 4), (3723, 12)],
)
def test_exponents_leave_a_tenth(largest, exponent):
    assert exponent_for(largest, "c") == exponent


def test_exponent_out_of_reach():
    with pytest.raises(
        UserError, match=r"^input features: reaches 3724, the widest format ends at "
    ):
        exponent_for(3724, "input features")


@pytest.mark.parametrize("exponent", [0, 3, 12])
def test_16_bit_codes_are_the_words(exponent):
    scheme = Scheme(activation_codes="asymmetric")
    quantizer = make_quantizer([np.array([0.3])], exponent, 16, scheme)
    words = np.array([-32768, -1, 0, 1, 32767])
    np.testing.assert_array_equal(quantizer(words), words)
    assert quantizer.scale == 2.0 ** (exponent - 15)


@pytest.mark.parametrize(("bits", "clipping"), [(8, "max"), (4, "max"), (2, "max"), (8, "mmse")])
def test_quantizer_rounds_to_the_nearest_code(bits, clipping):
    samples = np.linspace(-1.7, 1.7, 9001)
    quantizer = make_quantizer([samples], 1, bits, Scheme(clipping=clipping, **PLAIN))
    low, high = code_range(bits)
    assert quantizer.scale == pytest.approx(1.7 / high, rel=2e-2 if clipping == "mmse" else 1e-4)
    exact = np.clip(np.floor(samples / quantizer.scale + 0.5), low, high)
    codes = quantizer(to_fixed(samples, 1))
    assert np.abs(codes - exact).max() <= 1
    # Only where the int16 word falls on the other side of a rounding edge.
    assert (codes != exact).mean() < 2.0**-14 / quantizer.scale * 2


def test_quantizer_of_a_source_that_is_always_zero_takes_the_whole_format():
    quantizer = make_quantizer([np.zeros(5)], 2, 8, Scheme())
    assert quantizer(to_fixed([4.0, -4.0, 2.0], 2)).tolist() == [127, -127, 64]


def test_quantizer_is_never_finer_than_a_word():
    quantizer = make_quantizer([np.array([1e-9])], 0, 8, Scheme(clipping="max"))
    assert quantizer(np.array([5, -7])).tolist() == [5, -7]


def test_one_linear_unit_by_hand():
    """y = 0.5 x0 - 1.27 x1 + 0.25 with |x| to 2: scales 0.01 and 2/127, y to 3.79 as Q3.12."""
    model = FloatModel(layers=(linear([[0.5, -1.27]], [0.25]),))
    data = Dataset((np.array([[2, -2], [1, 1]], np.float32),))
    network = quantize(model, data, Scheme(clipping="max"))
    (layer,) = network.layers
    (path,) = layer.paths
    assert network.x_exponent == 2  # 2.2 fits Q2.13
    assert layer.h_exponent == 3  # 3.79 * 1.1 = 4.17
    assert layer.bias.tolist() == [[1024]]
    assert path.weights.tolist() == [[[50, -127]]]
    assert path.weight_scale[0, 0] == pytest.approx(0.01, rel=1e-6)
    assert path.quantizer.scale == pytest.approx(2 / 127, rel=2**-15)
    real = 0.01 * 2 / 127 * 4096
    assert path.mult[0, 0] * 0.5 ** path.shift[0] == pytest.approx(real, rel=2**-14)
    assert path.mult[0, 0] >= 1 << 14  # all of its bits are used
    (result,) = run(network, [quantize_frames(network, data.features[0])])
    expected = np.array([[0.5 * 2 + 1.27 * 2 + 0.25], [0.5 - 1.27 + 0.25]])
    np.testing.assert_allclose(real_outputs(network, result.outputs), expected, atol=0.01)


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_scheme_is_what_the_network_has(make_model, make_dataset, scheme):
    model, data = make_model(SHAPE, 6), make_dataset(6, [30, 20])
    network = quantize(model, data, scheme)
    for _, path in network.paths():
        assert path.weight_bits == scheme.weight_bits
        assert path.quantizer.bits == scheme.activation_bits
        assert path.quantizer.zero_point == 0 and path.threshold == 0
        same = (path.weight_scale == path.weight_scale[:, :1]).all()
        assert same == (scheme.granularity == "tensor")


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_mmse_is_never_worse_than_max(make_model, make_dataset, bits, granularity):
    model, data = make_model(SHAPE, 6), make_dataset(6, [30, 20])
    heavy = change_arrays(model, lambda a: (a**3 * 20).astype(np.float32))  # long tails
    statistics = observe(heavy, data)
    noise = {}
    for clipping in ("mmse", "max"):
        scheme = Scheme(weight_bits=bits, granularity=granularity, clipping=clipping, **PLAIN)
        network = quantize_with(heavy, statistics, scheme)
        noise[clipping] = [
            np.square(path.weights * path.weight_scale[..., None] - source.weights).sum(axis=(1, 2))
            for layer, floats in zip(network.layers, heavy.layers, strict=True)
            for path, source in zip(layer.paths, floats.paths, strict=True)
        ]
    ratios = np.concatenate(noise["mmse"]) / np.concatenate(noise["max"])
    assert ratios.max() <= 1 + 1e-12
    if bits <= 4:
        assert ratios.min() < 0.9


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), units=st.sampled_from([1, 3, 37]), inputs=st.integers(1, 9))
def test_16_bits_equal_float(make_model, make_dataset, seed, units, inputs):
    """Every output of 40 steps within 2e-3 of the float model."""
    model = make_model([("lstm", units), ("lstm", 8), ("linear", 3)], inputs, seed)
    data = make_dataset(inputs, [40, 7], seed=seed)
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    assert worst_error(model, network, data) < 2e-3


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_each_path_is_within_its_bound(make_model, make_dataset, scheme):
    """|path's part - W x| <= sum |w| * dx + sum |x^| * dw + what rescaling rounds, row by row.

    dx and dw are the quantization errors of each element, as they are: none is assumed.
    """
    model, data = make_model([("lstm", 12), ("linear", 5)], 6), make_dataset(6, [60])
    network = quantize(model, data, scheme)
    traces = {}
    run_float_batch(model, data.features, observe=traces.__setitem__)
    exponent = network.x_exponent
    for n, (layer, floats) in enumerate(zip(network.layers, model.layers, strict=True)):
        lsb = 2.0 ** (layer.gate_exponents[0] - 15)
        for path, source in zip(layer.paths, floats.paths, strict=True):
            real = traces[n].x if path.source == "x" else traces[n].h
            at = exponent if path.source == "x" else layer.h_exponent
            codes = path.quantizer(to_fixed(real, at))
            m = codes @ path.matrix.T
            shape = (len(codes), *path.mult.shape)
            part = rshr(m.reshape(shape) * path.mult, path.shift[:, None]) * lsb
            weights = source.weights.astype(np.float64).reshape(path.rows, -1)
            recovered = path.matrix * path.weight_scale.reshape(-1, 1)
            dx = np.abs(codes * path.quantizer.scale - real)
            dw = np.abs(recovered - weights)
            bound = dx @ np.abs(weights).T + np.abs(codes) * path.quantizer.scale @ dw.T
            factor = np.abs(m) * np.repeat(0.5 ** (path.shift + 1.0), path.units) + 0.5
            error = np.abs(part.reshape(m.shape) - real @ weights.T)
            assert (error <= bound + factor * lsb + 1e-12).all()
        exponent = layer.h_exponent


def test_fewer_bits_are_worse(make_model, make_dataset):
    model, data = make_model(SHAPE, 6), make_dataset(6, [60, 50])
    statistics = observe(model, data)
    errors = [
        worst_error(model, quantize_with(model, statistics, scheme), data)
        for scheme in (
            Scheme(weight_bits=16, activation_bits=16),
            Scheme(),
            Scheme(weight_bits=4),
            Scheme(weight_bits=2),
        )
    ]
    assert errors == sorted(errors)
    assert errors[1] < 0.03


def test_cell_state_beyond_8_saturates(make_model, make_dataset):
    """A forget gate that stays open and an input of one sign integrate to far outside +-8."""
    model = make_model([("lstm", 4)], 2)
    (layer,) = model.layers
    bias = np.zeros_like(layer.bias)
    bias[:2] = 20.0  # i, f: open
    bias[2] = 3.0  # g: near 1
    model = replace(model, layers=(replace(layer, bias=bias),))
    data = make_dataset(2, [60])
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    (seen,) = observe(model, data)
    assert seen.c > 50
    assert network.layers[0].c_exponent == 3  # tanh's table ends there
    assert worst_error(model, network, data) < 3e-3


def test_biases_beyond_int20_saturate(make_model, make_dataset):
    model = make_model([("lstm", 3)], 2)
    (layer,) = model.layers
    bias = layer.bias.copy()
    bias[3] = [500.0, -500.0, 0.0]
    model = replace(model, layers=(replace(layer, bias=bias),))
    data = make_dataset(2, [20])
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    assert network.layers[0].bias[3].tolist()[:2] == [(1 << 19) - 1, -(1 << 19)]
    assert worst_error(model, network, data) < 2e-3


def test_large_linear_bias_that_products_cancel():
    """y = 100 x - 100, x near 1: y is small, but the bias must fit 16 times y's format."""
    model = FloatModel(layers=(linear([[100.0]], [-100.0]),))
    data = Dataset((np.linspace(0.99, 1.01, 50, dtype=np.float32)[:, None],))
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    assert network.layers[0].h_exponent == 3
    assert worst_error(model, network, data) < 0.01


def zero_row(a):
    a = a.copy()
    a[..., :1, :] = 0
    return a


def zero_column(a):
    a = a.copy()
    a[..., -1] = 0
    return a


@pytest.mark.parametrize("change", [zero_row, zero_column, np.zeros_like])
@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_models_with_zeros(make_model, make_dataset, change, scheme):
    model, data = change_arrays(make_model(SHAPE, 6), change), make_dataset(6, [20])
    network = quantize(model, data, scheme)
    assert all(np.isfinite(path.weight_scale).all() for _, path in network.paths())
    (result,) = run(network, [quantize_frames(network, data.features[0])])
    if change is np.zeros_like:
        assert not result.outputs.any()


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_one_unit_and_one_input(make_model, make_dataset, scheme):
    model, data = make_model([("lstm", 1), ("linear", 1)], 1), make_dataset(1, [30, 0, 1])
    assert worst_error(model, quantize(model, data, scheme), data) < 1.0


@pytest.mark.parametrize("value", [0.0, 1e-30, 3.0])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_constant_inputs(make_model, value, bits):
    model = make_model([("lstm", 5), ("linear", 2)], 3)
    data = Dataset((np.full((20, 3), value, np.float32),))
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=bits))
    assert worst_error(model, network, data) < (2e-3 if bits == 16 else 0.02 if bits == 8 else 1.0)


def test_rows_of_very_different_size():
    """Rows 1e-6 as large share a shift: their absolute error stays that of the large row."""
    weights = np.array([[1.0, -0.5], [1e-6, -0.5e-6], [3e-3, 1e-3]])
    model = FloatModel(layers=(linear(weights, np.zeros(3)),))
    data = Dataset((np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32),))
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    results = run(network, [quantize_frames(network, data.features[0])])
    error = np.abs(real_outputs(network, results[0].outputs) - data.features[0] @ weights.T)
    lsb = 2.0 ** (network.y_exponent - 15)
    assert (error <= 2 * lsb).all()


def test_weights_too_large_for_the_format(make_model, make_dataset):
    model = change_arrays(make_model([("lstm", 3)], 2), lambda a: a * np.float32(1e9))
    with pytest.raises(
        UserError, match=r"lstm0\.x: a rescale factor of .* the weights are too lar"
    ):
        quantize(model, make_dataset(2, [9]), Scheme(weight_bits=2, activation_bits=2))


def test_weights_that_are_not_finite(make_model, make_dataset):
    model, data = make_model([("lstm", 3)], 2), make_dataset(2, [9])
    statistics = observe(model, data)
    broken = change_arrays(model, lambda a: np.where(a == a.max(), np.float32(np.nan), a))
    with pytest.raises(UserError, match="lstm0 bias: a value is NaN or infinite; mend the check"):
        quantize_with(broken, statistics)


def test_labels_come_from_the_model_or_the_data(make_model, make_dataset):
    model, data = make_model([("linear", 2)], 3), make_dataset(3, [5])
    assert quantize(model, data).labels == ()
    named = replace(data, label_names=("a", "b"))
    assert quantize(model, named).labels == ("a", "b")
    assert quantize(replace(model, labels=("c", "d")), named).labels == ("c", "d")
    assert quantize(model, replace(data, label_names=("a", "b", "c"))).labels == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_bits": 1}, r"^weight bits: 1 is not possible, it must be one of 2\.\.16$"),
        ({"activation_bits": 32}, "activation bits: 32 is not possible"),
        ({"granularity": "column"}, "granularity: 'column' is not possible, .* row, tensor"),
        ({"clipping": "none"}, "clipping: 'none' is not possible, .* mmse, paper, max"),
    ],
)
def test_scheme_checks(changes, message):
    with pytest.raises(UserError, match=message):
        Scheme(**changes)


def test_progress_reaches_the_end(make_model, make_dataset):
    seen = {}
    quantize(make_model(SHAPE, 6), make_dataset(6, [9]), progress=seen.__setitem__)
    assert seen == {"float model on calibration data": 1.0, "weights": 1.0}


def test_activation_clip_is_the_best_for_the_samples(make_model):
    samples = np.random.default_rng(0).laplace(size=4000)
    model = make_model([("linear", 2)], 1)
    seen = LayerStatistics({"x": samples}, float(np.abs(samples).max()), 0.0, 1.0)
    network = quantize_with(model, (seen,), Scheme(activation_bits=4))
    (path,) = network.layers[0].paths
    clip = 7 * path.quantizer.scale
    errors = [float(squared_error(samples, clip * k, 4)) for k in (0.9, 1.0, 1.1)]
    assert errors[1] == min(errors)
    assert from_fixed(32767, network.x_exponent) > 1.05 * seen.x
