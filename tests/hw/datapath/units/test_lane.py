# SPDX-License-Identifier: Apache-2.0
"""A lane alone. What its cells do with a unit is tested with `CellUnit`."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from deltaloom.golden.cells import Numbers, State
from deltaloom.hw.cells.base import STATE_LATENCY
from deltaloom.hw.datapath.units.lane import RESULT_CYCLES, CellLane, cell_cycles
from deltaloom.hw.datapath.units.words import cell_word
from deltaloom.hw.parts.pipeline import delay
from deltaloom.sim.testing.cell import GOLDEN
from deltaloom.sim.testing.streams import run, set_value

DEPTH = 8


def timed(dut):
    """The lane, with a unit and all that belongs to it given at once: (module, there, starts)."""
    m = Module()
    m.submodules.dut = dut
    there, starts = Signal(), Signal()
    cell, out = Signal.like(dut.cell), cell_cycles(dut.cells) + RESULT_CYCLES
    m.d.comb += [
        cell.eq(dut.unit.cell),
        dut.starts.eq(delay(m, starts, STATE_LATENCY - 1, "starts")),
        dut.cell.eq(delay(m, cell, cell_cycles(dut.cells), "cell")),
        dut.done.eq(delay(m, there, out, "there", reset=True)),
        dut.done_state.eq(delay(m, dut.state, out, "state")),
    ]
    return m, there, starts


@pytest.mark.parametrize("cells", [("gru",), ("linear", "gru"), ("lstm", "gru", "ligru")])
def test_units_in_every_cycle_and_their_states(cells):
    """Two steps of a GRU's units, the second as soon as the first one's states are written."""
    rng = np.random.default_rng(1)
    shared = cell_word(1, cells=cells, state_depth=DEPTH).members
    unit = {name: shape for name, shape in shared.items() if name not in ("p", "slot", "begin")}
    layout = type(cell_word(1, cells=cells, state_depth=DEPTH))(unit)
    dut = CellLane(cells=cells, unit=layout, depth=DEPTH)
    m, there, starts = timed(dut)
    golden, gates = GOLDEN["gru"], GOLDEN["gru"].gates
    p = rng.integers(-20000, 20000, (2, len(gates), DEPTH))
    state, expected = State(*np.zeros((2, DEPTH), np.int64)), []
    for step in range(2):
        state = golden.step(dict(zip(gates, p[step], strict=True)), state, Numbers())
        expected += state.h.tolist()
    latency = cell_cycles(cells) + RESULT_CYCLES
    found, memory = [], []

    async def drive(ctx):
        fields = dict.fromkeys(unit, 0) | {"cell": cells.index("gru")}
        for step in range(2):
            for k in range(DEPTH + latency + 1):
                ctx.set(there, k < DEPTH)
                ctx.set(starts, step == 0)
                if k < DEPTH:
                    padding = [0] * (len(dut.p) - len(gates))
                    set_value(ctx, dut.p, p[step, :, k].tolist() + padding)
                    set_value(ctx, dut.unit, fields)
                    set_value(ctx, dut.state, k)
                _, _, done, h = await ctx.tick().sample(dut.done, dut.h)
                assert done == (latency <= k < latency + DEPTH)
                if done:
                    found.append(h)
        for k in range(DEPTH):
            set_value(ctx, dut.host_addr, k)
            await ctx.tick()
            memory.append(ctx.get(dut.host_data) & 0xFFFF)

    run(m, drive, cycles=500)
    assert found == expected
    assert memory == [h & 0xFFFF for h in state.h.tolist()]
