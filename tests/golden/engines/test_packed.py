# SPDX-License-Identifier: Apache-2.0
"""Packing sequences of unequal length, by hand and back again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deltaloom.golden.engines.packed import Packing, beside


def test_by_hand():
    packing = Packing.of([2, 0, 3, 2])
    assert packing.running.tolist() == [3, 3, 1]
    assert packing.order.tolist() == [2, 0, 3, 1]
    parts = [np.array(part).reshape(-1, 1) for part in ([1, 2], [], [3, 4, 5], [6, 7])]
    packed = packing.pack(parts, 1)
    assert packed[:, 0].tolist() == [3, 1, 6, 4, 2, 7, 5]
    assert list(packing.steps()) == [(slice(0, 3), 3), (slice(3, 6), 3), (slice(6, 7), 1)]


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 3))
def test_round_trip(lengths, width):
    rng = np.random.default_rng(0)
    parts = [rng.integers(-9, 9, (n, width)) for n in lengths]
    packing = Packing.of(lengths)
    back = packing.unpack(packing.pack(parts, width))
    assert len(back) == len(parts)
    for a, b in zip(parts, back, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(n for _, n in packing.steps()) == sum(lengths)


@given(st.lists(st.integers(0, 9), max_size=6))
def test_flipped(lengths):
    parts = [100 * k + np.arange(n).reshape(-1, 1) for k, n in enumerate(lengths)]
    packing = Packing.of(lengths)
    packed = packing.pack(parts, 1)
    for part, back in zip(parts, packing.unpack(packed[packing.flipped]), strict=True):
        assert back.tolist() == part[::-1].tolist()
    assert packing.flipped[packing.flipped].tolist() == [*range(sum(lengths))]


def test_blocks_by_hand():
    packing = Packing.of([2, 0, 3, 2])  # 3, 3 and 1 rows
    assert [b.frames for b in packing.blocks(100)] == [7]
    first, second = packing.blocks(6)
    assert (first.start, first.steps) == (0, [(slice(0, 3), 3), (slice(3, 6), 3)])
    assert (second.start, second.steps) == (6, [(slice(0, 1), 1)])
    assert [b.frames for b in packing.blocks(1)] == [3, 3, 1]  # a step is never cut
    assert second.packed(slice(0, 1)) == slice(6, 7)
    assert list(Packing.of([0]).blocks(4)) == []


def test_the_step_before_by_hand():
    (block,) = Packing.of([2, 4, 1]).blocks(100)  # 3, 2, 1 and 1 rows
    rows = np.array([[10], [11], [12], [20], [21], [30], [40]])
    first = np.array([[1], [2], [3], [99]])  # of a step with one sequence more
    assert block.before(first, rows)[:, 0].tolist() == [1, 2, 3, 10, 11, 20, 30]


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 12))
def test_changed_is_where_rows_differ_from_those_before(lengths, frames):
    rng = np.random.default_rng(1)
    for block in Packing.of(lengths).blocks(frames):
        rows = rng.integers(0, 2, (block.frames, 3))
        first = rng.integers(0, 2, (len(lengths), 3))
        changed = block.changed(first, rows)
        np.testing.assert_array_equal(changed, rows != block.before(first, rows))


def test_beside():
    values = {-1: np.array([[1], [2]]), 3: np.array([[3, 4], [5, 6]])}
    assert beside(values, (3,)) is values[3]
    assert beside(values, (3, -1)).tolist() == [[3, 4, 1], [5, 6, 2]]


def test_nothing():
    packing = Packing.of([])
    assert packing.flipped.tolist() == []
    assert packing.pack([], 4).shape == (0, 4)
    assert packing.unpack(np.zeros((0, 4))) == []
    assert list(packing.steps()) == []
