# SPDX-License-Identifier: Apache-2.0
"""The shipped radio network: its error against the measurement, with the skip path's offset."""

from dataclasses import replace
from importlib.resources import as_file, files

import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, evaluate, run_float_dataset
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.quantization.quantize import Scheme, quantize


@pytest.fixture(scope="module")
def radio():
    """The float model, the calibration data and the test data."""
    with as_file(files("deltaloom") / "data" / "radio") as folder:
        model = import_checkpoint(folder / "model.safetensors")
        data = [Dataset.load(folder / f"{name}.npz") for name in ("calibration", "test")]
    return model, *data


def test_float_error_is_the_authors(radio):
    """OpenDPD's own class gives -39.76 dB; without its skip path, -25.07 dB."""
    model, _, test = radio
    outputs = run_float_dataset(model, test)
    assert error(test, outputs) == pytest.approx(-39.76, abs=0.005)
    assert error(replace(test, offset=None), outputs) == pytest.approx(-25.07, abs=0.005)


@pytest.mark.parametrize(("bits", "decibels"), [(16, -39.76), (8, -35.64)])
def test_quantized_error_is_what_the_documents_say(radio, bits, decibels):
    model, calibration, test = radio
    network = quantize(model, calibration, Scheme(weight_bits=bits, activation_bits=bits))
    got = evaluate(network, test)
    assert (got.metric, got.scored) == ("nmse", 19_662)
    assert got.quantized_error == pytest.approx(decibels, abs=0.02)
