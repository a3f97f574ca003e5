# SPDX-License-Identifier: Apache-2.0
"""First and last states of LSTM networks, frame by frame: cut sequences that go on are whole."""

from dataclasses import replace

import numpy as np
import pytest

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate, run_float_dataset
from deltaloom.golden.evaluation.saturation import saturation
from deltaloom.golden.integer_lstm.float_engine import observe
from deltaloom.golden.integer_lstm.float_network import to_model
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.states import state_parts

CUT = 4
"""The first part of each sequence; some have no second one."""
VARIANTS = ("plain", "norm", "peephole", "projection", "all")


def data_of(*lengths, labels=False):
    frames = tuple(make_frames(4, lengths))
    if not labels:
        return Dataset(frames)
    return Dataset(frames, tuple(np.arange(n) % 3 for n in lengths))


def made(variant, *, integers=True, threshold=0):
    floats = make_lstm_network(variant, (4, 6, 5), classes=3, seed=1)
    if not integers:
        return floats
    network = quantize(floats, data_of(60, 40))
    return network.with_thresholds({name: threshold for name, _ in network.paths()})


def cut(data, where):
    return replace(data, features=tuple(x[where] for x in data.features))


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_goes_on_where_it_was(variant, integers):
    """Threshold 0: every bit; of floats, up to the order of summation."""
    network, data = made(variant, integers=integers), data_of(7, 1, 0, 5)
    whole = dl.run(network, data)
    before = dl.run(network, cut(data, slice(CUT)))
    after = dl.run(network, replace(cut(data, slice(CUT, None)), states=before.states))
    room = 0 if integers else 1e-12
    for n, outputs in enumerate(whole.outputs):
        found = np.concatenate([before.outputs[n], after.outputs[n]])
        np.testing.assert_allclose(found, outputs, rtol=0, atol=room)
    assert whole.states.keys() == after.states.keys()
    for name, values in whole.states.items():
        np.testing.assert_allclose(after.states[name], values, rtol=0, atol=room)


@pytest.mark.parametrize("threshold", [0, 9])
@pytest.mark.parametrize("variant", VARIANTS)
def test_frame_by_frame(variant, threshold):
    for network in (made(variant, threshold=threshold), made(variant, integers=False)):
        data = data_of(9, 6)
        start = dl.run(network, data_of(3, 5)).states
        whole = dl.run(network, replace(data, states=start))
        for n, frames in enumerate(data.features):
            stepper = dl.Stepper(network, {name: values[n] for name, values in start.items()})
            for frame, wanted in zip(frames, whole.outputs[n], strict=True):
                np.testing.assert_allclose(stepper.step(frame), wanted, rtol=0, atol=1e-12)
            for name, values in stepper.states.items():
                np.testing.assert_allclose(values, whole.states[name][n], rtol=0, atol=1e-12)
        stepper.reset()
        first = dl.run(network, data).outputs[1][0]
        np.testing.assert_allclose(stepper.step(data.features[1][0]), first, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["plain", "projection"])
def test_names_are_the_float_model_s(variant):
    """So that a data set with states is for the network and for its model."""
    floats, network = made(variant, integers=False), made(variant)
    model = to_model(floats)
    data = data_of(8, 5, labels=True)
    start = dl.run(model, data_of(3, 4)).states
    assert start.keys() == state_parts(model.layers).keys() == dl.run(network, data).states.keys()
    data = replace(data, states=start)
    assert evaluate(network, data, model).fidelity["quantized"].nmse < -20
    exact = run_float_dataset(floats, data)
    for n, y in enumerate(run_float_dataset(model, data)):
        np.testing.assert_allclose(exact[n], y, atol=1e-5)
    assert saturation(network, data).frames == 13


def test_calibration_sees_the_data_s_first_states():
    floats, data = made("plain", integers=False), data_of(8, 5)
    far = {"lstm.0.c": np.full((2, 6), 9.0), "lstm.1.h": np.full((2, 5), -3.0)}
    ranges = observe(floats, replace(data, states=far))
    assert ranges[0].c.high == 9 and ranges[1].y.low == -3
    assert observe(floats, data)[0].c.high < 9


@pytest.mark.parametrize("integers", [True, False])
def test_states_that_are_none(integers):
    network, data = made("projection", integers=integers), data_of(8, 5)
    for states, text in (
        ({"lstm.0.h": np.zeros((2, 3))}, r"lstm\.0\.h: the network has no such state; it has lstm"),
        ({"lstm.0.c": np.zeros((2, 3))}, r"lstm\.0\.c: shape \(2, 3\), expected \[2, 6\]"),
        ({"lstm.0.c": np.zeros((1, 6))}, r"lstm\.0\.c: shape \(1, 6\), expected \[2, 6\]"),
    ):
        stated = Dataset(data.features, states={})
        object.__setattr__(stated, "states", states)
        with pytest.raises(UserError, match=f"^state {text}"):
            dl.run(network, stated)
    stepper = dl.Stepper(network)
    with pytest.raises(UserError, match=r"^state lstm\.0\.c: a value is NaN or infinite"):
        stepper.reset({"lstm.0.c": np.full(6, np.nan)})
    with pytest.raises(UserError, match=r"^frame: shape \(3,\), the model takes \[4\]"):
        stepper.step(np.zeros(3))


def test_states_beyond_the_codes():
    network = made("projection")
    limit = 2.0 ** (15 + network.layers[0].cell_log2)
    stepper = dl.Stepper(network, {"lstm.0.c": np.full(6, -limit)})
    assert (stepper.states["lstm.0.c"] == -limit).all()
    with pytest.raises(
        UserError, match=r"^state lstm\.0\.c: .* is not within .* quantize with data"
    ):
        stepper.reset({"lstm.0.c": np.full(6, 1.01 * limit)})
    y = network.layers[0].y
    highest = (127 - y.zero_point) * y.scale
    stepper.reset({"lstm.0.projection.h": np.full(3, highest + 0.4 * y.scale)})
    assert stepper.states["lstm.0.projection.h"] == pytest.approx([highest] * 3)
    with pytest.raises(UserError, match=r"^state lstm\.0\.projection\.h: .* is not within"):
        stepper.reset({"lstm.0.projection.h": np.full(3, highest + y.scale)})
