# SPDX-License-Identifier: Apache-2.0
"""Paths of integer-only LSTMs against their float originals, and what is said about them."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.integer_lstm.float_engine import run_float
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, to_model
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.reports.lstm_paths import describe_lstm
from deltaloom.golden.reports.pairs import coded_pair
from deltaloom.golden.reports.warnings import ENDS, warnings_of

DATA = Dataset(tuple(make_frames(4, [60, 40, 9])))


def made(variant, **options):
    floats = make_lstm_network(variant, (4, 6, 5), classes=3)
    return quantize(floats, DATA, **options), floats


def test_a_linear_path_by_hand():
    network, floats = made("plain")
    report = describe_lstm(network, floats, DATA)[-1]
    layer, own = network.layers[-1], floats.layers[-1]
    y = np.concatenate(run_float(FloatNetwork(layers=floats.layers[:-1]), DATA.features))
    codes = layer.x.codes(y)
    low, high = layer.x.real(np.array([-128, 127]))
    assert (report.name, report.weight_bits, report.activation_bits) == ("linear.0.x", 8, 8)
    assert report.activation_range == pytest.approx((low, high))
    assert report.at_rails == ((codes == -128) | (codes == 127)).sum()
    assert report.samples == y.size and report.saturated == 0
    values = layer.weights * layer.weight_scale[:, None]
    noise = (own.weights @ y.T - values @ layer.x.real(codes).T).var(axis=1).sum()
    power = (own.weights @ y.T).var(axis=1).sum()
    assert report.product_sqnr == pytest.approx(10 * np.log10(power / noise))
    assert report.weight_scale == (layer.weight_scale.min(), layer.weight_scale.max())
    assert (report.clipped, report.rounded) == (0, 0)
    centred = (codes - layer.x.zero_point) @ layer.weights.T
    assert np.abs(centred).max() <= report.bound


@pytest.mark.parametrize("variant", ["plain", "norm", "peephole", "projection", "all"])
def test_all_paths(variant):
    network, floats = made(variant, corrected=True)
    network = network.with_thresholds({"lstm.1.h": 7})
    reports = describe_lstm(network, floats, DATA)
    assert [report.name for report in reports] == [name for name, _ in network.paths()]
    assert [report.threshold for report in reports if report.threshold] == [7]
    for report, (_, path) in zip(reports, network.paths(), strict=True):
        assert report.weights == path.rows * path.columns
        assert 25 < report.product_sqnr < 60 and report.saturated == 0


def test_a_model_is_compared_where_its_layers_are_the_network_s():
    network, floats = made("plain")
    model = to_model(floats)
    reports = [path.report() for path in coded_pair(network, model, DATA)]
    assert reports == list(describe_lstm(network, floats, DATA))
    other, _ = made("projection")
    assert coded_pair(other, model, DATA) == ()
    assert coded_pair(make_network([("gru", 6)], 4), model, DATA) == ()
    first, *rest = model.layers
    assert (
        coded_pair(network, replace(model, layers=(replace(first, backward=True), *rest)), DATA)
        == ()
    )


def test_warnings_name_litert_s_mirrored_range_and_its_mend():
    network, floats = made("projection")
    lines = warnings_of(network, saturation(network, DATA), describe_lstm(network, floats, DATA))
    found = [line for line in lines if "mirrors" in line]
    assert [line.split(":")[0] for line in found] == ["lstm.0", "lstm.1"]
    assert all("quantize with --corrected where LiteRT's bits" in line for line in found)
    assert not any("lstm.1.m" in line for line in lines)  # its few dB are of that
    network, floats = made("projection", corrected=True)
    reports = describe_lstm(network, floats, DATA)
    lines = warnings_of(network, saturation(network, DATA), reports)
    assert not any("mirrors" in line or line.startswith("products") for line in lines)


def test_warnings_of_features_and_products():
    network, floats = made("plain")
    scale = np.array([1, 1, 1e-4, 3], np.float32)
    data = Dataset(tuple(x * scale for x in DATA.features))
    reports = [replace(r, product_sqnr=12.0) for r in describe_lstm(network, floats, DATA)[:2]]
    lines = warnings_of(network, saturation(network, data), reports)
    assert lines[0].startswith("products of lstm.0.x 12.0 dB, lstm.0.h 12.0 dB: an SQNR below 25")
    assert lines[1].startswith(
        "input features 2: less than one code of lstm.0.x on this data; scale"
    )
    assert (
        lines[2].startswith("input features 3: ") and "quantize with --data that reach" in lines[2]
    )


def test_there_is_nothing_to_quantize_of_an_imported_file():
    """Neither --data nor another option mends what its ranges cut."""
    network, _ = made("projection")
    scale = np.array([1, 1, 1e-4, 90], np.float32)
    data = Dataset(tuple(x * scale for x in DATA.features))
    found = saturation(network, data)
    assert sum("quantize with" in line for line in warnings_of(network, found)) > 3
    lines = warnings_of(replace(network, calibrated=False), found)
    assert not any("quantize" in line for line in lines)
    assert any(line.startswith("input features 3:") and line.endswith(ENDS) for line in lines)
    assert any(line.endswith("LiteRT mirrors its range") for line in lines)
