# SPDX-License-Identifier: Apache-2.0
"""The uniform threshold, the groups of paths, the candidates of other widths."""

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.thresholds import (
    CANDIDATES,
    groups_of,
    input_paths,
    scaled,
    uniform_thresholds,
)
from deltaloom.golden.models.synthetic import make_network


def test_uniform_thresholds():
    network = make_network([("lstm", 3), ("lstm", 3), ("linear", 2)], 4)

    def thresholds(**options):
        changed = uniform_thresholds(network, 7, **options)
        return {name: path.threshold for name, path in changed.paths()}

    names = ["lstm0.x", "lstm0.h", "lstm1.x", "lstm1.h", "linear2.x"]
    assert thresholds() == dict.fromkeys(names, 7)
    assert thresholds(keep_input=True) == dict.fromkeys(names, 7) | {"lstm0.x": 0}


def test_threshold_out_of_range():
    with pytest.raises(UserError, match=r"threshold: 256 is not possible, it must be 0\.\.255"):
        uniform_thresholds(make_network([("lstm", 3)], 4), 256)


def test_groups():
    network = make_network([("gru_before", 3), ("linear", 4), ("sru0", 3), ("linear", 2)], 5)
    assert groups_of(network) == {
        "inputs": ("linear1.x", "sru02.x"),
        "recurrent": ("gru_before0.h", "gru_before0.rh"),
        "output": ("linear3.x",),
    }
    assert input_paths(network) == ("gru_before0.x",)
    assert groups_of(make_network([("sru0", 3), ("sru0", 3)], 5)) == {"inputs": ("sru01.x",)}
    assert groups_of(make_network([("linear", 3)], 5)) == {}


@pytest.mark.parametrize(
    ("bits", "values"),
    [
        (8, (0, 8, 16, 32)),
        (4, (0, 1, 2)),
        (2, (0, 1)),
        (6, (0, 2, 4, 8)),
        (16, (0, 2048, 4096, 8192)),
    ],
)
def test_candidates_of_other_widths(bits, values):
    assert scaled(CANDIDATES, bits) == values
