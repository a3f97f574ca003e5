# SPDX-License-Identifier: Apache-2.0
"""The cells with layer normalization in integers against their equations in reals."""

import numpy as np
import pytest

from deltaloom.golden.arithmetic import from_fixed, to_fixed
from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.golden.cells.norm import LEAST, epsilons
from deltaloom.golden.cells.stages import ALIKE
from deltaloom.golden.engines.engine import run
from deltaloom.golden.models.layers import exponents_of
from deltaloom.golden.models.synthetic import make_frames, make_network

NORMED = [kind for kind, cell in CELLS.items() if cell.norms]
UNITS, STEPS, E_C, E_V = 37, 9, 4, 2


def numbers(cell, rng):
    """Vectors in reals, and in words."""
    vectors = {n: rng.normal(size=UNITS) * 0.4 + n.startswith("gain") for n in cell.vectors}
    vectors |= epsilons(cell, UNITS)
    words = {name: to_fixed(v, E_V) for name, v in vectors.items()}
    words |= {n: np.round(v / LEAST).astype(int) for n, v in vectors.items() if ALIKE in n}
    e_c = E_C if cell.has_c else 0
    real = Numbers(vectors=vectors)
    return real, Numbers(c_exponent=e_c, vectors=words, vector_shift=18 - E_V - e_c)


@pytest.mark.parametrize("scale", [1.5, 0.5])
@pytest.mark.parametrize("kind", NORMED)
def test_integer_steps_are_close_to_float_ones(kind, scale):
    cell, rng = CELLS[kind], np.random.default_rng(1)
    real, integer = numbers(cell, rng)
    e_h = integer.c_exponent if cell.c_like_h else 0
    formats = exponents_of(cell, integer.c_exponent, e_h)
    p = {gate: np.clip(rng.normal(size=(STEPS, UNITS)) * scale, -3.9, 3.9) for gate in cell.gates}
    codes = {gate: to_fixed(p[gate], e) for gate, e in zip(cell.gates, formats, strict=True)}
    c, h = rng.normal(size=(STEPS, UNITS)), rng.uniform(-1, 1, (STEPS, UNITS))
    state = State(to_fixed(c, integer.c_exponent), to_fixed(h, e_h))
    after = cell.step(codes, state, integer)
    wanted = cell.float_step(p, State(c, h), real)
    assert after.h.shape == (STEPS, UNITS)
    np.testing.assert_allclose(from_fixed(after.h, e_h), wanted.h, rtol=0, atol=4e-3 / scale)
    if cell.has_c:
        found = from_fixed(after.c, integer.c_exponent)
        np.testing.assert_allclose(found, wanted.c, rtol=0, atol=4e-3 / scale)


def test_a_normalized_c_has_all_of_its_format():
    """One unit's stands out, and ends beyond the +-8 of Q3.12."""
    cell, rng = CELLS["lstm_norm_xh_c"], np.random.default_rng(1)
    real, integer = numbers(cell, rng)
    gain = np.full(UNITS, 2.5)
    real.vectors["gain_c"], integer.vectors["gain_c"] = gain, to_fixed(gain, E_V)
    p = {gate: rng.uniform(-3, 3, (STEPS, UNITS)) for gate in cell.gates}
    codes = {gate: to_fixed(values, 3) for gate, values in p.items()}
    c, h = rng.normal(size=(STEPS, UNITS)), np.zeros((STEPS, UNITS))
    c[:, 0] = 14
    wanted = cell.float_step(p, State(c, h), real)
    after = cell.step(codes, State(to_fixed(c, E_C), to_fixed(h, 0)), integer)
    assert 9 < wanted.c.max() < 15
    np.testing.assert_allclose(from_fixed(after.c, E_C), wanted.c, rtol=0, atol=0.02)
    np.testing.assert_allclose(from_fixed(after.h, 0), wanted.h, rtol=0, atol=4e-3)


@pytest.mark.parametrize("kind", NORMED)
def test_a_power_of_two_in_what_is_normalized_changes_nothing_but_roundings(kind):
    """With epsilon times its square: words twice as large, the same y up to its rounding."""
    cell, rng = CELLS[kind], np.random.default_rng(2)
    _, integer = numbers(cell, rng)
    p = {gate: rng.integers(-9000, 9000, (STEPS, UNITS)) for gate in cell.gates}
    zero = np.zeros((STEPS, UNITS), np.int64)
    normed = {gate for gates in cell.norms.values() for gate in gates}
    twice = {gate: words * (1 + (gate in normed)) for gate, words in p.items()}
    vectors = dict(integer.vectors)
    for name in cell.norms:
        if name != "c":
            vectors[f"{ALIKE}{name}"] = 4 * (vectors[f"{ALIKE}{name}"] + 1) - 1
    other = Numbers(
        c_exponent=integer.c_exponent, vectors=vectors, vector_shift=integer.vector_shift
    )
    before = State(zero, zero)
    one, two = cell.step(p, before, integer), cell.step(twice, before, other)
    np.testing.assert_allclose(two.h, one.h, rtol=0, atol=100)  # a word of c is more of its norm


@pytest.mark.parametrize("mode", ["exact", "power_of_two"])
def test_deltas_with_threshold_0_are_dense_and_a_threshold_saves_products(mode):
    shape = [("lstm_norm_xh_out", 6), ("gru_norm", 5), ("ligru_norm_h", 4), ("linear", 3)]
    frames = [make_frames(5, 30, seed=n, smooth=0.9) for n in range(2)]
    exact = make_network(shape, 5, seed=1, delta_mode=mode)
    dense = [result.outputs for result in run(exact, frames, delta=False)]
    for one, other in zip(run(exact, frames), dense, strict=True):
        if mode == "exact":
            np.testing.assert_array_equal(one.outputs, other)
    few = run(make_network(shape, 5, seed=1, threshold=20, delta_mode=mode), frames)
    for one, other in zip(few, run(exact, frames), strict=True):
        assert sum(e.sum() for e in one.events.values()) < sum(
            e.sum() for e in other.events.values()
        )
