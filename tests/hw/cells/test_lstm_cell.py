# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.sim.testing.cell import check_cell

EXTREMES = (-32768, -32767, -1, 0, 1, 32767)
KINDS = ("lstm", "lstm_cifg")


def gates_of(kind, p):
    """Columns i, f, g, o as the cell takes them: coupled gates have no i."""
    p = np.asarray(p)
    return p if kind == "lstm" else p[:, 1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("e_c", range(8))
def test_extremes_of_every_input(kind, e_c):
    operands = list(itertools.product((-32768, 0, 32767), *[EXTREMES] * 2, (-32768, 32767)))
    p = [gates for gates in operands for _ in EXTREMES]
    c = list(EXTREMES) * len(operands)
    after = check_cell(kind, gates_of(kind, p), c=c, c_exponent=e_c)
    if e_c == 0 and kind == "lstm":  # f and i both near 1: the sum saturated at both ends
        assert after.c.min() == -32768 and after.c.max() == 32767


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("e_c", range(8))
def test_every_kind_of_cell_state_reaches_tanh(kind, e_c):
    rng = np.random.default_rng(e_c)
    c = np.concatenate([np.arange(-300, 300), rng.integers(-32768, 32768, 1500)])
    p = np.tile([-32768, 32767, 0, 32767], (len(c), 1))  # c' = almost c, h = almost tanh(c')
    check_cell(kind, gates_of(kind, p), c=c, c_exponent=e_c)


@pytest.mark.parametrize("kind", KINDS)
def test_random_units_with_mixed_exponents(kind):
    rng = np.random.default_rng(11)
    count = 6000
    p = rng.integers(-32768, 32768, (count, 4)) >> rng.integers(0, 8, (count, 4))
    c, e_c = rng.integers(-32768, 32768, count), rng.integers(0, 8, count)
    check_cell(kind, gates_of(kind, p), c=c, c_exponent=e_c)


def test_linear_passes_its_pre_activation():
    rng = np.random.default_rng(12)
    y, c, h = rng.integers(-32768, 32768, (3, 100))
    after = check_cell("linear", y[:, None], c=c, h=h)
    assert list(after.h) == list(y)


@pytest.mark.parametrize("shift", [0, 1, 9, 15, 18])
@pytest.mark.parametrize("e_c", [0, 3, 7])
def test_peepholes(shift, e_c):
    """Over the whole range, and with products that reach the ends of the gates."""
    rng = np.random.default_rng(60 + shift)
    p = rng.integers(-32768, 32768, (300, 4))
    p[::2] //= 8
    vectors = {name: rng.integers(-32768, 32768, 300) for name in ("v_i", "v_f", "v_o")}
    c = rng.integers(-32768, 32768, 300)
    check_cell("lstm_peephole", p, c=c, c_exponent=e_c, vectors=vectors, vector_shift=shift)


def test_the_output_gate_sees_the_new_c():
    """i = 1, f = 0 and g near 1 make c' near 1 whatever c is; v_o then opens or shuts o."""
    p = np.tile([32767, -32768, 32767, 0], (2, 1))
    vectors = {"v_i": 0, "v_f": 0, "v_o": [32767, -32767]}
    after = check_cell("lstm_peephole", p, c=[-30000, 30000], vectors=vectors, vector_shift=15)
    assert after.h[0] > 24000 and after.h[1] < 1000
