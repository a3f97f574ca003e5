# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, State
from deltaloom.hw.cells.base import STATE_LATENCY
from deltaloom.hw.cells.linear import LinearCell
from deltaloom.hw.cells.lstm import LstmCell
from deltaloom.sim.streams import run, set_value

EXTREMES = (-32768, -32767, -1, 0, 1, 32767)


def results(cell, p, c, h, c_exponent):
    """c and h of the cell for units that enter back to back; p: [unit, gate], the rest [unit]."""
    c_outputs, h_outputs = [], []

    async def testbench(ctx):
        for n in range(len(p) + cell.LATENCY):
            if n < len(p):
                set_value(ctx, cell.p, [int(gate) for gate in p[n]])
                set_value(ctx, cell.c_exponent, int(c_exponent[n]))
            if STATE_LATENCY <= n < len(p) + STATE_LATENCY:
                set_value(ctx, cell.c, int(c[n - STATE_LATENCY]))
                set_value(ctx, cell.h, int(h[n - STATE_LATENCY]))
            c_outputs.append(ctx.get(cell.c_next))
            h_outputs.append(ctx.get(cell.h_next))
            await ctx.tick()

    run(cell, testbench, cycles=len(p) + cell.LATENCY + 5)
    return c_outputs[cell.LATENCY :], h_outputs[cell.LATENCY :]


def check_lstm(p, c, c_exponent):
    """The cell against golden, unit by unit."""
    p, c, c_exponent = np.array(p), np.array(c), np.array(c_exponent)
    expected_c, expected_h = np.zeros_like(c), np.zeros_like(c)
    for e_c in np.unique(c_exponent):
        at = c_exponent == e_c
        gates = dict(zip(CELLS["lstm"].gates, p[at].T, strict=True))
        state = CELLS["lstm"].step(gates, State(c[at], np.zeros_like(c[at])), int(e_c))
        expected_c[at], expected_h[at] = state
    c_outputs, h_outputs = results(LstmCell(), p, c, np.zeros_like(c), c_exponent)
    np.testing.assert_array_equal(c_outputs, expected_c)
    np.testing.assert_array_equal(h_outputs, expected_h)
    return expected_c


@pytest.mark.parametrize("e_c", range(8))
def test_extremes_of_every_input(e_c):
    operands = list(itertools.product((-32768, 0, 32767), *[EXTREMES] * 2, (-32768, 32767)))
    p = [gates for gates in operands for _ in EXTREMES]
    c = list(EXTREMES) * len(operands)
    expected = check_lstm(p, c, [e_c] * len(c))
    if e_c == 0:  # f and i both near 1: the sum must have saturated at both ends
        assert expected.min() == -32768 and expected.max() == 32767


@pytest.mark.parametrize("e_c", range(8))
def test_every_kind_of_cell_state_reaches_tanh(e_c):
    rng = np.random.default_rng(e_c)
    c = np.concatenate([np.arange(-300, 300), rng.integers(-32768, 32768, 1500)])
    p = np.tile([-32768, 32767, 0, 32767], (len(c), 1))  # c' = almost c, h = almost tanh(c')
    check_lstm(p, c, np.full(len(c), e_c))


def test_random_units_with_mixed_exponents():
    rng = np.random.default_rng(11)
    count = 6000
    p = rng.integers(-32768, 32768, (count, 4)) >> rng.integers(0, 8, (count, 4))
    check_lstm(p, rng.integers(-32768, 32768, count), rng.integers(0, 8, count))


def test_linear_passes_its_pre_activation():
    rng = np.random.default_rng(12)
    y = rng.integers(-32768, 32768, 100)
    state = rng.integers(-32768, 32768, (2, 100))
    c_outputs, h_outputs = results(LinearCell(), y[:, None], *state, np.zeros(100, int))
    assert h_outputs == list(y)
    assert c_outputs == [0] * 100
