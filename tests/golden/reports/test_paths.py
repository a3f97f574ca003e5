# SPDX-License-Identifier: Apache-2.0
"""The quantization report, by hand and against the network."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from deltaloom.golden.arithmetic import multiplier
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Quantizer
from deltaloom.golden.quantization.calibration import LayerStatistics, observe
from deltaloom.golden.quantization.quantize import Scheme, quantize_with
from deltaloom.golden.reports.paths import describe, sqnr

PLAIN = {"rounding": "nearest", "activation_codes": "symmetric"}


def test_sqnr():
    assert sqnr(np.array([3.0, 4.0]), np.array([3.0, 3.5])) == pytest.approx(20.0)
    assert sqnr(np.array([3.0]), np.array([3.0])) == inf


def test_by_hand():
    """Weights 1 and 7 at 4 bits keep their values; samples to 2 at 2 bits: codes -2..1 of 2."""
    weights = np.array([[[1.0, 7.0]]], np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 1), np.float32))
    model = FloatModel(layers=(layer,))
    samples = np.array([2.0, -2.0, 0.5, 0.0])
    statistics = (LayerStatistics({"x": samples}, 2.0, 0.0, 10.0),)
    scheme = Scheme(weight_bits=4, activation_bits=2, clipping="max", **PLAIN)
    network = quantize_with(model, statistics, scheme)
    (report,) = describe(network, model, statistics)
    assert (report.name, report.weight_bits, report.activation_bits) == ("out.x", 4, 2)
    assert report.weight_scale == (1.0, 1.0)
    assert (report.clipped, report.clip_loss, report.weight_sqnr) == (0.0, 0.0, inf)
    assert report.activation_scale == 2.0
    assert report.saturated == 0.0
    assert report.activation_sqnr == pytest.approx(10 * np.log10(8.25 / 0.25))
    assert report.activation_range == (-4.0, 2.0)
    assert (report.at_rails, report.samples) == (1, 4)  # 2 is code 1; -2 is code -1, not -2
    assert (report.weights, report.kilobytes) == (2, 0.001)
    assert (report.bound, report.accumulator_bits) == (16, 6)  # 8 * 2 = 16 needs 6 signed bits
    (wide,) = describe(network, model, (LayerStatistics({"x": samples * 2}, 4.0, 0.0, 10.0),))
    assert wide.saturated == 25.0  # 4 is beyond code 1; -4 is code -2
    assert wide.at_rails == 3  # 1 is half a code, which rounds up to code 1


def test_products_by_hand():
    """Codes 1 and 0 of 2 stand for 2 and 0.5: products 2 and 0.5 become 2 and 0."""
    weights = np.array([[[1.0, 7.0]]], np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 1), np.float32))
    model = FloatModel(layers=(layer,))
    frames = np.array([[2.0, 0.0], [0.5, 0.0]], np.float32)
    seen = LayerStatistics({"x": frames.reshape(-1)}, 2.0, 0.0, 10.0, frames={"x": frames})
    scheme = Scheme(weight_bits=4, activation_bits=2, clipping="max", **PLAIN)
    network = quantize_with(model, (seen,), scheme)
    (report,) = describe(network, model, (seen,))
    assert report.product_sqnr == pytest.approx(10 * np.log10(0.75**2 / 0.25**2), rel=1e-3)
    assert report.rounded == 0.0


def test_gptq_shows(make_model, make_dataset):
    model, data = make_model([("lstm", 12), ("linear", 3)], 6), make_dataset(6, [200])
    statistics = observe(model, data)
    nearest, other = (
        describe(quantize_with(model, statistics, scheme), model, statistics)
        for scheme in (Scheme(weight_bits=2, **PLAIN), Scheme(weight_bits=2, rounding="gptq"))
    )
    for before, after in zip(nearest, other, strict=True):
        assert before.rounded == 0.0 < after.rounded < 60.0
        assert after.product_sqnr > before.product_sqnr


def test_clipped_weights_are_counted():
    """Weights 1 .. 1, 10 at 2 bits: a step of 1 cuts 10 to 1."""
    weights = np.array([[[1.0] * 99 + [10.0]]], np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 1), np.float32))
    model = FloatModel(layers=(layer,))
    statistics = (LayerStatistics({"x": np.ones(3)}, 1.0, 0.0, 1.0),)
    network = quantize_with(model, statistics, Scheme(weight_bits=2))
    (report,) = describe(network, model, statistics)
    step = report.weight_scale[0]
    assert step == pytest.approx(1.1)  # 99 (1 - a)**2 + (10 - a)**2 is least at 1.09
    assert report.clipped == 1.0
    assert report.clip_loss == pytest.approx(100 * (10 - step) ** 2 / 199)


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_more_bits_have_less_noise(make_model, make_dataset, granularity):
    model, data = make_model([("lstm", 9), ("linear", 4)], 5), make_dataset(5, [40])
    statistics = observe(model, data)
    before = None
    for bits in (2, 4, 8, 16):
        scheme = Scheme(weight_bits=bits, activation_bits=bits, granularity=granularity)
        network = quantize_with(model, statistics, scheme)
        reports = describe(network, model, statistics)
        assert [r.name for r in reports] == [name for name, _ in network.paths()]
        assert [r.bound for r in reports] == [path.bound for _, path in network.paths()]
        if before is not None:
            for now, last in zip(reports, before, strict=True):
                assert now.weight_sqnr > last.weight_sqnr + 8
                assert now.activation_sqnr > last.activation_sqnr + 8
        before = reports


def test_a_zero_point_moves_the_range():
    """2 bits of 1 around a zero point of -2: codes -2..1 are 0..3."""
    weights = np.ones((1, 1, 1), np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 1), np.float32))
    model = FloatModel(layers=(layer,))
    samples = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -1.0, 3.25])
    statistics = (LayerStatistics({"x": samples}, 4.0, 0.0, 10.0),)
    network = quantize_with(model, statistics, Scheme(activation_bits=2, clipping="max"))
    (quantized,) = network.layers[0].paths
    mult, shift = multiplier(2.0 ** (network.x_exponent - 15))
    quantizer = Quantizer(bits=2, mult=mult, shift=shift, zero_point=-2, scale=1.0)
    moved = replace(network.layers[0], paths=(replace(quantized, quantizer=quantizer),))
    (report,) = describe(replace(network, layers=(moved,)), model, statistics)
    assert report.activation_range == (0.0, 3.0)
    assert report.saturated == pytest.approx(100 * 2 / 7)  # 4 and -1
    assert report.at_rails == 5  # 0, 3, 4, -1, 3.25
    noise = 1 + 1 + 0.25**2
    assert report.activation_sqnr == pytest.approx(10 * np.log10(np.square(samples).sum() / noise))


def test_zeros_have_no_numbers(make_dataset):
    path = FloatPath(source="x", gates=("y",), weights=np.zeros((1, 2, 3), np.float32))
    bias = np.zeros((1, 2), np.float32)
    model = FloatModel(layers=(FloatLayer(name="l", kind="linear", paths=(path,), bias=bias),))
    statistics = observe(model, make_dataset(3, [5]))
    (report,) = describe(quantize_with(model, statistics), model, statistics)
    assert report.weight_scale == (0.0, 0.0)
    assert (report.clipped, report.clip_loss, report.weight_sqnr, report.bound) == (0, 0, inf, 0)
