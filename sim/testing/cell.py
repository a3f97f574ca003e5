# SPDX-License-Identifier: Apache-2.0
"""One cell in Amaranth's simulator beside its golden step, for tests of cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...golden.arithmetic import Ints
from ...golden.cells import CELLS as LAYERS
from ...golden.cells import Cell, Numbers, Stage, State
from ...hw.cells.base import SKIP_LATENCY, STATE_LATENCY
from ...hw.cells.base import Cell as HardwareCell
from ...hw.cells.catalogue import CELLS
from .streams import run, set_value

__all__ = ["GOLDEN", "check_cell", "check_hardware", "golden_stage", "output"]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What a cell of the hardware, a stage of golden's, does in integers.

    gates: that it takes. vectors, reads_input: as in `golden.cells.Cell`. has_c: it leaves a c.
    step: (p, state before, numbers) -> state after. middle: what goes out besides, or None.
    """

    gates: tuple[str, ...]
    vectors: tuple[str, ...]
    reads_input: bool
    has_c: bool
    step: Callable[[Mapping[str, Ints], State, Numbers], State]
    middle: Callable[[Mapping[str, Ints], State, Numbers], Ints] | None


def golden_stage(cell: Cell, stage: Stage) -> Golden:
    """One of a cell's stages."""
    return Golden(
        gates=stage.gates,
        vectors=stage.vectors,
        reads_input="skip" in stage.inputs,
        has_c="c" in stage.outputs or not stage.first,
        step=lambda p, state, numbers: stage.step(p, state, numbers)[0],
        middle=None if stage.last else cell.middle,
    )


GOLDEN: Mapping[str, Golden] = {
    stage.name: golden_stage(cell, stage) for cell in LAYERS.values() for stage in cell.stages
}
"""What each cell of the hardware does in integers; a stage's `middle` is what it puts out."""


def output(
    cell: Golden, p: Mapping[str, Ints], before: State, after: State, numbers: Numbers
) -> Ints:
    """What leaves the cell unit for the encoders."""
    return after.h if cell.middle is None else cell.middle(p, before, numbers)


def check_cell(
    kind: str,
    p: npt.ArrayLike,
    *,
    c: npt.ArrayLike = 0,
    h: npt.ArrayLike = 0,
    c_exponent: npt.ArrayLike = 0,
    vectors: Mapping[str, npt.ArrayLike] | None = None,
    vector_shift: npt.ArrayLike = 0,
    skip: npt.ArrayLike = 0,
) -> State:
    """Run units through a cell back to back, hold their states against golden, and return them.

    p: [units, gates]. Everything else is [units], or one value for all.
    """
    return check_hardware(
        GOLDEN[kind],
        CELLS[kind],
        p,
        c=c,
        h=h,
        c_exponent=c_exponent,
        vectors=vectors,
        vector_shift=vector_shift,
        skip=skip,
    )


def check_hardware(
    golden: Golden,
    hardware: type[HardwareCell],
    p: npt.ArrayLike,
    *,
    c: npt.ArrayLike = 0,
    h: npt.ArrayLike = 0,
    c_exponent: npt.ArrayLike = 0,
    vectors: Mapping[str, npt.ArrayLike] | None = None,
    vector_shift: npt.ArrayLike = 0,
    skip: npt.ArrayLike = 0,
) -> State:
    """The same for a cell of the hardware that need not be among `CELLS`."""
    gates = np.asarray(p, np.int64)
    each = {name: _spread(value, len(gates)) for name, value in (vectors or {}).items()}
    inputs = {
        "c": _spread(c, len(gates)),
        "h": _spread(h, len(gates)),
        "c_exponent": _spread(c_exponent, len(gates)),
        "vector_shift": _spread(vector_shift, len(gates)),
        "skip": _spread(skip, len(gates)),
    }
    expected, out = _golden(golden, gates, inputs, each)
    got, got_out = _simulate(hardware, gates, inputs, each)
    np.testing.assert_array_equal(got.h, expected.h)
    np.testing.assert_array_equal(got.c, expected.c)
    np.testing.assert_array_equal(got_out, out)
    return expected


def _spread(value: npt.ArrayLike, units: int) -> Ints:
    return np.broadcast_to(np.asarray(value, np.int64), (units,))


def _golden(
    cell: Golden, p: Ints, inputs: dict[str, Ints], vectors: dict[str, Ints]
) -> tuple[State, Ints]:
    """The states after, and what goes out."""
    c, h, out = np.zeros((3, len(p)), np.int64)
    settings = np.stack([inputs["c_exponent"], inputs["vector_shift"]])
    for e_c, shift in np.unique(settings, axis=1).T:
        at = (settings == [[e_c], [shift]]).all(axis=0)
        numbers = Numbers(
            c_exponent=int(e_c),
            vectors={name: vector[at] for name, vector in vectors.items()},
            vector_shift=int(shift),
            skip=inputs["skip"][at] if cell.reads_input else None,
        )
        before = State(inputs["c"][at], inputs["h"][at])
        by_gate = dict(zip(cell.gates, p[at].T, strict=True))
        after = cell.step(by_gate, before, numbers)
        h[at] = after.h
        out[at] = output(cell, by_gate, before, after, numbers)
        if cell.has_c:
            c[at] = after.c
    return State(c, h), out


def _simulate(
    hardware: type[HardwareCell], p: Ints, inputs: dict[str, Ints], vectors: dict[str, Ints]
) -> tuple[State, Ints]:
    cell = hardware()
    results = cell.c_next, cell.h_next, cell.out if cell.HAS_OUT else cell.h_next
    rows: list[list[int]] = []
    late = {"c": STATE_LATENCY, "h": STATE_LATENCY, "c_exponent": 0}
    if "vectors" in cell.READS:
        late["vector_shift"] = 0
    if "skip" in cell.READS:
        late["skip"] = SKIP_LATENCY

    async def testbench(ctx: Any) -> None:
        for n in range(len(p) + cell.LATENCY):
            if n < len(p):
                set_value(ctx, cell.p, [int(gate) for gate in p[n]])
            for name, cycles in late.items():
                if cycles <= n < len(p) + cycles:
                    set_value(ctx, getattr(cell, name), int(inputs[name][n - cycles]))
            if "vectors" in cell.READS and STATE_LATENCY <= n < len(p) + STATE_LATENCY:
                word = {name: int(v[n - STATE_LATENCY]) for name, v in vectors.items()}
                set_value(ctx, cell.vectors, word)
            rows.append([ctx.get(result) for result in results])
            await ctx.tick()

    run(cell, testbench, cycles=len(p) + cell.LATENCY + 5)
    c, h, out = np.array(rows[cell.LATENCY :]).T
    return State(c, h), out
