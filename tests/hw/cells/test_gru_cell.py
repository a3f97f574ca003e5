# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.sim.testing.cell import check_cell

EXTREMES = (-32768, -1, 0, 1, 32767)
RANDOM = np.random.default_rng(3)


def test_extremes_of_every_input():
    p = np.array(list(itertools.product(*[EXTREMES] * 4)))
    for h in (-32768, -32767, -1, 0, 1, 32767):
        check_cell("gru", p, h=h)


def test_random_units():
    p = RANDOM.integers(-32768, 32768, (8000, 4)) >> RANDOM.integers(0, 8, (8000, 4))
    check_cell("gru", p, h=RANDOM.integers(-32768, 32768, 8000))


@pytest.mark.parametrize("kind", ["gru", "gru_hard"])
def test_a_recurrent_part_of_every_width(kind):
    """Each e_c, with extremes of r and nh among random words."""
    p = RANDOM.integers(-32768, 32768, (3000, 4)) >> RANDOM.integers(0, 8, (3000, 4))
    p[:250, [0, 3]] = RANDOM.choice(EXTREMES, (250, 2))
    e_c = RANDOM.integers(0, 4, 3000)
    check_cell(kind, p, h=RANDOM.integers(-32768, 32768, 3000), c_exponent=e_c)


def test_the_reset_gate_acts_on_the_recurrent_part_alone():
    p_nx, p_nh = RANDOM.integers(-8192, 8192, (2, 1000))
    gates = np.full((2, 1000), -32768)  # z near 0: h' = n
    shut = check_cell("gru", np.stack([gates[0], gates[1], p_nx, p_nh], axis=1))
    alone = check_cell("gru", np.stack([gates[0], gates[1], p_nx, 0 * p_nh], axis=1))
    open_ = check_cell("gru", np.stack([gates[0] + 65535, gates[1], p_nx, p_nh], axis=1))
    assert np.abs(shut.h - alone.h).max() < 32 < np.abs(open_.h - alone.h).max()


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_candidates_sum_saturates(sign):
    """r near 1 and both parts at one end: what wraps would turn the candidate's sign."""
    p = np.tile([32767, -32768, sign * 32000, sign * 32000], (3, 1))
    after = check_cell("gru", p, h=[-32768, 0, 32767])
    assert (after.h * sign > 32000).all()


@pytest.mark.parametrize("candidate", [-32768, 32767])
def test_every_update_gate_between_opposite_ends(candidate):
    """z over its whole range between h and n as far apart as they go."""
    z = np.arange(-32768, 32768, 37)
    p = np.stack([z, z, np.full_like(z, candidate), 0 * z], axis=1)
    check_cell("gru", p, h=32767 if candidate < 0 else -32768)
