# SPDX-License-Identifier: Apache-2.0
"""The cell unit: words of pre-activations in, the state memory beside it, h's out every cycle."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...cells.base import CONSTANT_LATENCY, STATE_LATENCY
from ...cells.catalogue import CELLS, constant_bits, reads, takes_turns, vector_bits
from ...parts.memory import MemoryWrite, Table, connect_write
from ...parts.pipeline import delay
from ..turns.means import Means
from ..turns.turns import TURN_CYCLES, Turns
from .collect import COLLECT_CYCLES, Collect
from .lane import RESULT_CYCLES, CellLane, cell_cycles
from .words import cell_output, cell_word

__all__ = ["CellUnit", "state_distance", "unit_latency"]


def unit_latency(cells: Sequence[str]) -> int:
    """Cycles from the last word of a unit-word to its first unit's h, of a cell that takes one
    turn."""
    turns = TURN_CYCLES if takes_turns(cells) else 0
    return COLLECT_CYCLES + turns + cell_cycles(cells) + RESULT_CYCLES


def state_distance(cells: Sequence[str]) -> int:
    """Least cycles from a unit that runs to one that runs on the same state."""
    return cell_cycles(cells) + RESULT_CYCLES + 1


class CellUnit(wiring.Component):
    """Collect the gates of some units, then run them through their cell, `width` units a cycle.

    While the units of one unit-word run, the next unit-word is collected: `i.ready` falls only
    when both are taken. Each of the `width` lanes has a bank of the states and one of each cell.

    A unit's state is written in the cycle of `o.valid`, with no interlock: a unit-word may name a
    state address again, as its own or as a skip, only if its last word is accepted
    `reuse_distance` or more cycles after that of the unit-word whose state it was. One that is
    accepted after `o` has shown the unit always satisfies this.

    Between the last unit of a layer and the first of the next (its unit 0) there are `gap` cycles,
    if any: then no layer meets a state of the one before too early.

    Every unit writes its state, those of a stateless cell too (c = 0, h = output).

    The units of a layer whose cell reads means over them go through it several times, see `Turns`:
    all but the last time they leave their share of the means only. The next layer's wait meanwhile,
    which keeps the order in which layers leave.

    LATENCY: `unit_latency` cycles from the last word of a unit-word to its first unit, up to
    drain_rows - 1 more behind another unit-word; of a cell that takes turns, see `Means`.
    THROUGHPUT: a unit-word takes max(its words, its count / width) cycles, and its count / width
    in each further turn; before each of these are `means_cycles` + `AGAIN` - 1 idle ones.

    Parameters
    ----------
    drain_rows : int
        Units of a unit-word, at least 1.
    width : int
        Units a cycle, a power of two that divides drain_rows. State and vectors lie in as many
        banks, and a layer's first unit is at a multiple of it.
    cells : sequence of str
        Names in `CELLS`; a word's `cell` indexes this sequence. Only these cost hardware.
    state_depth : int
        Words of the state memory, at least 2: one a unit.
    gap : int
        Least cycles between two layers' units, as those that take the units need it; 0 is none.
    initial : sequence of int
        The state before a sequence's first step, {c[31:16], h[15:0]} for each word of state; None:
        it is 0, and needs no memory.
    vectors : sequence of int
        Initial words of the vector memory (`vector_layout`), which has one for each word of state
        and exists only where one of the cells reads it.
    layers : int
        Layers whose units there are.
    turn_units : int
        Most units of a layer whose cell takes turns.
    constants : sequence of int
        Initial words of the memory of constants (`constant_layout`), one for each layer, which
        exists only where one of the cells reads it. A gap is needed then: they hold for all units
        that are in the cells.

    Members
    -------
    i : in, stream of `cell_word`
        Gates of units.
    o : out, stream of `cell_output(width)`, always ready
        Units, in the order in which they came.
    stall : in, 1 bit
        No unit-word begins to run in the next cycle; of a cell that takes turns, no units of the
        last turn go on two cycles later, in the middle of a layer, too.
    host_addr : in, range(state_depth)
    host_data : out, 32 bits
        {c[31:16], h[15:0]} of the state memory word that host_addr named a cycle before;
        undefined if that word was written in that cycle.
    seen_state, seen_first, seen_c : in, in, out
        As in `CellLane`, seen_c of each lane: the c of a row of units, of which seen_state names
        any one; none of these units is under way. Only where one of the cells has its gates see it
        before they are normalised.
    load_vectors : in, `MemoryWrite(state_depth, vector_bits(cells))`
        Writes the vector memory, while no unit is under way; only with that memory.
    load_initial : in, `MemoryWrite(state_depth, 32)`
        The same for the initial states.
    load_constants : in, `MemoryWrite(layers, constant_bits(cells))`
        The same for the constants.
    """

    i: stream.Interface
    o: stream.Interface
    stall: Signal
    host_addr: Signal
    host_data: Signal
    seen_state: Signal
    seen_first: Signal
    seen_c: Any
    load_vectors: Any
    load_initial: Any
    load_constants: Any

    def __init__(
        self,
        drain_rows: int,
        *,
        cells: Sequence[str] = ("lstm", "linear"),
        state_depth: int,
        gap: int = 0,
        vectors: Sequence[int] = (),
        initial: Sequence[int] | None = None,
        width: int = 1,
        layers: int = 1,
        turn_units: int = 1,
        constants: Sequence[int] = (),
    ) -> None:
        if drain_rows < 1:
            raise ValueError(f"drain_rows must be at least 1, got {drain_rows!r}")
        if not cells or len(set(cells)) != len(cells) or not set(cells) <= CELLS.keys():
            raise ValueError(f"cells must be different names out of {list(CELLS)}, got {cells!r}")
        if state_depth < 2:
            raise ValueError(f"state_depth must be at least 2, got {state_depth!r}")
        if width < 1 or width & (width - 1) or drain_rows % width:
            raise ValueError(
                f"width must be a power of two that divides {drain_rows}, got {width!r}"
            )
        if reads(cells, "constants") and not gap:
            raise ValueError("gap must not be 0 where cells have constants, they are a layer's")
        self.drain_rows = drain_rows
        self.width = width
        self.layers = layers
        self.turn_units = turn_units
        self.constants = tuple(constants)
        self.cells = tuple(cells)
        self.state_depth = state_depth
        self.gap = max(gap, state_distance(cells)) if gap else 0
        self.vectors = tuple(vectors)
        self.initial = initial
        word = cell_word(drain_rows, cells=cells, state_depth=state_depth)
        address = ceil_log2(state_depth)
        loads: dict[str, Any] = {}
        if reads(cells, "norm_c"):
            loads |= {"seen_state": In(address), "seen_first": In(1)}
            loads["seen_c"] = Out(ArrayLayout(signed(16), width))
        if reads(cells, "vectors"):
            loads["load_vectors"] = In(MemoryWrite(state_depth, vector_bits(cells)))
        if initial is not None:
            loads["load_initial"] = In(MemoryWrite(state_depth, 32))
        if reads(cells, "constants"):
            loads["load_constants"] = In(MemoryWrite(layers, constant_bits(cells)))
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "o": Out(stream.Signature(cell_output(width), always_ready=True)),
                "stall": In(1),
                "host_addr": In(address),
                "host_data": Out(32),
                **loads,
            }
        )

    @property
    def slots(self) -> int:
        """Most gates that one of the cells has."""
        return max(CELLS[name].GATES for name in self.cells)

    @property
    def latency(self) -> int:
        """`unit_latency` of these cells."""
        return unit_latency(self.cells)

    @property
    def reuse_distance(self) -> int:
        """Least cycles between the last words of two unit-words with the same state address."""
        return self.latency - 1 + self.drain_rows - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.collect = collect = Collect(
            drain_rows=self.drain_rows,
            width=self.width,
            slots=self.slots,
            word=self.i.p.shape(),
            gap=self.gap,
        )
        wiring.connect(m, wiring.flipped(self.i), collect.i)
        if takes_turns(self.cells):
            units: Collect | Turns = self._turns(m, collect)
        else:
            units = collect
            m.d.comb += collect.stall.eq(self.stall)
        unit, cycles = units.unit, cell_cycles(self.cells)
        continues = [n for n, name in enumerate(self.cells) if CELLS[name].CONTINUES]
        starts = unit.first & ~unit.cell.matches(*continues) if continues else unit.first

        # What travels beside the cells; only the valid bit is ever reset.
        out_cycle = cycles + RESULT_CYCLES
        leaves = units.running & units.final if isinstance(units, Turns) else units.running
        valid = delay(m, leaves, out_cycle, "valid", reset=True)
        out = {
            field: delay(m, unit[field], out_cycle, f"{field}_out")
            for field in ("layer", "unit", "end", "state")
        }
        m.d.comb += [
            self.o.valid.eq(valid),
            *(self.o.p[field].eq(out[field]) for field in ("layer", "unit", "end")),
        ]
        starts_late = delay(m, starts, STATE_LATENCY - 1, "starts")
        cell_late = delay(m, unit.cell, cycles, "cell")

        constants = self._constants(m, collect.unit) if reads(self.cells, "constants") else None
        bits = ceil_log2(self.width)  # of an address: which bank
        lanes = [self._lane(m, n, unit.shape()) for n in range(self.width)]
        if isinstance(units, Turns):
            assert constants is not None
            self._means(m, units, lanes, constants)
        for n, lane in enumerate(lanes):
            if self.width == 1:
                done = valid
                m.d.comb += self.o.p.h.eq(lane.h)
            else:
                there = delay(m, units.mask[n], out_cycle, f"mask_{n}")
                done = valid & there
                m.d.comb += [self.o.p.h[n].eq(lane.h), self.o.p.mask[n].eq(there)]
            m.d.comb += [
                *(lane.p[slot].eq(value) for slot, value in enumerate(units.p[n])),
                lane.unit.eq(unit),
                lane.state.eq(unit.state[bits:]),
                lane.starts.eq(starts_late),
                lane.cell.eq(cell_late),
                lane.done.eq(done),
                lane.done_state.eq(out["state"][bits:]),
                lane.host_addr.eq(self.host_addr[bits:]),
            ]
            if constants is not None:
                m.d.comb += lane.constants.eq(constants)
            if reads(self.cells, "skip"):
                m.d.comb += lane.skip.eq(unit.skip[bits:])
        if reads(self.cells, "norm_c"):
            for n, lane in enumerate(lanes):
                m.d.comb += self.seen_c[n].eq(lane.seen_c)
                m.d.comb += lane.seen_state.eq(self.seen_state[bits:])
                m.d.comb += lane.seen_first.eq(self.seen_first)
        asked = delay(m, self.host_addr[:bits], 1, "host_bank")
        m.d.comb += self.host_data.eq(Array(lane.host_data for lane in lanes)[asked])
        return m

    def _turns(self, m: Module, collect: Collect) -> Turns:
        """The turns of the units that have been collected."""
        m.submodules.turns = turns = Turns(
            cells=self.cells,
            unit=collect.unit.shape(),
            slots=self.slots,
            depth=self.turn_units,
            width=self.width,
            gap=self.gap,
        )
        m.d.comb += [
            collect.stall.eq(self.stall | turns.hold),
            turns.stall.eq(self.stall),
            turns.i_running.eq(collect.running),
            turns.i_mask.eq(collect.mask),
            Value.cast(turns.i_p).eq(Value.cast(collect.p)),
            turns.i_unit.eq(collect.unit),
        ]
        return turns

    def _means(self, m: Module, turns: Turns, lanes: Sequence[CellLane], constants: Value) -> None:
        """The means of a turn: of what leaves the lanes, for the lanes in the turns after it."""
        m.submodules.means = means = Means(cells=self.cells, width=self.width)
        m.d.comb += [
            means.there.eq(Mux(turns.running & ~turns.final, turns.mask, 0)),
            *(getattr(means, name).eq(getattr(turns, name)) for name in ("first", "last")),
            *(getattr(means, name).eq(getattr(turns, name)) for name in ("cell", "turn")),
            means.constants.eq(constants),
            *(means.sums[n].eq(lane.sums) for n, lane in enumerate(lanes)),
            *(lane.means.eq(means.means) for lane in lanes),
            turns.done.eq(means.done),
        ]

    def _constants(self, m: Module, unit: Any) -> Value:
        """The layer's constants, CONSTANT_LATENCY cycles after its first unit is handed out."""
        table = Table(constant_bits(self.cells), depth=self.layers, init=self.constants)
        m.submodules.constants = table
        wiring.connect(m, wiring.flipped(self.load_constants), table.load)
        m.d.comb += table.addr.eq(unit.layer)
        word: Value = delay(m, table.data, CONSTANT_LATENCY - 1, "constants")
        return word

    def _lane(self, m: Module, n: int, unit: StructLayout) -> CellLane:
        """The nth lane, with its bank of the states, and what is loaded into it."""
        lane = CellLane(
            cells=self.cells,
            unit=unit,
            depth=max(2, -(-self.state_depth // self.width)),
            vectors=self.vectors[n :: self.width],
            initial=None if self.initial is None else self.initial[n :: self.width],
        )
        m.submodules[f"lane_{n}"] = lane
        bits = ceil_log2(self.width)
        loads = [("vectors", reads(self.cells, "vectors")), ("initial", self.initial is not None)]
        for name, there in loads:
            if there:
                load, target = getattr(self, f"load_{name}"), getattr(lane, f"load_{name}")
                connect_write(m, load, target, where=load.addr[:bits] == n, low_bits=bits)
        return lane
