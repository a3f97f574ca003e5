# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.sim.testing.cell import check_cell

EXTREMES = (-32768, -1, 0, 1, 32767)
SHARES = (0, 1, 16384, 32766, 32767)
RANDOM = np.random.default_rng(5)


def test_reset_at_the_extremes_of_every_input():
    p = np.array(list(itertools.product(EXTREMES, EXTREMES)))
    for h in (-32768, -32767, -1, 0, 1, 32767):
        check_cell("gru_reset", p, h=h, c=12345)


def test_update_at_the_extremes_of_every_input():
    for c, h in itertools.product(SHARES, EXTREMES):
        check_cell("gru_update", np.array([EXTREMES]).T, h=h, c=c)


def test_random_units():
    p = RANDOM.integers(-32768, 32768, (8000, 3)) >> RANDOM.integers(0, 8, (8000, 3))
    h = RANDOM.integers(-32768, 32768, 8000)
    check_cell("gru_reset", p[:, :2], h=h)
    check_cell("gru_update", p[:, 2:], h=h, c=RANDOM.integers(0, 32768, 8000))


def test_every_reset_gate_on_the_lowest_state():
    """r over its whole range: the product's rounding, towards the even and odd halves alike."""
    r = np.arange(-32768, 32768, 29)
    for h in (-32768, 32767, 3):
        check_cell("gru_reset", np.stack([r, 0 * r], axis=1), h=h)


@pytest.mark.parametrize("candidate", [-32768, 32767])
def test_every_share_between_opposite_ends(candidate):
    c = np.arange(0, 32768, 13)
    p = np.full((len(c), 1), candidate)
    check_cell("gru_update", p, c=c, h=32767 if candidate < 0 else -32768)


def test_one_after_the_other_they_are_goldens_cell():
    p = RANDOM.integers(-32768, 32768, (500, 3)) >> RANDOM.integers(0, 6, (500, 3))
    h = RANDOM.integers(-32768, 32768, 500)
    between = check_cell("gru_reset", p[:, :2], h=h)
    after = check_cell("gru_update", p[:, 2:], c=between.c, h=between.h)
    whole = CELLS["gru_before"].step(dict(zip("rzn", p.T, strict=True)), State(0 * h, h), Numbers())
    np.testing.assert_array_equal(after.h, whole.h)
    np.testing.assert_array_equal(after.c, whole.c)
