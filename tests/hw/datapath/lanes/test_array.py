# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Fragment, Value

from deltaloom.boards.asic.macros import MacroPlatform
from deltaloom.golden.arithmetic import code_range
from deltaloom.hw.datapath.lanes.array import MacArray
from deltaloom.sim.testing.streams import run, set_value


def group(rng, lanes, weight_bits, delta_bits, events):
    """(weights [events, lanes], deltas [events]) over their whole ranges."""
    low, high = code_range(weight_bits)
    weights = rng.integers(low, high + 1, (events, lanes))
    low, high = code_range(delta_bits)
    return weights, rng.integers(low, high + 1, events)


def lane_values(weights, digits, digit_bits, drain_rows):
    """[events, rows] of weights as [events, lanes] of digits: by D rows, the top digit first."""
    split = weights.reshape(len(weights), -1, 1, drain_rows)
    shifts = digit_bits * np.arange(digits - 1, -1, -1)[:, None]
    return ((split >> shifts) & ((1 << digit_bits) - 1)).reshape(len(weights), -1)


class InCells(Elaboratable):
    """A component as it is in a chip."""

    def __init__(self, dut):
        self._dut = dut

    def elaborate(self, platform):
        return Fragment.get(self._dut, MacroPlatform())


def check(
    groups,
    *,
    weight_bits,
    delta_bits,
    drain_rows,
    sum_bits,
    widths=None,
    words=None,
    gaps=0.0,
    in_cells=False,
):
    """Groups of beats against the NumPy product; each drains as early as the caller may ask.

    widths: the weight bits of each group, where they differ; words: D-words that it drains.
    """
    widths = widths or [weight_bits] * len(groups)
    every = tuple(sorted(set(widths)))
    digits = [width // every[0] for width in widths]
    lanes = groups[0][0].shape[1] * digits[0]
    dut = MacArray(
        lanes=lanes,
        weight_bits=every,
        delta_bits=delta_bits,
        drain_rows=drain_rows,
        lane_bits=sum_bits,
        sum_bits=sum_bits,
    )
    words = words or [lanes // count // drain_rows for count in digits]
    rng = np.random.default_rng(0)
    drained, ends = [], []
    cycle = 0

    async def source(ctx):
        spacing = 0
        for (weights, deltas), count, parts in zip(groups, words, digits, strict=True):
            weights = lane_values(weights, parts, every[0], drain_rows)
            for n, (row, d) in enumerate(zip(weights, deltas, strict=True)):
                last = n == len(deltas) - 1
                while (last and spacing > 0) or rng.random() < gaps:
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                    spacing -= 1
                ctx.set(dut.valid, 1)
                set_value(ctx, dut.weights, row.tolist())
                tag = {"d": int(d), "first": int(n == 0), "last": int(last), "words": count}
                set_value(ctx, dut.tag, tag | {"digits_log2": parts.bit_length() - 1})
                await ctx.tick()
                spacing = count * parts - 1 if last else spacing - 1
                if last:
                    ends.append(cycle)
        ctx.set(dut.valid, 0)

    async def sink(ctx):
        nonlocal cycle
        while len(drained) < sum(words):
            _, _, valid, sums = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                drained.append((cycle, [sums[n] for n in range(drain_rows)]))
            cycle += 1

    run(InCells(dut) if in_cells else dut, sink, source, cycles=20000)
    expected = []
    for (weights, deltas), count in zip(groups, words, strict=True):
        expected += (deltas @ weights).reshape(-1, drain_rows)[:count].tolist()
    assert [sums for _, sums in drained] == expected
    at = 0
    for end, count, parts in zip(ends, words, digits, strict=True):
        first = end - 1 + dut.latency + parts - 1  # `end` is the cycle behind the last beat's
        cycles = [first + n * parts for n in range(count)]
        assert [c for c, _ in drained[at : at + count]] == cycles
        at += count


@pytest.mark.parametrize("delta_bits", [3, 5, 9, 17])
@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
def test_every_width(weight_bits, delta_bits):
    rng = np.random.default_rng(weight_bits + delta_bits)
    groups = [group(rng, 6, weight_bits, delta_bits, n) for n in (1, 2, 5, 1, 3, 1, 1)]
    check(
        groups,
        weight_bits=weight_bits,
        delta_bits=delta_bits,
        drain_rows=2,
        sum_bits=weight_bits + delta_bits + 2,
    )


@pytest.mark.parametrize("widths", [[4], [8, 4]])
def test_in_cells_each_lane_has_its_multiplier(widths):
    rng = np.random.default_rng(4)
    groups = [group(rng, 16 // width, width, 9, n) for width in widths for n in (1, 2, 5, 1)]
    check(
        groups,
        weight_bits=4,
        delta_bits=9,
        drain_rows=2,
        sum_bits=20,
        widths=[width for width in widths for _ in range(4)],
        in_cells=True,
    )
    array = MacArray(
        lanes=8, weight_bits=(4,), delta_bits=9, drain_rows=2, lane_bits=20, sum_bits=20
    )
    ports = [array.valid, array.o.valid]
    ports += [Value.cast(view) for view in (array.weights, array.tag, array.o.payload)]
    texts = [rtlil.convert(array, ports=ports, platform=p) for p in (None, MacroPlatform())]
    assert [text.count("cell $mul") for text in texts] == [4, 8]


@pytest.mark.parametrize(("lanes", "drain_rows"), [(1, 1), (5, 1), (5, 5), (8, 4), (12, 3)])
@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_lanes_and_drain(lanes, drain_rows, gaps):
    rng = np.random.default_rng(lanes)
    groups = [group(rng, lanes, 8, 9, n) for n in (3, 1, 1, 4, 2, 1, 7)]
    check(groups, weight_bits=8, delta_bits=9, drain_rows=drain_rows, sum_bits=24, gaps=gaps)


def test_groups_that_drain_only_some_of_their_words():
    rng = np.random.default_rng(3)
    groups = [group(rng, 8, 4, 5, n) for n in (1, 1, 2, 1, 1, 1)]
    check(groups, weight_bits=4, delta_bits=5, drain_rows=2, sum_bits=16, words=[4, 1, 1, 3, 1, 4])


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("end", [0, 1])
def test_corners_fill_the_sum(bits, end):
    """All weights and deltas at one end; the sum needs every one of its bits."""
    columns = 8
    weight, delta = code_range(bits)[0], code_range(bits + 1)[end]
    groups = [(np.full((columns, 2), weight), np.full(columns, delta))] * 2
    sum_bits = int(abs(weight * delta * columns)).bit_length() + 1
    check(groups, weight_bits=bits, delta_bits=bits + 1, drain_rows=1, sum_bits=sum_bits)


def test_an_empty_group_is_one_beat_of_delta_zero():
    rng = np.random.default_rng(4)
    full = group(rng, 4, 8, 9, 3)
    empty = (np.full((1, 4), -128), np.zeros(1, np.int64))
    check([full, empty, full, empty, empty], weight_bits=8, delta_bits=9, drain_rows=2, sum_bits=20)


@pytest.mark.parametrize("every", [(2, 16), (4, 8), (2, 4, 8, 16), (8, 16)])
def test_groups_of_different_weight_widths(every):
    rng = np.random.default_rng(6)
    widths = [int(w) for w in [*every, *every[::-1], *rng.choice(every, 8)]]
    groups = [group(rng, 96 // w, w, 9, int(rng.integers(1, 9))) for w in widths]
    check(groups, weight_bits=None, widths=widths, delta_bits=9, drain_rows=2, sum_bits=30)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("weight", [-32768, -1, 32767])
def test_corners_of_digits(weight, end):
    delta = code_range(17)[end]
    groups = [
        (np.full((3, 2), weight), np.full(3, delta)),
        (np.full((1, 16), -2), np.full(1, delta)),
    ]
    check(
        groups * 2, weight_bits=None, widths=[16, 2] * 2, delta_bits=17, drain_rows=2, sum_bits=35
    )


def test_wide_groups_that_drain_only_some_of_their_words():
    rng = np.random.default_rng(7)
    widths = [8, 2, 8, 2]
    groups = [group(rng, 64 // w, w, 5, n) for w, n in zip(widths, (1, 1, 2, 3), strict=True)]
    check(
        groups,
        weight_bits=None,
        widths=widths,
        delta_bits=5,
        drain_rows=4,
        sum_bits=20,
        words=[1, 5, 2, 8],
    )
