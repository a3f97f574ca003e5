# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.sim.testing.cell import check_cell

EXTREMES = (-32768, -32767, -1, 0, 1, 2, 32767)
RANDOM = np.random.default_rng(4)


def test_extremes_of_every_input():
    operands = np.array(list(itertools.product(*[EXTREMES] * 3)))
    check_cell("ligru", operands[:, :2], h=operands[:, 2])


def test_random_units():
    p = RANDOM.integers(-32768, 32768, (8000, 2)) >> RANDOM.integers(0, 8, (8000, 2))
    check_cell("ligru", p, h=RANDOM.integers(-32768, 32768, 8000))


@pytest.mark.parametrize(("a", "h"), [(32767, -32768), (-5, 32767), (0, -32768), (32767, 32767)])
def test_every_update_gate(a, h):
    z = np.arange(-32768, 32768, 29)
    check_cell("ligru", np.stack([np.full_like(z, a), z], axis=1), h=h)


def test_the_candidate_is_rectified():
    a = RANDOM.integers(-32768, 32768, 500)
    after = check_cell("ligru", np.stack([a, np.full_like(a, -32768)], axis=1))
    np.testing.assert_allclose(after.h, np.maximum(a, 0), atol=12)
