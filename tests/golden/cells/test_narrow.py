# SPDX-License-Identifier: Apache-2.0
"""A cell's step in int32: every word as in int64, for all cells and exponents."""

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.golden.cells.narrow import OFFSET, narrow

ROWS, UNITS = 40, 6
WIDE = ("lstm_clip", "fast_grnn")
ENDS = (-32768, -32767, -1, 0, 1, 32767)


def words(rng, shape=(ROWS, UNITS)):
    """int16 words, the ends of their range among them."""
    return np.where(
        rng.random(shape) < 0.3, rng.choice(ENDS, shape), rng.integers(-32768, 32768, shape)
    )


def given(cell, rng, c_exponent, vector_shift):
    p = {gate: words(rng) * rng.choice([1, 3], (ROWS, UNITS)) for gate in cell.gates}
    state = State(words(rng), words(rng))
    numbers = Numbers(
        c_exponent=c_exponent,
        vectors={name: words(rng, UNITS) for name in cell.vectors},
        vector_shift=vector_shift,
        skip=words(rng) if cell.reads_input else None,
    )
    return p, state, numbers


def taken(cell, step, p):
    """Pre-activations as the step takes them."""
    rows = [p[cell.gates[n]] for n in step.order]
    for n, row in enumerate(rows):
        rows[n] = row + OFFSET if n < step.direct else np.clip(row, -32768, 32767)
    return np.stack(rows).astype(np.int32)


@pytest.mark.parametrize("kind", CELLS)
def test_every_word_is_that_of_int64(kind):
    cell, rng = CELLS[kind], np.random.default_rng(5)
    for c_exponent in range(cell.most_c_exponent + 1):
        vector_shift = int(rng.integers(0, 18 - c_exponent + 1))
        step = narrow(cell, c_exponent, vector_shift)
        if step is None:
            assert cell.takes_means or kind in WIDE, "no value of it is wider than 32 bits"
            continue
        p, state, numbers = given(cell, rng, c_exponent, vector_shift)
        saturated = {gate: np.clip(words, -32768, 32767) for gate, words in p.items()}
        inputs = {"c": state.c, "h": state.h, **numbers.vectors}
        if numbers.skip is not None:
            inputs["skip"] = numbers.skip
        inputs = {name: value.astype(np.int32) for name, value in inputs.items()}
        before = {name: value.copy() for name, value in inputs.items()}
        found = step.states(taken(cell, step, p), inputs)
        wanted = cell.step(saturated, state, numbers)
        for one, other in zip(found, wanted[-len(found) :], strict=True):
            assert one.dtype == np.int32
            np.testing.assert_array_equal(one, other)
        if cell.middle is not None:
            source = step.source(taken(cell, step, p), inputs)
            np.testing.assert_array_equal(source, cell.middle(saturated, state, Numbers()))
        for name, value in inputs.items():  # nothing is written over what it is given
            np.testing.assert_array_equal(value, before[name])
