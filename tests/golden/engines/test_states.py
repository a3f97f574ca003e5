# SPDX-License-Identifier: Apache-2.0
"""First and last states, and frame by frame: cut sequences that go on are the whole ones."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

import deltaloom as dl
from deltaloom.golden.cells import CELLS
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.states import state_parts
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.sim.testing.kinds import normed_last

INPUTS = 3
LENGTHS = (7, 1, 0, 5)
CUT = 4
"""The first part of each sequence; some have no second one."""


def network_of(kind, **options):
    front = [("linear", INPUTS)] if CELLS[kind].reads_input else []
    return make_network([*front, (kind, INPUTS), (kind, INPUTS)], INPUTS, seed=3, **options)


def data_of(lengths=LENGTHS, inputs=INPUTS):
    rng = np.random.default_rng(5)
    return Dataset(tuple(rng.normal(size=(n, inputs)).astype(np.float32) for n in lengths))


def cut(data, where):
    return replace(data, features=tuple(x[where] for x in data.features))


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_a_network_goes_on_where_it_was(kind):
    """Exact deltas at threshold 0: every bit."""
    network = network_of(kind)
    assert {name.split(".")[1] for name in state_parts(network.layers)} == {*CELLS[kind].state}
    check_cut(network, data_of())


@pytest.mark.parametrize("threshold", [0, 9])
def test_a_projection_keeps_the_state(threshold):
    shape = [Shape(kind="lstm", units=5, projection=3, initial=True), Shape(kind="gru", units=4)]
    network = make_network(shape, INPUTS, seed=3, threshold=threshold)
    assert [*state_parts(network.layers)] == ["lstm0.c", "lstm0.projection.h", "gru1.h"]
    if not threshold:
        check_cut(network, data_of())
    check_steps(network, data_of())


def check_cut(network, data):
    whole = dl.run(network, data)
    before = dl.run(network, cut(data, slice(CUT)))
    after = dl.run(network, replace(cut(data, slice(CUT, None)), states=before.states))
    for n, outputs in enumerate(whole.outputs):
        found = np.concatenate([before.outputs[n], after.outputs[n]])
        np.testing.assert_array_equal(found, outputs)
    assert whole.states.keys() == after.states.keys()
    for name, values in whole.states.items():
        np.testing.assert_array_equal(after.states[name], values)


def check_steps(model, data):
    """Frame by frame: what whole sequences give, from states that the data has."""
    rng = np.random.default_rng(6)
    names = state_parts(model.layers)
    first = {
        name: rng.uniform(-0.9, 0.9, (len(data), model.layers[n].units)).astype(np.float32)
        for name, (n, _) in names.items()
    }
    data = replace(data, states=first)
    whole = dl.run(model, data)
    stepper = dl.Stepper(model)
    for n, x in enumerate(data.features):
        stepper.reset({name: values[n] for name, values in first.items()})
        for frame, outputs in zip(x, whole.outputs[n], strict=True):
            np.testing.assert_allclose(stepper.step(frame), outputs, rtol=0, atol=1e-12)
        for name, values in whole.states.items():
            np.testing.assert_allclose(stepper.states[name], values[n], rtol=0, atol=1e-12)
    plain = dl.run(model, replace(data, states={}))
    assert any(not np.array_equal(a, b) for a, b in zip(plain.outputs, whole.outputs, strict=True))


@pytest.fixture(scope="module")
def lstm(tmp_path_factory):
    """An LSTM 3 -> 5 of two layers and a linear layer 5 -> 3: (float model, its tensors)."""
    rng = np.random.default_rng(1)
    tensors = {
        f"rnn.{what}_{way}_l{n}": rng.normal(0, 0.5, shape).astype(np.float32)
        for n in range(2)
        for way, columns in (("ih", 5 if n else INPUTS), ("hh", 5))
        for what, shape in (("weight", (20, columns)), ("bias", (20,)))
    }
    tensors |= {"fc.weight": rng.normal(0, 0.5, (INPUTS, 5)).astype(np.float32)}
    file = tmp_path_factory.mktemp("lstm") / "m.safetensors"
    save_file(tensors, file)
    return dl.import_model(file, order=["rnn", "fc"]), tensors


def test_a_float_model_frame_by_frame(lstm):
    check_steps(lstm[0], data_of())


@pytest.mark.parametrize("threshold", [0, 5])
def test_a_quantized_network_frame_by_frame_is_bit_for_bit_the_batch(lstm, threshold):
    network = dl.quantize(lstm[0], data_of((40, 30)))
    names = dict.fromkeys(dict(network.paths()), threshold)
    check_steps(network.with_thresholds(names), data_of())


def test_states_are_those_of_pytorch(lstm):
    torch = pytest.importorskip("torch")
    model, tensors = lstm
    rnn = torch.nn.LSTM(INPUTS, 5, num_layers=2)
    own = {name: value for name, value in tensors.items() if name.startswith("rnn.")}
    rnn.load_state_dict({k.removeprefix("rnn."): torch.from_numpy(v) for k, v in own.items()})
    rng = np.random.default_rng(2)
    h, c = rng.uniform(-0.9, 0.9, (2, 2, 4, 5)).astype(np.float32)
    data = data_of((6, 6, 6, 6))
    with torch.no_grad():
        y, (last_h, last_c) = rnn(
            torch.from_numpy(np.stack(data.features, axis=1)),
            (torch.from_numpy(h), torch.from_numpy(c)),
        )
    states = {f"rnn.{n}.h": h[n] for n in range(2)} | {f"rnn.{n}.c": c[n] for n in range(2)}
    found = dl.run(model, replace(data, states=states))
    for n, outputs in enumerate(found.outputs):
        wanted = y.numpy()[:, n] @ tensors["fc.weight"].T
        np.testing.assert_allclose(outputs, wanted, rtol=0, atol=2e-6)
    for n in range(2):
        np.testing.assert_allclose(found.states[f"rnn.{n}.h"], last_h.numpy()[n], rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.states[f"rnn.{n}.c"], last_c.numpy()[n], rtol=0, atol=1e-6)


def test_a_decoder_takes_what_it_put_out(lstm):
    """Its outputs fed back, in float and as a network; from the states that another run left."""
    model, _ = lstm
    data = data_of((40, 30))
    network = dl.quantize(model, data, dl.Scheme(weight_bits=16, activation_bits=16))
    frame = np.array([0.3, -0.2, 0.1])
    made = []
    for each in (model, network):
        left = dl.run(each, cut(data, slice(CUT))).states
        stepper = dl.Stepper(each, {name: values[0] for name, values in left.items()})
        y, outputs = frame, []
        for _ in range(12):
            y = stepper.step(y)
            outputs.append(y)
        made.append(np.array(outputs))
        # The same frames in one sequence.
        frames = np.array([frame, *outputs[:-1]], np.float32)
        first = {name: values[:1] for name, values in left.items()}
        again = dl.run(each, Dataset((frames,), states=first)).outputs[0]
        np.testing.assert_allclose(again, made[-1], rtol=0, atol=1e-6)
    assert np.abs(made[0] - made[1]).max() < 1e-2 * np.abs(made[0]).max()
    assert np.abs(made[0]).min() > 0


def test_data_with_states_is_kept_evaluated_and_quantized_for(lstm, tmp_path):
    model, _ = lstm
    rng = np.random.default_rng(8)
    data = data_of((20, 30, 10))
    large = {"rnn.0.c": rng.uniform(-6, 6, (3, 5)).astype(np.float32)}
    data = replace(data, states=large)
    data.save(tmp_path / "data.npz")
    again = Dataset.load(tmp_path / "data.npz")
    np.testing.assert_array_equal(again.states["rnn.0.c"], large["rnn.0.c"])
    np.testing.assert_array_equal(again.subset([2, 0]).states["rnn.0.c"], large["rnn.0.c"][[2, 0]])
    np.testing.assert_array_equal(again.first(25).states["rnn.0.c"], large["rnn.0.c"][:2])
    network = dl.quantize(model, data, dl.Scheme(weight_bits=16, activation_bits=16))
    assert network.layers[0].c_exponent >= 3  # +-8: the given states do not saturate
    close = dl.evaluate(network, data, model).fidelity["quantized"]
    assert close.nmse < -55
    with pytest.raises(UserError, match=r"state rnn.0.c: .* is beyond \+-"):
        dl.run(dl.quantize(model, replace(data, states={})), data)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"rnn.0.q": np.zeros((4, 5))}, r"state rnn.0.q: .* it has rnn.0.c, rnn.0.h, rnn.1.c"),
        ({"fc.h": np.zeros((4, 3))}, "state fc.h: the network has no such state"),
        ({"rnn.0.h": np.zeros((4, 6))}, r"state rnn.0.h: shape \(4, 6\), expected \[4, 5\]"),
    ],
)
def test_other_states_are_refused_by_name(lstm, states, message):
    data = replace(data_of(), states=states)
    with pytest.raises(UserError, match=message):
        dl.run(lstm[0], data)
    with pytest.raises(UserError, match=message):
        dl.run(dl.quantize(lstm[0], data_of()), data)


def test_states_of_other_sequences_and_values_are_refused():
    with pytest.raises(UserError, match=r"state a.h: shape \(3, 5\), expected \[4, units\]"):
        replace(data_of(), states={"a.h": np.zeros((3, 5))})
    with pytest.raises(UserError, match=r"state a\.h: a value is NaN or infinite"):
        replace(data_of(), states={"a.h": np.full((4, 5), np.nan)})


def test_backward_layers_and_other_frames_are_refused(lstm):
    network = make_network([Shape(kind="gru", units=4, both=True)], INPUTS)
    with pytest.raises(UserError, match=r"gru0\.reverse: runs backward, so it cannot go frame by"):
        dl.Stepper(network)
    with pytest.raises(UserError, match=r"frame: shape \(2,\), the model takes \[3\]"):
        dl.Stepper(lstm[0]).step([1.0, 2.0])
