# SPDX-License-Identifier: Apache-2.0
"""The integer engine: products against events, delta against dense, bounds, exactness."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import code_range, exact_dtype
from deltaloom.golden.cells import CELLS, State
from deltaloom.golden.engines.engine import Result, StepModel, quantize_frames, real_outputs, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models import graph
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.sim.testing.kinds import normed_last

WIDTHS = st.integers(2, 16)
SIZES = st.sampled_from([1, 3, 37, 129])


def change_paths(network: Network, change) -> Network:
    """The network with change(path, rng) in place of each path."""
    rng = np.random.default_rng(7)
    return replace(
        network,
        layers=tuple(
            replace(layer, paths=tuple(change(path, rng) for path in layer.paths))
            for layer in network.layers
        ),
    )


def with_zero_point(path, rng):
    low, high = code_range(path.quantizer.bits)
    zero = int(rng.integers(low, high + 1))
    return replace(path, quantizer=replace(path.quantizer, zero_point=zero))


def with_saturating_weights(path, rng):
    return replace(
        path,
        weights=np.full_like(path.weights, code_range(path.weight_bits)[0]),
        mult=np.full_like(path.mult, 32767),
    )


def split_paths(network: Network, seed: int) -> Network:
    """The network with some paths split at a random gate, their second part with other bits."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        paths = []
        for path in layer.paths:
            at = int(rng.integers(0, len(path.gates)))
            for rows in (slice(0, at), slice(at, None)) if at else (slice(None),):
                bits = int(rng.choice([2, 4, 8, 16])) if rows.start else path.quantizer.bits
                mult, shift = (1, 16 - bits)
                part = replace(
                    path,
                    gates=path.gates[rows],
                    weights=path.weights[rows],
                    mult=path.mult[rows],
                    shift=path.shift[rows],
                    quantizer=replace(path.quantizer, bits=bits, mult=mult, shift=shift),
                )
                paths.insert(int(rng.integers(0, len(paths) + 1)), part)
        layers.append(replace(layer, paths=tuple(paths)))
    return replace(network, layers=tuple(layers))


@st.composite
def shapes(draw, inputs):
    """One layer that takes so many inputs."""
    kind = draw(st.sampled_from(list(CELLS)))
    directions = draw(st.sampled_from([{}, {}, {"backward": True}, {"both": True}]))
    can_project = CELLS[kind].has_c and CELLS[kind].recurrent
    return Shape(
        kind=kind,
        units=inputs if kind == "sru" else draw(SIZES),
        projection=draw(st.sampled_from([0, 0, 1, 3, 37])) if can_project else 0,
        initial=draw(st.booleans()),
        shared=draw(st.booleans()),
        **directions,
    )


@st.composite
def networks(draw, thresholds=True):
    inputs = width = draw(SIZES)
    shape = []
    for _ in range(draw(st.integers(1, 3))):
        shape.append(draw(shapes(width)))
        width = shape[-1].outputs
    activation_bits = draw(WIDTHS)
    network = make_network(
        shape,
        inputs,
        seed=draw(st.integers(0, 1000)),
        weight_bits=draw(WIDTHS),
        activation_bits=activation_bits,
        c_exponent=draw(st.integers(0, 7)),
        h_exponent=draw(st.integers(0, 7)),
    )
    if draw(st.booleans()):
        network = split_paths(network, draw(st.integers(0, 1000)))
    if draw(st.booleans()):
        network = change_paths(network, with_zero_point)
    if draw(st.booleans()):
        network = change_paths(network, with_saturating_weights)
    if thresholds:
        limits = {name: (1 << path.quantizer.bits) - 1 for name, path in network.paths()}
        network = network.with_thresholds(
            {name: draw(st.integers(0, limit)) for name, limit in limits.items()}
        )
    return network


LENGTHS = st.lists(st.integers(0, 6), max_size=4)


def frames_for(network: Network, lengths: list[int]) -> list[np.ndarray]:
    return [make_frames(network.inputs, n, seed=k, smooth=0.5) for k, n in enumerate(lengths)]


def run_by_events(network: Network, frames: np.ndarray, order=None) -> Result:
    """Layer by layer; where no layer is backward, the same frame by frame."""
    model = StepModel(network, order)
    result = model.run(frames)
    if not any(layer.backward for layer in network.layers):
        assert_same(run_by_frames(network, frames), result)
    return result


def run_by_frames(network: Network, frames: np.ndarray) -> Result:
    model = StepModel(network)
    outputs = np.zeros((len(frames), network.outputs), np.int64)
    events = {name: np.zeros(len(frames), np.int64) for name, _ in network.paths()}
    for t, frame in enumerate(frames):
        outputs[t] = model.step(frame)
        for name, count in model.events.items():
            events[name][t] = count
    return Result(outputs, events, tuple(model.states))


def assert_same(a: Result, b: Result):
    np.testing.assert_array_equal(a.outputs, b.outputs, strict=True)
    assert a.events.keys() == b.events.keys()
    for name, count in a.events.items():
        np.testing.assert_array_equal(count, b.events[name], strict=True)
    assert len(a.states) == len(b.states)
    for one, other in zip(a.states, b.states, strict=True):
        np.testing.assert_array_equal(one.c, other.c)
        np.testing.assert_array_equal(one.h, other.h)


@settings(deadline=None, max_examples=60)
@given(networks(), LENGTHS, st.integers(0, 100))
def test_products_equal_events_in_any_order(network, lengths, seed):
    frames = frames_for(network, lengths)
    results = run(network, frames)
    assert [r.steps for r in results] == lengths
    order = np.random.default_rng(seed)
    for sequence, result in zip(frames, results, strict=True):
        assert_same(result, run_by_events(network, sequence, order))


@settings(deadline=None, max_examples=60)
@given(networks(thresholds=False), LENGTHS)
def test_threshold_0_is_dense(network, lengths):
    frames = frames_for(network, lengths)
    for delta, dense in zip(run(network, frames), run(network, frames, delta=False), strict=True):
        assert_same(delta, dense)


@settings(deadline=None, max_examples=30)
@given(networks(), LENGTHS)
def test_sequences_do_not_touch_each_other(network, lengths):
    frames = frames_for(network, lengths)
    for sequence, together in zip(frames, run(network, frames), strict=True):
        (alone,) = run(network, [sequence])
        assert_same(alone, together)


def with_weak_recurrence(network):
    """A state that nothing bounds goes to its end or stays at 0 where the recurrence is strong."""
    layers = []
    for layer in network.layers:
        paths = tuple(replace(p, shift=p.shift + 5) if p.source == "h" else p for p in layer.paths)
        vectors = {name: vector // 4 for name, vector in layer.vectors.items()}
        layers.append(replace(layer, paths=paths, vectors=vectors))
    return replace(network, layers=tuple(layers))


def with_limits(network):
    """A clip below 0 would leave a unit at 0."""
    layers = [
        replace(
            layer, vectors={name: np.abs(vector) // 2 for name, vector in layer.vectors.items()}
        )
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("kind", normed_last([kind for kind in CELLS if kind != "linear"]))
def test_every_cell_by_events(kind):
    """Long enough for the recurrence to matter, with saturating frames among ordinary ones."""
    e_c = {"qrnn": 0, "janet": 0}.get(kind, 3)  # small states: wider, they would send nothing
    shape = [(kind, 37), (kind, 37), ("linear", 3)]
    network = make_network(shape, 37, threshold=2, c_exponent=e_c)
    if kind in ("rnn_relu", "ind_rnn"):
        network = with_weak_recurrence(network)
    if kind == "lstm_clip":
        network = with_limits(network)
    frames = make_frames(37, 40, smooth=0.5)
    frames[10:14] = [[32767], [-32768], [32767], [0]]
    (result,) = run(network, [frames])
    assert_same(result, run_by_events(network, frames, np.random.default_rng(0)))
    assert len(np.unique(result.outputs[20:])) > 20  # neither idle nor stuck
    assert {name.split(".")[1] for name in result.events} == {*CELLS[kind].sources}
    for name, count in result.events.items():
        assert 0 < count.sum() < len(frames) * dict(network.paths())[name].columns


def test_reset_path_by_hand():
    """One unit: r = z = 1/2; n = tanh of twice rh. At first h = 0, so rh = 0 and n = tanh(1)."""
    network = make_network([("gru_before", 1)], 1)
    (layer,) = network.layers
    paths = []
    for path in layer.paths:
        active = path.source == "rh"
        paths.append(
            replace(
                path,
                weights=np.full_like(path.weights, int(active)),
                mult=np.ones_like(path.mult) << 6,
                shift=np.zeros_like(path.shift),
            )
        )
    layer = replace(layer, paths=tuple(paths), bias=np.array([[0], [0], [4096]]))
    (result,) = run(replace(network, layers=(layer,)), [np.zeros((2, 1), int)])
    first = np.tanh(1) / 2
    code = round(np.floor(first / 2 * 128 + 0.5))
    second = (first + np.tanh(1 + code * 64 / 4096)) / 2
    assert np.abs(result.outputs[:, 0] / 32768 - [first, second]).max() < 1e-4
    assert result.events["gru_before0.rh"].tolist() == [0, 1]
    assert result.events["gru_before0.h"].tolist() == [0, 1]


def test_sru_skip_by_hand():
    """No weights and r's bias far below 0: h is the input times 3/4, saturated."""
    network = make_network([("sru", 2)], 2)
    (layer,) = network.layers
    paths = tuple(replace(p, weights=np.zeros_like(p.weights)) for p in layer.paths)
    bias = np.array([[0, 0], [0, 0], [-99999, -99999]])
    layer = replace(layer, paths=paths, bias=bias, skip_mult=-3, skip_shift=2)
    (result,) = run(replace(network, layers=(layer,)), [np.array([[100, -32768], [-3, 2]])])
    expected = np.array([[-75, 24576], [2, -1]])  # rshr(9, 2) = 2, rshr(-6, 2) = -1
    assert np.abs(result.outputs - expected).max() <= 12  # sigmoid(-8) = 3.4e-4
    layer = replace(layer, skip_mult=16384, skip_shift=0)
    (result,) = run(replace(network, layers=(layer,)), [np.array([[100, -100]])])
    assert np.abs(result.outputs - [[32767, -32768]]).max() <= 12


def test_thresholds_are_ignored_by_dense():
    network = make_network([("lstm", 9), ("linear", 3)], 5, threshold=20)
    frames = [make_frames(5, 30, smooth=0.9)]
    zero = network.with_thresholds({name: 0 for name, _ in network.paths()})
    (dense,), (delta,), (exact,) = (
        run(network, frames, delta=False),
        run(network, frames),
        run(zero, frames),
    )
    assert_same(dense, exact)
    assert (delta.outputs != exact.outputs).any()
    assert sum(e.sum() for e in delta.events.values()) < sum(e.sum() for e in exact.events.values())


def test_strict_threshold_by_hand():
    """Codes 0 3 4 8 with threshold 4: 4 is not sent, as its distance to 0 is 4, but 8 is."""
    network = make_network([("linear", 1)], 1, threshold=4)
    (path,) = network.layers[0].paths
    path = replace(
        path,
        weights=np.array([[[1]]]),
        mult=np.array([[1]]),
        shift=np.array([0]),
        quantizer=replace(path.quantizer, mult=1, shift=0),
    )
    layer = replace(network.layers[0], paths=(path,), bias=np.array([[100]]))
    network = replace(network, layers=(layer,))
    (result,) = run(network, [np.array([[0], [3], [4], [8], [8]])])
    assert result.outputs[:, 0].tolist() == [100, 100, 100, 108, 108]
    assert result.events["linear0.x"].tolist() == [0, 0, 0, 1, 0]


def test_lstm_by_hand():
    """One unit, no weights, g's bias 1 in Q3.12 and the others 0: sigmoid(0) tanh(1), two steps."""
    network = make_network([("lstm", 1)], 1)
    network = change_paths(network, lambda p, rng: replace(p, weights=np.zeros_like(p.weights)))
    layer = replace(network.layers[0], bias=np.array([[0], [0], [4096], [0]]))
    (result,) = run(replace(network, layers=(layer,)), [np.zeros((2, 1), int)])
    g = round(np.tanh(1) * 32768)
    first = (16384 * g + (1 << 17)) >> 18  # Q3.12
    second = ((16384 * first + (1 << 14)) >> 15) + first
    assert abs(int(result.states[0].c[0]) - second) <= 1
    assert abs(int(result.outputs[1, 0]) - np.tanh(second / 4096) * 16384) <= 2


@settings(deadline=None, max_examples=50)
@given(networks(thresholds=False), st.integers(0, 1000))
def test_accumulator_bound_holds(network, seed):
    rng = np.random.default_rng(seed)
    for _, path in network.paths():
        low, high = code_range(path.quantizer.bits)
        zero = path.quantizer.zero_point
        before, after = rng.choice([low, high, zero], (2, path.columns))
        for codes in (before, after):
            assert np.abs(path.matrix @ (codes - zero)).max() <= path.bound
        assert np.abs(path.matrix @ (after - before)).max() <= 2 * path.bound


@pytest.mark.parametrize("zero", [0, 5, -5, 127, -128])
def test_accumulator_bound_is_reached(zero):
    network = change_paths(make_network([("linear", 3)], 11), with_saturating_weights)
    (path,) = network.layers[0].paths
    path = replace(path, quantizer=replace(path.quantizer, zero_point=zero))
    reached = [np.abs(path.matrix @ np.full(11, c - zero)).max() for c in code_range(8)]
    assert max(reached) == path.bound


def linear_with_sum(total, activation_bits, mult, shift):
    """A linear unit and one frame of codes whose sum is exactly `total`, rescaled like this."""
    low, high = code_range(activation_bits)
    columns = [(low, -32768)] * (total // (low * -32768))  # (code, weight)
    rest = total % (low * -32768)
    while rest >= high:
        columns.append((high, min(rest // high, 32767)))
        rest -= high * columns[-1][1]
    columns.append((1, rest))
    codes, weights = np.array(columns).T
    network = make_network([("linear", 1)], len(codes), weight_bits=16)
    (path,) = network.layers[0].paths
    path = replace(
        path,
        weights=weights[None, None],
        quantizer=replace(path.quantizer, bits=activation_bits, mult=1, shift=0),
        mult=np.array([[mult]]),
        shift=np.array([shift]),
    )
    layer = replace(network.layers[0], paths=(path,), bias=np.array([[0]]))
    return replace(network, layers=(layer,)), codes[None]


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(
    ("total", "bits", "mult", "shift", "word"),
    [
        # One less than half a unit: rounds down, but up where the last bit is lost. In float32
        # it is from 2**24 on, in float64 from 2**53 on, where rescaling takes integers instead.
        (16385 * 2**10 + 2**9 - 1, 8, 1, 10, 16385),
        ((16415 * 2**40 + 2**39 - 1) // 32767, 16, 32767, 40, 16415),
    ],
)
def test_no_bit_of_a_large_sum_is_lost(total, bits, mult, shift, word, excess):
    network, frames = linear_with_sum(total + excess, bits, mult, shift)
    (path,) = network.layers[0].paths
    assert int((path.matrix @ frames[0])[0]) == total + excess
    if not excess:
        assert total * mult == word * 2**shift + 2 ** (shift - 1) - 1
        assert exact_dtype(path.bound) is np.float64
    (result,) = run(network, [frames])
    assert result.outputs.tolist() == [[word + excess]]
    assert_same(result, run_by_events(network, frames))


@pytest.mark.parametrize("kind", ["linear", "lstm"])
def test_integers_rescale_where_doubles_would_round(kind):
    columns = 600  # 2**15 * 2**15 * 600 * 32767 is beyond 2**53
    network = make_network([(kind, 2)], columns, weight_bits=16, activation_bits=16)
    network = change_paths(network, with_saturating_weights)
    assert max(path.bound * 32767 for _, path in network.paths()) > 2**53
    frames = make_frames(columns, 4)
    (result,) = run(network, [frames])
    assert_same(result, run_by_events(network, frames))


def test_nothing_to_run():
    network = make_network([("lstm", 3), ("linear", 2)], 4)
    assert run(network, []) == []
    (result,) = run(network, [np.zeros((0, 4), int)])
    assert result.outputs.shape == (0, 2) and result.steps == 0
    assert {name: len(count) for name, count in result.events.items()} == {
        "lstm0.x": 0,
        "lstm0.h": 0,
        "linear1.x": 0,
    }
    for state in result.states:
        assert isinstance(state, State) and not state.h.any() and not state.c.any()


def test_reset_starts_a_new_sequence():
    network = make_network([("lstm", 5)], 3, threshold=2)
    frames = make_frames(3, 6, smooth=0.5)
    model = StepModel(network)
    first = [model.step(f) for f in frames]
    changed = [model.step(f) for f in frames]
    model.reset()
    np.testing.assert_array_equal([model.step(f) for f in frames], first)
    assert any((a != b).any() for a, b in zip(first, changed, strict=True))


def test_frames_round_and_saturate():
    network = replace(make_network([("linear", 1)], 2), x_exponent=2)
    words = quantize_frames(network, [[1.0, -4.0], [4.0, 2**-14]])
    assert words.tolist() == [[8192, -32768], [32767, 1]]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 3)), r"features: shape \(3, 3\), the network takes \[steps, 2\]"),
        (np.zeros(2), r"features: shape \(2,\), the network takes \[steps, 2\]"),
        ([[0.0, np.nan]], "features: a value is NaN or infinite; clean the data first"),
    ],
)
def test_frames_that_cannot_be(features, message):
    with pytest.raises(UserError, match=message):
        quantize_frames(make_network([("linear", 1)], 2), features)


def test_real_outputs():
    network = make_network([("linear", 1)], 2)
    network = replace(network, layers=(replace(network.layers[0], h_exponent=4),))
    np.testing.assert_array_equal(real_outputs(network, np.array([[2048, -1024]])), [[1.0, -0.5]])


# Directions, projections, initial states


def assert_runs(network, lengths=(5, 0, 1, 9)):
    """Delta and dense by products equal events, for some sequences; their outputs."""
    frames = frames_for(network, lengths)
    results = run(network, frames)
    for sequence, result in zip(frames, results, strict=True):
        assert_same(result, run_by_events(network, sequence, np.random.default_rng(1)))
    zero = network.with_thresholds({name: 0 for name, _ in network.paths()})
    for one, other in zip(run(zero, frames), run(network, frames, delta=False), strict=True):
        assert_same(one, other)
    return [result.outputs for result in results]


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_backward_is_forward_on_reversed_frames(kind):
    network = make_network([(kind, 5), Shape(kind="linear", units=3)], 5, threshold=2)
    backward = replace(
        network, layers=tuple(replace(layer, backward=True) for layer in network.layers)
    )
    frames = frames_for(network, [7, 0, 1, 12])
    for sequence, result in zip(frames, run(backward, frames), strict=True):
        (turned,) = run(network, [sequence[::-1]])
        np.testing.assert_array_equal(result.outputs, turned.outputs[::-1])
        for name, count in result.events.items():
            np.testing.assert_array_equal(count, turned.events[name][::-1])
        assert_same(result, replace(result, states=turned.states))


@pytest.mark.parametrize("kind", normed_last(CELLS))
@pytest.mark.parametrize("shared", [False, True])
def test_both_directions_stand_beside_each_other(kind, shared):
    one = Shape(kind=kind, units=5, both=True, shared=shared, initial=True)
    network = make_network([one], 5, threshold=3)
    forward, backward = network.layers
    assert (graph.shared_with(network.layers, 1) == 0) is shared
    frames = frames_for(network, [6, 11])
    for sequence, y in zip(frames, assert_runs(network, [6, 11]), strict=True):
        (first,) = run(replace(network, layers=(forward,), puts_out=()), [sequence])
        (second,) = run(replace(network, layers=(backward,), puts_out=()), [sequence])
        np.testing.assert_array_equal(y, np.hstack([first.outputs, second.outputs]))


def test_two_bidirectional_layers_and_a_head():
    shape = [Shape(kind="lstm", units=3, both=True), Shape(kind="gru_before", units=37, both=True)]
    network = make_network([*shape, ("linear", 2)], 3, threshold=1)
    assert [layer.reads for layer in network.layers] == [
        (),
        ("frames",),
        ("lstm0", "lstm0.reverse"),
        ("lstm0", "lstm0.reverse"),
        ("gru_before1", "gru_before1.reverse"),
    ]
    assert network.macs == sum(path.weights.size for _, path in network.paths())
    assert_runs(network)


@pytest.mark.parametrize("kind", normed_last([k for k in CELLS if k.startswith("lstm")]))
@pytest.mark.parametrize("both", [False, True])
def test_projections(kind, both):
    shape = Shape(kind=kind, units=7, projection=3, both=both, initial=True)
    network = make_network([shape, ("linear", 2)], 5, threshold=2)
    first = network.layers[0]
    assert first.h_from == f"{first.name}.projection" and first.h_columns == 3
    for y in assert_runs(network, [9, 20])[1:]:
        assert len(np.unique(y)) > 10


def test_a_projection_of_ones_is_the_layer_itself():
    """16-bit codes, weights of the identity and no bias: the same as without a projection."""
    options = {"activation_bits": 16, "threshold": 9}
    plain = make_network([("lstm", 4)], 3, **options)
    projected = make_network([Shape(kind="lstm", units=4, projection=4)], 3, **options)
    lstm, projection = projected.layers
    (path,) = projection.paths
    path = replace(path, weights=np.eye(4, dtype=int)[None], mult=np.ones((1, 4), int))
    path = replace(path, shift=np.array([0]), threshold=0)
    projection = replace(projection, paths=(path,), bias=np.zeros((1, 4), int))
    lstm = replace(plain.layers[0], h_from=projection.name)
    projected = replace(projected, layers=(lstm, projection))
    frames = [make_frames(3, 30, smooth=0.5)]
    (one,), (other,) = run(plain, frames), run(projected, frames)
    np.testing.assert_array_equal(one.outputs, other.outputs)
    np.testing.assert_array_equal(one.events["lstm0.h"], other.events["lstm0.h"])


@pytest.mark.parametrize("kind", normed_last([k for k in CELLS if k != "linear"]))
def test_a_state_goes_on(kind):
    """A second half that starts where the first ended is the second half of the whole."""
    network = make_network([(kind, 6)], 6)
    frames = make_frames(6, 12)
    (whole,), (half,) = run(network, [frames]), run(network, [frames[:5]])
    (layer,) = network.layers
    names = [name for name in ("c", "h") if getattr(half.states[0], name).any()]
    initial = {
        name: getattr(half.states[0], name)
        for name in names
        if (name == "c" and "c" in layer.cell.state) or (name == "h" and uses_h(layer))
    }
    (rest,) = run(replace(network, layers=(replace(layer, initial=initial),)), [frames[5:]])
    np.testing.assert_array_equal(rest.outputs, whole.outputs[5:])
    assert_same(
        rest, run_by_events(replace(network, layers=(replace(layer, initial=initial),)), frames[5:])
    )


def uses_h(layer):
    return "h" in layer.cell.feeds


def test_the_first_step_sends_what_differs_from_the_initial_code():
    """Threshold 5, codes of 256 words: references start at h0's codes, not at those of 0."""
    network = make_network([("ligru", 2)], 1, threshold=5)
    (layer,) = network.layers
    layer = replace(layer, initial={"h": np.array([256 * 40, -256 * 3])})
    started = replace(network, layers=(layer,))
    frames = np.zeros((1, 1), int)
    (result,) = run(started, [frames])
    assert result.events["ligru0.h"].tolist() == [0]  # the references are h0's codes already
    model = StepModel(started)
    path = layer.paths[1]
    np.testing.assert_array_equal(model._sums[0][1], path.matrix @ [40, -3])
    assert_runs(started)
    zero_point = change_paths(started, with_zero_point)
    assert_runs(zero_point)


def test_graphs_that_skip_layers():
    """The head reads frames, a layer and one before it; two layers are put out."""
    network = make_network([("ligru", 3), ("ligru", 4), ("linear", 2)], 3, threshold=2)
    first, second, head = network.layers
    (path,) = head.paths
    wide = replace(path, weights=np.ones((1, 2, 10), int))
    head = replace(head, paths=(wide,), reads=("ligru1", "frames", "ligru0"), h_exponent=2)
    second = replace(second, backward=True)
    network = replace(network, layers=(first, second, head), puts_out=("linear2", "ligru0"))
    outputs = assert_runs(network)
    assert [y.shape for y in outputs] == [(5, 5), (0, 5), (1, 5), (9, 5)]
    assert network.outputs == 5 and network.y_exponent == 2


def test_a_backward_layer_needs_whole_sequences():
    network = make_network([Shape(kind="gru", units=2, both=True)], 3)
    with pytest.raises(
        UserError, match=r"gru0.reverse: runs backward, so it cannot go frame by fr"
    ):
        StepModel(network).step(np.zeros(3, int))


def test_peepholes_by_hand():
    """No weights: i and f see the old c, o the new one, each through its vector."""
    network = make_network([("lstm_peephole", 3)], 1, c_exponent=3)
    network = change_paths(network, lambda p, rng: replace(p, weights=np.zeros_like(p.weights)))
    (layer,) = network.layers
    bias = np.array([[500] * 3, [-700] * 3, [4096] * 3, [300] * 3])
    vectors = {"v_i": [9000, 0, 0], "v_f": [0, -7000, 0], "v_o": [0, 0, 20000]}
    vectors = {name: np.array(v) for name, v in vectors.items()}
    c0 = np.array([8192, 8192, 8192])
    layer = replace(layer, bias=bias, vectors=vectors, vector_shift=14, initial={"c": c0})
    (result,) = run(replace(network, layers=(layer,)), [np.zeros((1, 1), int)])
    v = {name: vector / 2**14 for name, vector in vectors.items()}  # e_v = 1: 18 - 1 - 3 = 14
    c = c0 / 2**12
    i, f = (1 / (1 + np.exp(-(b / 4096 + v[n] * c))) for b, n in ((500, "v_i"), (-700, "v_f")))
    after = f * c + i * np.tanh(1)
    o = 1 / (1 + np.exp(-(300 / 4096 + v["v_o"] * after)))
    assert np.abs(result.states[0].c[:] / 2**12 - after).max() < 2**-11
    assert np.abs(result.outputs[0] / 2**15 - o * np.tanh(after)).max() < 2**-12
    assert len({*after.round(3)}) == 3
