# SPDX-License-Identifier: Apache-2.0
"""The float model over many sequences against one at a time."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import run_float
from deltaloom.sim.testing.kinds import normed_last

SHAPE = [("lstm", 7), ("lstm", 3), ("linear", 4)]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_every_cell_equals_one_at_a_time(make_model, make_dataset, kind, scaled):
    model = make_model([(kind, 5), (kind, 5), ("linear", 4)], 5, scaled=scaled)
    data = make_dataset(5, [4, 0, 9, 1])
    seen = {}
    outputs = run_float_batch(model, data.features, observe=seen.__setitem__)
    for x, y in zip(data.features, outputs, strict=True):
        np.testing.assert_allclose(y, run_float(model, x)[0], rtol=0, atol=1e-12)
    traces = run_float(model, data.features[2])[1]  # the longest: its rows come first in each step
    assert (seen[0].rh is None) == (traces[0].rh is None) == ("rh" not in CELLS[kind].sources)
    if traces[0].rh is not None:
        np.testing.assert_allclose(seen[0].rh[[0, 3]], traces[0].rh[:2], rtol=0, atol=1e-12)
        assert np.abs(traces[0].rh).max() > 0


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_a_split_path_changes_nothing(make_model, make_dataset, kind):
    model, data = make_model([(kind, 5)], 5, scaled=True), make_dataset(5, [9])
    layer = model.layers[0]
    paths = []
    for path in layer.paths:
        for k, gate in enumerate(path.gates):
            rows = slice(k, k + 1)
            part = replace(path, weights=path.weights[rows], scale=path.scale[rows])
            paths.insert(0, replace(part, gates=(gate,)))
    split = replace(model, layers=(replace(layer, paths=tuple(paths)),))
    expected, _ = run_float(model, data.features[0])
    np.testing.assert_allclose(run_float(split, data.features[0])[0], expected, atol=1e-12)
    np.testing.assert_allclose(run_float_batch(split, data.features)[0], expected, atol=1e-12)


@pytest.mark.parametrize("lengths", [[5], [4, 0, 9, 1, 4], [0, 0], []])
def test_equals_one_at_a_time(make_model, make_dataset, lengths):
    model, data = make_model(SHAPE, 5), make_dataset(5, lengths)
    outputs = run_float_batch(model, data.features)
    assert [len(y) for y in outputs] == lengths
    for x, y in zip(data.features, outputs, strict=True):
        np.testing.assert_allclose(y, run_float(model, x)[0], rtol=0, atol=1e-13)


def test_observer_sees_every_layer_in_packed_order(make_model, make_dataset):
    model, data = make_model(SHAPE, 5), make_dataset(5, [2, 3])
    seen = {}
    outputs = run_float_batch(model, data.features, observe=seen.__setitem__)
    assert list(seen) == [0, 1, 2]
    order = [(1, 0), (0, 0), (1, 1), (0, 1), (1, 2)]  # (sequence, step)
    np.testing.assert_array_equal(seen[0].x, [data.features[n][t] for n, t in order])
    np.testing.assert_array_equal(seen[2].h, [outputs[n][t] for n, t in order])
    np.testing.assert_array_equal(seen[1].x, seen[0].h)
    single = run_float(model, data.features[1])[1]
    for batch, alone in zip(seen.values(), single, strict=True):
        rows = [k for k, (n, _) in enumerate(order) if n == 1]
        for field in ("p", "c", "h"):
            np.testing.assert_allclose(
                getattr(batch, field)[rows], getattr(alone, field), rtol=0, atol=1e-13
            )


def test_wrong_width(make_model):
    with pytest.raises(UserError, match=r"features: shape \(3, 4\), the model takes \[steps, 5\]"):
        run_float_batch(make_model(SHAPE, 5), [np.zeros((3, 4))])


def test_not_finite(make_model):
    with pytest.raises(UserError, match="NaN or infinite"):
        run_float_batch(make_model(SHAPE, 2), [np.array([[0.0, np.inf]])])
