# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import WIDTHS, code_range
from deltaloom.golden.delta import count_terms, nearest_power, sent_steps, signed_digits
from deltaloom.golden.engines.engine import StepModel, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.golden.quantization.scheme import Scheme


def by_definition(q, reference, bits):
    """The best of all signed powers of two: allowed, towards q, nearest, and small in a tie."""
    low, high = code_range(bits)
    d = q - reference
    sign = 1 if d > 0 else -1
    # Nearest first and foremost, whether it is allowed or not; then down to the first allowed.
    powers = [1 << k for k in range(bits + 1)]
    at = powers.index(min(powers, key=lambda p: (abs(abs(d) - p), p)))
    while not low <= reference + sign * powers[at] <= high:
        at -= 1
    return sign * powers[at]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_pair_of_codes(bits):
    low, high = code_range(bits)
    codes = np.arange(low, high + 1)
    q, reference = (grid.ravel() for grid in np.meshgrid(codes, codes))
    q, reference = q[q != reference], reference[q != reference]
    expected = [by_definition(int(a), int(b), bits) for a, b in zip(q, reference, strict=True)]
    np.testing.assert_array_equal(nearest_power(q - reference, reference, bits), expected)


@given(st.tuples(*[st.integers(*code_range(16))] * 2).filter(lambda pair: pair[0] != pair[1]))
def test_any_pair_of_the_widest_codes(pair):
    q, reference = np.array([pair[0]]), np.array([pair[1]])
    assert nearest_power(q - reference, reference, 16)[0] == by_definition(*pair, 16)


@given(st.sampled_from(WIDTHS), st.data())
def test_what_is_left_is_at_most_a_third_and_the_reference_stays_a_code(bits, data):
    codes = st.integers(*code_range(bits))
    q, reference = data.draw(codes), data.draw(codes)
    d = q - reference
    if d:
        step = int(nearest_power(np.array([d]), np.array([reference]), bits)[0])
        low, high = code_range(bits)
        assert low <= reference + step <= high
        # A step that the code's end made smaller leaves less than half.
        assert 3 * abs(d - step) <= abs(d) or 2 * abs(d - step) < abs(d)


@pytest.mark.parametrize(
    ("d", "reference", "step"),
    np.reshape(
        [
            *(3, 0, 2, 6, 0, 4, 7, 0, 8, -7, 0, -8, -6, 0, -4, 5, 0, 4, 1, 0, 1, 96, 0, 64),
            *(127, 0, 64, 127, -1, 128, 97, -1, 128, 97, 30, 64, -97, -31, -64, 192, -128, 128),
            *(255, -128, 128, -255, 127, -128, -100, 0, -128, -100, -29, -64),
        ],
        (-1, 3),
    ).tolist(),
)
def test_corners_of_eight_bits(d, reference, step):
    assert nearest_power(np.array([d]), np.array([reference]), 8).tolist() == [step]


def test_exact_sends_the_difference():
    d, reference = np.array([3, -255, 97]), np.array([0, 127, -1])
    np.testing.assert_array_equal(sent_steps(d, reference, 8, "exact"), d)


def test_canonical_digits_of_every_nine_bit_delta():
    values = np.arange(-255, 256)
    digits = signed_digits(values, 9)
    np.testing.assert_array_equal(digits @ (1 << np.arange(9)), values)
    assert set(digits.ravel().tolist()) == {-1, 0, 1}
    assert not (digits[:, 1:] & digits[:, :-1]).any()  # no two neighbours
    fewest = [len(min(_sums(int(v)), key=len)) for v in values]
    assert np.count_nonzero(digits, axis=1).tolist() == fewest


def _sums(value, top=8):
    """All sums of signed powers of two that make `value`, as lists of these."""
    if value == 0:
        return [[]]
    if top < 0:
        return []
    found = []
    for step in (0, 1 << top, -(1 << top)):
        rest = value - step
        if abs(rest) < 1 << (top + 1):
            found += [[step, *more] if step else more for more in _sums(rest, top - 1)]
    return found or [[None] * 99]


@given(st.integers(-65535, 65535))
def test_canonical_digits_of_the_widest_deltas(value):
    digits = signed_digits(np.array(value), 17)
    assert int(digits @ (1 << np.arange(17))) == value
    assert not (digits[1:] & digits[:-1]).any()


def test_terms_are_counted_by_digit():
    # 5 = 4 + 1, -6 = -8 + 2, 255 = 256 - 1
    counts = count_terms(np.array([[5, -6, 0], [255, 0, 0]]), 8)
    assert counts.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1]]


CELLS = ["lstm", "gru", "gru_before", "ligru", "sru4"]


@settings(max_examples=25, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    bits=st.sampled_from([2, 4, 8, 16]),
    mode=st.sampled_from(["exact", "power_of_two"]),
    threshold=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_the_fast_model_equals_the_one_by_events(cell, bits, mode, threshold, seed):
    network = make_network(
        [(cell, 4), ("linear", 2)],
        3,
        seed=seed,
        activation_bits=bits,
        threshold=threshold,
        delta_mode=mode,
    )
    frames = make_frames(3, 6, seed=seed, smooth=0.5)
    result = run(network, [frames], terms=True)[0]
    steps = StepModel(network, np.random.default_rng(seed))
    for t, frame in enumerate(frames):
        assert steps.step(frame).tolist() == result.outputs[t].tolist()
        assert steps.events == {name: count[t] for name, count in result.events.items()}
    plain = run(network, [frames])[0]
    np.testing.assert_array_equal(plain.outputs, result.outputs)
    for name, path in network.paths():
        terms = result.terms[name].sum(axis=1)
        if mode == "power_of_two":  # one term an event
            np.testing.assert_array_equal(terms, result.events[name])
        else:
            assert (terms >= result.events[name]).all()
        assert result.terms[name].shape == (6, path.quantizer.bits + 1)


def test_power_of_two_with_threshold_zero_is_not_dense_but_gets_there():
    """Once its input stands still, the network comes to the dense one's outputs."""
    exact = make_network([("linear", 4)], 6, seed=3)
    network = replace(exact, delta_mode="power_of_two")
    frames = np.repeat(make_frames(6, 2, seed=5), 9, axis=0)
    dense = run(exact, [frames])[0].outputs
    outputs = run(network, [frames])[0].outputs
    assert (outputs[0] != dense[0]).any()
    for end in (8, 17):
        np.testing.assert_array_equal(outputs[end], dense[end])
    assert run(network, [frames])[0].events["linear0.x"][[8, 17]].tolist() == [0, 0]
    np.testing.assert_array_equal(run(network, [frames], delta=False)[0].outputs, dense)


def test_the_mode_is_kept_in_the_file_and_with_other_thresholds(tmp_path):
    network = make_network([("lstm", 3)], 2, delta_mode="power_of_two")
    assert network.with_thresholds({"lstm0.x": 4}).delta_mode == "power_of_two"
    network.save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").delta_mode == "power_of_two"


def test_unknown_modes():
    with pytest.raises(UserError, match="delta mode: 'nearest' is not possible"):
        make_network([("lstm", 3)], 2, delta_mode="nearest")
    with pytest.raises(UserError, match="delta mode: 'nearest' is not possible"):
        Scheme(delta_mode="nearest")
