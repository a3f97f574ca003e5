# SPDX-License-Identifier: Apache-2.0
"""Random descriptions: integers in NumPy and the pipeline agree, and ranges hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.cells import CELLS, Cell, describe
from deltaloom.golden.cells.graph import walk
from deltaloom.golden.cells.steps import Integers
from deltaloom.golden.cells.values import (
    GATE,
    UNIT,
    C,
    V,
    hard_sigmoid,
    hard_tanh,
    mix,
    relu,
    rshr,
    sat16,
    sigmoid,
    table,
    tanh,
    within,
)
from deltaloom.golden.errors import UserError
from deltaloom.hw.cells.base import STATE_LATENCY
from deltaloom.hw.cells.pipeline import pipeline
from deltaloom.sim.testing.cell import check_hardware, golden_stage

CORNERS = (-32768, -32767, -64, -1, 0, 1, 63, 64, 16384, 32766, 32767)


def random_cell(seed):
    """A cell of some operations, each on what is there; those that are refused are left out."""
    rng = np.random.default_rng(seed)
    operations = (
        lambda a, b, s: sigmoid(sat16(a)),
        lambda a, b, s: tanh(sat16(a)),
        lambda a, b, s: hard_sigmoid(sat16(a)),
        lambda a, b, s: hard_tanh(sat16(a)),
        lambda a, b, s: relu(a),
        lambda a, b, s: sat16(a),
        lambda a, b, s: table(np.cos, sat16(a)),
        lambda a, b, s: table(np.square, sat16(a), takes=UNIT, gives=GATE),
        lambda a, b, s: within(a, s),
        lambda a, b, s: within(a, relu(sat16(b))),
        lambda a, b, s: a * b,
        lambda a, b, s: a + b,
        lambda a, b, s: a - b,
        lambda a, b, s: 1 - s,
        lambda a, b, s: a - 0.5,
        lambda a, b, s: mix(a, s, b),
        lambda a, b, s: mix(0, s, b),
        lambda a, b, s: rshr(a * b, GATE),
        lambda a, b, s: rshr(a * b, UNIT),
        lambda a, b, s: rshr(a * b, C),
        lambda a, b, s: sat16(a + rshr(s * b, GATE)),
        lambda a, b, s: sat16(rshr(a, C) + rshr(b * s, C)),
        lambda a, b, s: sat16(rshr(a, GATE) - rshr(b * s, GATE)),
        lambda a, b, s: rshr(a, GATE),
        lambda a, b, s: rshr(sat16(a), V),
    )

    def bounded(value, to):
        return sat16(rshr(value, to))

    def make(p, q, c, h, v):
        pool, shares = [p, q, c, h, v], [sigmoid(p)]
        for _ in range(rng.integers(3, 12)):
            a, b = (pool[n] for n in rng.integers(0, len(pool), 2))
            value = operations[rng.integers(len(operations))](
                a, b, shares[rng.integers(len(shares))]
            )
            if fits(value, p, q, c, h, v):
                pool.append(value)
        used = sum_of(pool, bounded, UNIT)
        return {"c": sat16(sum_of(pool, bounded, C) + rshr(v * c, C)), "h": sat16(used)}

    def sum_of(pool, narrow, to):
        total = narrow(pool[0], to)
        for value in [*pool[1:5], *pool[-3:]]:
            total = (
                sat16(total + narrow(value, to))
                if value is not pool[-1]
                else sat16(total - narrow(value, to))
            )
        return total

    return describe(x="p q", h="p q", bounded=True, candidate="p", name="random")(make)


def fits(value, p, q, c, h, v):
    """Whether the operation is allowed: tried alone, beside what makes the description whole."""

    def alone(p, q, c, h, v):
        rest = sat16(rshr(p, UNIT) + rshr(q, UNIT) + rshr(v * c, UNIT) + rshr(value, UNIT) + h)
        return {"c": sat16(rshr(value, C)), "h": rest}

    own = dict(zip("pqchv", (p, q, c, h, v), strict=True))
    try:
        describe(x="p q", h="p q", bounded=True, candidate="p")(lambda p, q, c, h, v: alone(**own))
    except UserError:
        return False
    return True


def random_words(rng, shape):
    words = rng.integers(-32768, 32768, shape) >> rng.integers(0, 12, shape)
    at_ends = rng.random(shape) < 0.3
    words[at_ends] = rng.choice(CORNERS, int(at_ends.sum()))
    return words


def check_ranges(cell: Cell, inputs, e_c, shift):
    """Of the whole step, however many stages and turns it takes."""
    nodes = [*walk(cell.nodes.values())]
    for node, value in zip(nodes, Integers(nodes)(inputs, e_c, shift), strict=True):
        assert node.low <= np.min(value) and np.max(value) <= node.high, (node.op, node.line)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_descriptions(seed):
    cell = random_cell(seed)
    (stage,) = cell.stages
    rng = np.random.default_rng(seed)
    p, q, c, h, v = random_words(rng, (5, 120))
    e_c, e_v = rng.integers(0, 8, 120), rng.integers(0, 11, 120)
    shift = 18 - e_v - e_c
    for e, s in {*zip(e_c.tolist(), shift.tolist(), strict=True)}:
        check_ranges(cell, {"p": p, "q": q, "c": c, "h": h, "v": v}, e, s)
    check_hardware(
        golden_stage(cell, stage),
        pipeline(stage),
        np.stack([p, q], axis=1),
        c=c,
        h=h,
        c_exponent=e_c,
        vectors={"v": v},
        vector_shift=shift,
    )


@pytest.mark.parametrize("kind", CELLS)
def test_ranges_of_the_shipped_cells_hold(kind):
    cell = CELLS[kind]
    rng = np.random.default_rng(1)
    names = [*cell.gates, *cell.vectors, "c", "h", "skip"]
    for e_c, e_v in ((0, 0), (0, 4), (3, 2), (7, 0), (7, 11)):
        inputs = dict(zip(names, random_words(rng, (len(names), 20_000)), strict=True))
        e_c = min(e_c, cell.most_c_exponent)
        check_ranges(cell, inputs, e_c, 18 - e_c - e_v)


NEW = ("lstm_hard", "gru_hard", "ligru_tanh", "rnn_tanh", "rnn_relu", "min_gru", "janet", "ind_rnn")
NEW += (
    "min_lstm",
    "lstm_clip",
    "fast_grnn",
    "qrnn",
    "linear_relu",
    "linear_sigmoid",
    "linear_tanh",
    "linear_hard_sigmoid",
)


@pytest.mark.parametrize("kind", NEW)
def test_cells(kind):
    cell = CELLS[kind]
    (stage,) = cell.stages
    rng = np.random.default_rng(2)
    count = 600
    e_c = rng.integers(0, cell.most_c_exponent + 1, count)
    vectors = dict(zip(cell.vectors, random_words(rng, (len(cell.vectors), count)), strict=True))
    c, h = random_words(rng, (2, count))
    check_hardware(
        golden_stage(cell, stage),
        pipeline(stage),
        random_words(rng, (count, len(cell.gates))),
        c=c,
        h=h,
        c_exponent=e_c,
        vectors=vectors,
        vector_shift=18 - e_c - rng.integers(0, 11, count),
    )


FIGURES = {
    "lstm": (14, 8, 5),
    "lstm_cifg": (15, 7, 4),
    "lstm_peephole": (25, 11, 5),
    "gru": (13, 5, 3),
    "gru_reset": (5, 3, 2),
    "gru_update": (6, 2, 1),
    "ligru": (5, 2, 1),
    "sru": (16, 6, 2),
    "sru4": (16, 6, 2),
    "sru0": (15, 6, 2),
    "linear": (STATE_LATENCY, 0, 0),
    "min_gru": (5, 2, 1),
    "min_lstm": (10, 4, 3),
    "lstm_clip": (19, 8, 5),
    "rnn_tanh": (4, 1, 1),
    "rnn_relu": (STATE_LATENCY, 0, 0),
}
"""Cycles, multipliers and block RAMs, by stage."""


def test_cycles_multipliers_and_block_rams():
    found = {}
    for cell in CELLS.values():
        for stage in cell.stages:
            plan = pipeline(stage).SCHEDULE
            found[stage.name] = plan.latency, plan.size.multipliers, plan.size.tables
    assert {name: found[name] for name in FIGURES} == FIGURES
