# SPDX-License-Identifier: Apache-2.0
"""Outputs against the float model's: NMSE, SNR, the worst sequence, and searches without labels."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import (
    error,
    evaluate,
    fidelity,
    run_dataset,
    run_float_dataset,
    scored_data,
    with_float_targets,
)
from deltaloom.golden.evaluation.fidelity import compare
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.quantization.quantize import quantize


def sequences(*lengths, names=()):
    return Dataset(tuple(np.zeros((n, 1), np.float32) for n in lengths), names=names)


def test_by_hand():
    """One output is off by 1 of 10 about a mean of 100, the other is right, the third is 0."""
    wanted = [np.array([[90.0, 1, 0], [110, 1, 0]]), np.array([[110.0, 2, 0], [90, 2, 0]])]
    found = [np.array([[90.0, 1, 0], [110, 1, 0]]), np.array([[112.0, 2, 0], [90, 2, 0]])]
    result = compare(sequences(2, 2, names=("a", "b")), wanted, found, ["p", "q", "r"])
    power = 2 * (90**2 + 110**2) + 2 * (1 + 4)
    assert result.nmse == pytest.approx(10 * np.log10(4 / power))
    first, second, third = result.outputs
    assert [each.name for each in result.outputs] == ["p", "q", "r"]
    assert first.nmse == pytest.approx(10 * np.log10(4 / (2 * (90**2 + 110**2))))
    assert first.snr == pytest.approx(10 * np.log10(400 / 4))
    assert (second.nmse, second.snr) == (-np.inf, np.inf)
    assert third.nmse == -np.inf
    assert result.worst_output == first
    assert result.worst_sequence == "sequence 1 (b)"
    assert result.worst_nmse == pytest.approx(10 * np.log10(4 / (110**2 + 90**2 + 8)))


def test_an_error_where_float_is_silent():
    result = compare(sequences(1), [np.zeros((1, 2))], [np.array([[0.0, 1]])])
    assert result.worst_nmse == result.nmse == np.inf
    assert result.worst_output.name == "1" and result.worst_output.snr == -np.inf


def test_no_frames():
    with pytest.raises(UserError, match="data set: no frames"):
        compare(sequences(0), [np.zeros((0, 2))], [np.zeros((0, 2))])


@pytest.fixture(scope="module")
def pair(make_model, make_dataset):
    model = make_model([("lstm", 8), ("linear", 3)], 5)
    data = make_dataset(5, [60, 1, 40])
    return model, uniform_thresholds(quantize(model, data), 6), data


def test_of_a_network(pair):
    model, network, data = pair
    wanted = run_float_dataset(model, data)
    for delta in (False, True):
        found = run_dataset(network, data, delta=delta).real(network)
        assert fidelity(network, data, model, delta=delta) == compare(data, wanted, found)
    assert fidelity(network, data, model, delta=False).nmse < fidelity(network, data, model).nmse


def test_an_evaluation_has_it_without_labels(pair):
    model, network, data = pair
    found = evaluate(network, data, model)
    assert found.fidelity["delta"] == fidelity(network, data, model)
    assert found.fidelity["quantized"] == fidelity(network, data, model, delta=False)
    rows = dict(found.rows())
    assert rows["NMSE to float, quantized"] == f"{found.fidelity['quantized'].nmse:.2f} dB"
    assert rows["NMSE to float, quantized, delta"] == f"{found.fidelity['delta'].nmse:.2f} dB"
    assert not evaluate(network, data).fidelity


def test_float_outputs_as_targets(pair):
    """Their error is the NMSE to float, whatever the data had before."""
    model, network, data = pair
    labels = tuple(np.zeros(len(x), np.int64) for x in data.features)
    offset = tuple(np.ones((len(x), 3), np.float32) for x in data.features)
    aimed = with_float_targets(model, replace(data, labels=labels, offset=offset))
    found = run_dataset(network, aimed).real(network)
    assert error(aimed, found) == pytest.approx(fidelity(network, data, model).nmse, abs=1e-4)


def test_labels_come_first(pair):
    model, network, data = pair
    labelled = replace(data, labels=tuple(np.zeros(len(x), np.int64) for x in data.features))
    assert scored_data(network, labelled, model) is labelled
    assert scored_data(network, data, None) is data
    assert scored_data(network, data, model).targets is not None


def test_tuning_without_labels(pair):
    model, network, data = pair
    with Trials(network, scored_data(network, data, model)) as trials:
        found = tune(trials, "uniform", 20.0)
    assert found.metric == "NMSE"
    assert found.base.error < found.chosen.error <= found.base.error + 20
    assert fidelity(found.network, data, model).nmse == pytest.approx(found.chosen.error, abs=1e-4)


def test_another_model(pair, make_model):
    _, network, data = pair
    with pytest.raises(UserError, match="model: 5 inputs and 2 outputs, the network has 5 and 3"):
        fidelity(network, data, make_model([("linear", 2)], 5))
