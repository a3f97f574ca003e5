# SPDX-License-Identifier: Apache-2.0
"""Sweeps of widths: every pair, the same as quantizing by itself; more bits are better."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import error, run_dataset, size_bits
from deltaloom.golden.evaluation.operations import eliminated
from deltaloom.golden.evaluation.sweep import (
    of_network,
    of_scheme,
    of_widths,
    sweep,
    sweep_networks,
)
from deltaloom.golden.integer_lstm.float_network import from_model
from deltaloom.golden.integer_lstm.recipe import quantize as quantize_lstm
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_each_pair(make_model, make_dataset, kind):
    model = make_model([(kind, 9), ("linear", 3)], 4)
    data = make_dataset(4, [40, 30], classes=3)
    statistics = observe(model, data)
    scheme = Scheme(granularity="tensor", rounding="gptq", skip="all")
    result = sweep(model, statistics, data, [2, 3, 11], [3, 16], scheme)
    pairs = [(p.weight_bits, p.activation_bits) for p in result.points]
    assert pairs == [(2, 3), (2, 16), (3, 3), (3, 16), (11, 3), (11, 16)]
    for point in result.points:
        own = Scheme(
            weight_bits=point.weight_bits,
            activation_bits=point.activation_bits,
            granularity="tensor",
            rounding="gptq",
            skip="all",
        )
        network = quantize_with(model, statistics, own)
        assert point.error == error(data, run_dataset(network, data).real(network))
        assert point.size_bits == size_bits(network)
    assert result.metric == ("frame error", "%")


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("which", ["weights", "activations"])
def test_all_widths_by_themselves(make_model, make_dataset, kind, which):
    """Against what the float model puts out, some 6 dB per bit."""
    model, data = make_model([(kind, 16), ("linear", 3)], 4), make_dataset(4, [80])
    statistics = observe(model, data)
    targets = tuple(y.astype(np.float32) for y in run_float_batch(model, data.features))
    data = Dataset(data.features, task="regression", targets=targets)
    widths, fixed = range(2, 17), [16]
    pair = (widths, fixed) if which == "weights" else (fixed, widths)
    result = sweep(model, statistics, data, *pair)
    nmse = [point.error for point in result.points]
    assert len(nmse) == 15 and result.metric == ("NMSE", "dB")
    for fewer, more in zip(nmse[:9], nmse[2:11], strict=True):
        assert 4 < fewer - more < 20
    assert nmse[-1] < -60


def test_single_paths_are_refused(make_model, make_dataset):
    model, data = make_model([("lstm", 4)], 3), make_dataset(3, [9], classes=4)
    scheme = Scheme(overrides={"lstm0.x": (4, 4)})
    with pytest.raises(UserError, match=r"^sweep: the scheme names bits of single paths; a sweep"):
        sweep(model, observe(model, data), data, [8], [8], scheme)


def test_each_threshold_of_each_network(make_model, make_dataset):
    """Thresholds in 8-bit codes; those of other widths are the same part of the range."""
    model = make_model([("lstm", 9), ("linear", 3)], 4)
    data = make_dataset(4, [40, 30], classes=3)
    statistics = observe(model, data)
    lstm = quantize_lstm(from_model(model), data)
    candidates = [*of_widths(model, statistics, [8], [4, 8]), of_network("integer", lstm)]
    result = sweep_networks(candidates, data, model, thresholds=[0, 20], keep_input=True)
    assert [(p.name, p.threshold) for p in result.points] == [
        (name, threshold) for name in ("W8 A4", "W8 A8", "integer") for threshold in (0, 20)
    ]
    for point in result.points:
        own = Scheme(weight_bits=8, activation_bits=point.activation_bits)
        network = lstm if point.scheme else quantize_with(model, statistics, own)
        codes = point.threshold if point.activation_bits == 8 else round(point.threshold / 16)
        wanted = {n: 0 if n == "lstm0.x" else codes for n, _ in network.paths()}
        network = network.with_thresholds(wanted)
        totals = run_dataset(network, data)
        assert point.error == error(data, totals.real(network))
        assert point.eliminated == eliminated(network, totals.events, data.frames)
        assert (point.weight_bits, point.size_bits) == (8, size_bits(network))
    assert result.float_error == error(data, run_float_batch(model, data.features))


def test_a_scheme_s_bits_are_told_where_all_paths_have_them(make_model, make_dataset):
    model, data = make_model([("lstm", 4), ("lstm", 4)], 3), make_dataset(3, [9], classes=4)
    statistics = observe(model, data)
    schemes = {"mixed": Scheme(overrides={"lstm0.x": (4, 8)}), "alike": Scheme(weight_bits=4)}
    candidates = [of_scheme(name, model, statistics, s) for name, s in schemes.items()]
    points = sweep_networks(candidates, data).points
    assert [(p.name, p.weight_bits, p.activation_bits) for p in points] == [
        ("mixed", None, 8),
        ("alike", 4, 8),
    ]


def test_sweeps_of_nothing(make_model, make_dataset):
    model, data = make_model([("lstm", 4)], 3), make_dataset(3, [9], classes=4)
    candidates = [*of_widths(model, observe(model, data), [8], [8])]
    with pytest.raises(UserError, match=r"^sweep: nothing to try; name at least one network and"):
        sweep_networks([], data)
    with pytest.raises(UserError, match=r"^sweep: nothing to try"):
        sweep_networks(candidates, data, thresholds=[])
    with pytest.raises(UserError, match=r"^threshold: 256 is not possible, it must be 0\.\.255"):
        sweep_networks(candidates, data, thresholds=[256])
    with pytest.raises(UserError, match=r"^sweep: W8 A8 is there twice; leave one of them out"):
        sweep_networks([*candidates, *candidates], data)
    other = make_model([("lstm", 5)], 3)
    with pytest.raises(UserError, match=r"^model: 3 inputs and 5 outputs, the network has 3 and 4"):
        sweep_networks(candidates, replace(data, labels=(data.labels[0] % 4,)), other)


def test_every_network_is_checked_before_anything_runs(make_model, make_dataset):
    model, data = make_model([("lstm", 4)], 3), make_dataset(3, [9], classes=4)
    fits = quantize_with(model, observe(model, data), Scheme())
    other = make_model([("lstm", 5)], 3)
    wide = quantize_with(other, observe(other, data), Scheme())
    ran = []
    candidates = [of_network("fits", fits), of_network("wide", wide)]
    with pytest.raises(UserError, match=r"^model: 3 inputs and 4 outputs, the network has 3 and 5"):
        sweep_networks(candidates, data, model, progress=lambda what, part: ran.append(what))
    assert not ran
