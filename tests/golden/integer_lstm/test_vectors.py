# SPDX-License-Identifier: Apache-2.0
"""Golden against what LiteRT 2.3.0 computed once: outputs, scales and integers, in every bit."""

from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.importers.tflite.read import read_tflite
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.export import float_to_tflite, to_tflite
from deltaloom.golden.integer_lstm.files import arrays_of
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, from_model
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize_with

with np.load(Path(__file__).with_name("vectors.npz")) as _archive:
    NAMES = sorted({key.partition(":")[0] for key in _archive.files})


@pytest.fixture
def read(tmp_path):
    """read(content): the network in a .tflite file, not checked against LiteRT."""

    def of(content):
        (tmp_path / "net.tflite").write_bytes(content)
        found = read_tflite(tmp_path / "net.tflite", options=ImportOptions(check=False)).network
        return found if isinstance(found, IntegerNetwork | FloatNetwork) else from_model(found)

    return of


def assert_same(one, other):
    """Two networks have the same layers, with all arrays and scales."""
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for a, b in zip(one.layers, other.layers, strict=True):
        own, theirs = arrays_of(a), arrays_of(b)
        assert own.keys() == theirs.keys()
        for name, array in own.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=f"{a.name} {name}")
        for field in a.__dataclass_fields__:
            value = getattr(a, field)
            if not isinstance(value, np.ndarray) and field != "initial":
                assert value == getattr(b, field), f"{a.name} {field}"


def test_there_are_all_variants():
    assert len(NAMES) >= 13


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_equal_in_every_bit(name, cases, read):
    case = cases[name]
    result = run(read(case.integers), case.x)
    np.testing.assert_array_equal(result.outputs, case.y)
    assert np.ptp(np.array(case.y, int)) > 100  # it says something


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_gives_the_same_integers_for_the_same_ranges(name, cases, read):
    case = cases[name]
    assert_same(quantize_with(read(case.floats), case.ranges), read(case.integers))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again(name, cases, read):
    case = cases[name]
    integers, floats = read(case.integers), read(case.floats)
    assert_same(read(to_tflite(integers)), integers)
    assert_same(read(float_to_tflite(floats)), floats)
