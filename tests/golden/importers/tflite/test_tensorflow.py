# SPDX-License-Identifier: Apache-2.0
"""Files as TensorFlow 2.21's converter writes them, against the outputs of its own interpreter."""

from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.importers.compare import softmax
from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.importers.tflite.read import read_tflite
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.models.float_model import FloatModel


@pytest.fixture
def case(tmp_path):
    """case(name): what is imported of a file, its inputs, and TensorFlow's outputs."""

    def of(name):
        with np.load(Path(__file__).with_name("tensorflow.npz")) as archive:
            (tmp_path / "net.tflite").write_bytes(archive[f"{name}:file"].tobytes())
            x, y = archive[f"{name}:x"], archive[f"{name}:y"]
        return read_tflite(tmp_path / "net.tflite", options=ImportOptions(check=False)), x, y

    return of


def test_a_float_file(case):
    found, x, y = case("float")
    assert isinstance(found.network, FloatModel)
    kinds = [layer.kind for layer in found.network.layers]
    assert kinds == ["lstm_clip", "lstm_clip", "linear"]  # the converter always clips c at 10
    np.testing.assert_allclose(run_float_batch(found.network, x), y, atol=1e-6)


def test_float_ends(case):
    """From real inputs over QUANTIZE to real outputs, in every bit."""
    found, x, y = case("float_ends")
    network = found.network
    outputs = run(network, [network.x.codes(sequence) for sequence in x]).outputs
    np.testing.assert_array_equal(network.y.real(np.array(outputs)).astype(np.float32), y)
    assert len(np.unique(y)) > 50


def test_int8_ends_and_a_dense_layer_first(case):
    found, x, y = case("int8_ends")
    names = [layer.name for layer in found.network.layers]
    assert names == ["linear.0", "lstm.0", "linear.1"]
    np.testing.assert_array_equal(run(found.network, list(x)).outputs, y)


def test_uint8_ends(case):
    """Changes of codes on both sides are cut off."""
    found, x, y = case("uint8_ends")
    assert [place for _, place in found.where] == ["before", "network", "network", "after"]
    outputs = run(found.network, list(x.astype(int) - 128)).outputs
    np.testing.assert_array_equal(np.array(outputs) + 128, y)


def test_the_last_step_and_softmax(case):
    found, x, y = case("last_softmax")
    assert found.notes[0] == "the file gives its last frame's outputs, the network every frame's"
    assert found.notes[1].startswith("cut off: SOFTMAX ")
    network = found.network
    outputs = run(network, [network.x.codes(sequence) for sequence in x]).outputs
    last = network.y.real(np.array(outputs)[:, -1])
    np.testing.assert_allclose(softmax(last), y, atol=1 / 256)  # which has 8 bits
    assert np.ptp(y) > 0.1


@pytest.mark.parametrize("name", ["float", "float_ends", "int8_ends", "uint8_ends", "last_softmax"])
def test_the_check_against_litert(case, name, tmp_path):
    pytest.importorskip("ai_edge_litert")
    case(name)
    checked = read_tflite(tmp_path / "net.tflite").notes[-1]
    assert checked.startswith("equals LiteRT ")
    assert ("in every bit of" in checked) == (name != "float")
