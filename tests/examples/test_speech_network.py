# SPDX-License-Identifier: Apache-2.0
"""The shipped speech network after quantization: errors and eliminated operations as promised."""

from importlib.resources import as_file, files

import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, evaluate, run_dataset, run_float_dataset
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import Scheme, quantize_with


@pytest.fixture(scope="module")
def speech():
    """The float model, its statistics, the test set and the float error on it."""
    with as_file(files("deltaloom") / "data" / "speech") as folder:
        model = import_checkpoint(folder / "lstm.safetensors")
        test = Dataset.load(folder / "test.npz")
        statistics = observe(model, Dataset.load(folder / "calibration.npz"))
    return model, statistics, test, error(test, run_float_dataset(model, test))


def test_data_is_the_size_that_the_documents_say(speech):
    _, _, test, _ = speech
    assert (len(test), test.inputs, len(test.label_names)) == (44, 40, 39)
    assert test.frames == 11_149


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "points"), [(16, 16, 0.05), (8, 8, 0.5), (4, 8, 1.0)]
)
def test_error_is_close_to_float(speech, weight_bits, activation_bits, points):
    model, statistics, test, float_error = speech
    scheme = Scheme(weight_bits=weight_bits, activation_bits=activation_bits)
    network = quantize_with(model, statistics, scheme)
    assert error(test, run_dataset(network, test).outputs) < float_error + points


def test_thresholds_eliminate_half_of_the_operations(speech):
    model, statistics, test, float_error = speech
    got = evaluate(uniform_thresholds(quantize_with(model, statistics), 8), test)
    assert got.delta_error < float_error + 1.0
    assert got.eliminated_operations > 50.0
    assert got.eliminated_lossless < 20.0
