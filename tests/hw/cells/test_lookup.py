# SPDX-License-Identifier: Apache-2.0
"""`LookupTable` is gemmlowp's sigmoid and tanh for every word."""

import numpy as np
import pytest

from deltaloom.golden.arithmetic import rshr
from deltaloom.golden.integer_lstm.activations import sigmoid_table, tanh_table
from deltaloom.hw.cells.lookup import LookupTable, fit_lines
from deltaloom.sim.testing.cell import run

TABLES = {"sigmoid": sigmoid_table()} | {f"tanh {k}": tanh_table(k) for k in range(7)}
CORNERS = (-32768, -32767, -64, -1, 0, 1, 63, 64, 4095, 4096, 8191, 8192, 16383, 16384, 32767)


def by_word(table):
    return np.roll(table, 1 << 15)


@pytest.mark.parametrize("name", TABLES)
def test_lines_give_every_word(name):
    lines = fit_lines(by_word(TABLES[name]))
    assert lines.correction.min() >= 0 and lines.correction.max() < 8
    m = np.arange(1 << 15)
    inside = np.minimum(m, lines.count - 1)
    segment, f = inside >> lines.bits, inside & ((1 << lines.bits) - 1)
    line = lines.start[segment] + rshr(lines.slope[segment] * f, lines.bits)
    y = np.minimum((line + lines.correction[inside]) << lines.scale, 32767)
    y[lines.count :] = lines.end
    np.testing.assert_array_equal(y, TABLES[name][1 << 15 :])
    assert lines.end == (32767 if lines.complement else 0) - TABLES[name][0]


def simulated(table, words, exponents=None):
    got = []

    async def bench(ctx):
        for n in range(len(words) + table.LATENCY):
            if n < len(words):
                ctx.set(table.p, int(words[n]))
                if exponents is not None:
                    ctx.set(table.exponent, int(exponents[n]))
            if n >= table.LATENCY:
                got.append(ctx.get(table.o))
            await ctx.tick()

    run(table, bench, cycles=len(words) + table.LATENCY + 5)
    return got


@pytest.mark.parametrize("name", ["sigmoid", "tanh 0", "tanh 3"])
def test_hardware(name):
    words = np.append(CORNERS, np.random.default_rng(0).integers(-32768, 32768, 700))
    got = simulated(LookupTable({None: by_word(TABLES[name])}), words)
    np.testing.assert_array_equal(got, TABLES[name][words + 32768])


def test_chooses_by_exponent():
    tables = {k: by_word(tanh_table(k)) for k in (1, 4, 6)}
    rng = np.random.default_rng(1)
    words = np.concatenate([np.repeat(CORNERS, 3), rng.integers(-32768, 32768, 700)])
    exponents = np.append(np.tile([1, 4, 6], len(CORNERS)), rng.choice([1, 4, 6], 700))
    got = simulated(LookupTable(tables), words, exponents)
    expected = [tanh_table(e)[w + 32768] for w, e in zip(words, exponents, strict=True)]
    np.testing.assert_array_equal(got, expected)


def test_refuses_what_has_no_lines():
    words = np.arange(1 << 15) % 7
    with pytest.raises(ValueError, match="do not mirror the others"):
        fit_lines(np.append(words, words))
    odd = np.where(np.arange(1 << 15) % 2, 0, 900)
    odd[0] = 0
    with pytest.raises(ValueError, match=r"lines lack 0..[0-9]+, it may be within 0\.\.7"):
        fit_lines(np.concatenate([odd, [0], -odd[:0:-1]]))
