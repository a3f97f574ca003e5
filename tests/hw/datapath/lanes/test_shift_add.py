# SPDX-License-Identifier: Apache-2.0
"""The MAC array of `shift_add` lanes; what both kinds share is tested in test_mac.py."""

import numpy as np
import pytest

from deltaloom.golden.arithmetic import code_range
from deltaloom.golden.delta import signed_digits
from deltaloom.hw.datapath.lanes.array import MacArray
from deltaloom.hw.words import term_levels
from deltaloom.sim.testing.streams import run, set_value


def terms(deltas, digits):
    """Beats for a group's deltas: (event or None, negative, twice, raise), the top level first."""
    levels = term_levels(digits)
    split = signed_digits(deltas, 2 * levels).reshape(len(deltas), levels, 2)
    found = []
    for level in range(levels - 1, -1, -1):
        mine = [
            (n, int(pair.sum() < 0), int(pair[1] != 0), 0)
            for n, pair in enumerate(split[:, level])
            if pair.any()
        ]
        if found or not level:
            mine = mine or [(None, 0, 0, 0)]
            mine[0] = (*mine[0][:3], int(bool(found)))
        found += mine
    return found


def lane_values(weights, digits, digit_bits, drain_rows):
    """[events, rows] of weights as [events, lanes] of digits: by D rows, the top digit first."""
    events, rows = weights.shape
    split = weights.reshape(events, rows // drain_rows, 1, drain_rows)
    shifts = digit_bits * np.arange(digits - 1, -1, -1)[:, None]
    return ((split >> shifts) & ((1 << digit_bits) - 1)).reshape(events, rows * digits)


def check(groups, *, widths, delta_bits, lane_bits, drain_rows=2):
    """Groups (weights [events, rows], deltas [events]) against NumPy; widths: of each's weights."""
    every = tuple(sorted(set(widths)))
    rows = [weights.shape[1] for weights, _ in groups]
    lanes = rows[0] * widths[0] // every[0]
    dut = MacArray(
        lanes=lanes,
        weight_bits=every,
        delta_bits=delta_bits,
        drain_rows=drain_rows,
        lane_bits=lane_bits,
        sum_bits=40,
        lane_kind="shift_add",
    )
    found = []
    rng = np.random.default_rng(0)

    async def source(ctx):
        spacing = 0
        for (weights, deltas), width, count in zip(groups, widths, rows, strict=True):
            digits = width // every[0]
            lane = lane_values(weights, digits, every[0], drain_rows)
            beats = terms(deltas, delta_bits)
            for n, (event, negative, twice, lower) in enumerate(beats):
                last = n == len(beats) - 1
                while last and spacing > 0:
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                    spacing -= 1
                ctx.set(dut.valid, 1)
                anything = rng.integers(1 << every[0], size=lanes)  # where there is no term
                set_value(ctx, dut.weights, (anything if event is None else lane[event]).tolist())
                d = {"negative": negative, "twice": twice, "nothing": int(event is None)}
                tag = {"d": d | {"raise": lower}, "first": int(n == 0), "last": int(last)}
                words = {"words": count // drain_rows, "digits_log2": digits.bit_length() - 1}
                set_value(ctx, dut.tag, tag | words)
                await ctx.tick()
                spacing = lanes // drain_rows - 1 if last else spacing - 1
        ctx.set(dut.valid, 0)

    async def sink(ctx):
        while len(found) < sum(rows) // drain_rows:
            _, _, valid, sums = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                found.append([sums[n] for n in range(drain_rows)])

    run(dut, sink, source, cycles=20000)
    expected = []
    for weights, deltas in groups:
        expected += (deltas @ weights).reshape(-1, drain_rows).tolist()
    assert found == expected


def group(rng, rows, weight_bits, delta_bits, events):
    low, high = code_range(weight_bits)
    most = (1 << (delta_bits - 1)) - 1
    weights = rng.integers(low, high + 1, (events, rows))
    return weights, rng.integers(-most, most + 1, events)


@pytest.mark.parametrize("delta_bits", [3, 5, 9, 17])
@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
def test_every_width(weight_bits, delta_bits):
    rng = np.random.default_rng(weight_bits + delta_bits)
    groups = [group(rng, 4, weight_bits, delta_bits, n) for n in (1, 2, 5, 1, 3, 1, 1)]
    lane_bits = weight_bits + delta_bits + 2
    check(groups, widths=[weight_bits] * 7, delta_bits=delta_bits, lane_bits=lane_bits)


@pytest.mark.parametrize("every", [(2, 16), (4, 8), (2, 4, 8, 16), (8, 16)])
def test_groups_of_different_weight_widths(every):
    rng = np.random.default_rng(6)
    widths = [int(w) for w in [*every, *every[::-1], *rng.choice(every, 8)]]
    groups = [group(rng, 64 // w, w, 9, int(rng.integers(1, 7))) for w in widths]
    check(groups, widths=widths, delta_bits=9, lane_bits=30)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("sign", [1, -1])
def test_corners_fill_the_sum_and_may_wrap_before(bits, sign):
    """A sum that needs all its bits; on the way there it is four times too large and more."""
    columns = 8
    weight, delta = code_range(bits)[0], sign * ((1 << bits) - 1)
    groups = [(np.full((columns, 2), weight), np.full(columns, delta))] * 2
    lane_bits = int(abs(weight * delta * columns)).bit_length() + 1
    check(groups, widths=[bits] * 2, delta_bits=bits + 1, lane_bits=lane_bits)


def test_every_nine_bit_delta_times_the_corners():
    deltas = np.arange(-255, 256)
    groups = [(np.array([[-128, 127]]), np.array([d])) for d in deltas]
    check(groups, widths=[8] * len(groups), delta_bits=9, lane_bits=17)


def test_empty_lists_and_levels_without_terms():
    rng = np.random.default_rng(4)
    groups = [
        (rng.integers(-128, 128, (len(deltas), 4)), np.array(deltas, np.int64))
        for deltas in ([], [64, -64], [], [1], [128, 1], [], [3, 12, -48], [4], [])
    ]
    check(groups, widths=[8] * len(groups), delta_bits=9, lane_bits=24)
