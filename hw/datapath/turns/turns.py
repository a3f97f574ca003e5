# SPDX-License-Identifier: Apache-2.0
"""The turns of a layer: its units are kept, and go through their cell again for each turn."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ...cells.catalogue import CELLS
from ...parts.memory import block_ram
from .means import most_turns

__all__ = ["AGAIN", "TURN_CYCLES", "Turns", "kept_gates", "kept_groups"]

TURN_CYCLES = 1
"""From where a unit comes to where it goes on: a register behind the choice."""

AGAIN = 3
"""Cycles from a turn's means to where its first unit goes on again: the turn begins, the unit is
read, chosen."""


def kept_gates(cells: Sequence[str]) -> int:
    """Most gates of a unit that is kept: of the cells that take turns."""
    return max(CELLS[name].GATES for name in cells if CELLS[name].TURNS)


def kept_groups(units: int, width: int) -> int:
    """Words of the memory of the units' gates, each of `width` units; units: most of a layer."""
    return max(2, -(-units // width))


class Turns(wiring.Component):
    """Between `Collect` and the cells: hand units on, and those of a cell that takes turns again.

    The units of a layer whose cell takes turns are handed on as they come, and kept. When all have
    come and the turn's means are made, they are read, `width` a cycle, and handed on again, until
    the last turn is over. Meanwhile nothing of the next layer may come (`hold`).

    LATENCY: `TURN_CYCLES`; AGAIN from `done` to a turn's first units. THROUGHPUT: `width` units a
    cycle.

    Parameters
    ----------
    cells : sequence of str
        Names in `CELLS`; at least one takes turns.
    unit : StructLayout
        What comes with a unit, of `Collect`.
    slots : int
        Most gates of a unit.
    depth : int
        Most units of a layer whose cell takes turns.
    width : int
        Units a cycle.
    gap : int
        Least cycles from a layer's last units to the next one's first, at least 3.

    Members
    -------
    i_running, i_mask, i_p, i_unit : in
        As they leave `Collect`, with a gap of `gap` cycles between layers.
    stall : in, 1 bit
        No units of a cell's last turn go on, two cycles later; those of turns before it put nothing
        out, and go on.
    hold : out, 1 bit
        No unit-word of the next layer may begin to run in the next cycle.
    running, mask, p, unit : out
        As they go into the cells.
    first, last : out, 1 bit
        With the first units of a turn, and with its last ones, of a cell that takes turns.
    cell, turn : out
        Of the layer whose units take turns, held until the next one.
    final : out, 1 bit
        It is the cell's last one, whose results are right; high for cells that take one turn.
    done : in, 1 bit
        The means of this turn hold when its next one begins; looked at from the cycle after its
        last units go on.
    """

    i_running: Signal
    i_mask: Signal
    i_p: Any
    i_unit: Any
    stall: Signal
    hold: Signal
    running: Signal
    mask: Signal
    p: Any
    unit: Any
    first: Signal
    last: Signal
    cell: Signal
    turn: Signal
    final: Signal
    done: Signal

    def __init__(
        self,
        *,
        cells: Sequence[str],
        unit: StructLayout,
        slots: int,
        depth: int,
        gap: int,
        width: int = 1,
    ) -> None:
        if gap < 3:
            raise ValueError(f"gap must be at least 3, got {gap!r}")
        self._cells, self._depth, self._gap, self._width = tuple(cells), depth, gap, width
        p = ArrayLayout(ArrayLayout(signed(16), slots), width)
        super().__init__(
            {
                "i_running": In(1),
                "i_mask": In(width),
                "i_p": In(p),
                "i_unit": In(unit),
                "stall": In(1),
                "hold": Out(1),
                "running": Out(1),
                "mask": Out(width),
                "p": Out(p),
                "unit": Out(unit),
                "first": Out(1),
                "last": Out(1),
                "cell": Out(range(len(cells))),
                "turn": Out(range(most_turns(cells))),
                "final": Out(1),
                "done": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups = kept_groups(self._depth, self._width)
        at, ends = Signal(range(groups)), Signal(range(groups))
        base: Any = Signal(self.i_unit.shape(), reset_less=True)
        tail = Signal(self._width)
        kept, again = self._memory(m, groups, at)

        # All units come: those of a cell that takes turns are kept.
        turned = [n for n, name in enumerate(self._cells) if CELLS[name].TURNS]
        takes_turns = self.i_unit.cell.matches(*turned)
        keeps, begins = Signal(), Signal()
        m.d.comb += [
            keeps.eq(self.i_running & takes_turns),
            begins.eq(keeps & (at == 0)),
            kept.en.eq(keeps),
        ]
        waits, runs = Signal(), Signal()  # for the turn's means; a later turn
        turn = Signal.like(self.turn)
        finals = Array(Const(len(CELLS[name].TURNS)) for name in self._cells)
        final = Signal()
        m.d.comb += [final.eq(turn == finals[base.cell]), self.cell.eq(base.cell)]
        with m.If(keeps):
            m.d.sync += at.eq(at + 1)
            with m.If(self.i_unit.end):
                m.d.sync += [at.eq(0), ends.eq(at), tail.eq(self.i_mask), self.hold.eq(1)]
        with m.If(begins):
            m.d.sync += [base.eq(self.i_unit), turn.eq(0)]

        # Later turns: read, then hand on.
        reads, ended, first = Signal(), Signal(), Signal()
        m.d.comb += reads.eq(runs & ~(self.stall & final))
        there, was_first, was_last = Signal(), Signal(), Signal()
        m.d.comb += [ended.eq(at == ends), first.eq(at == 0)]
        m.d.sync += [
            there.eq(reads),
            was_first.eq(first),
            was_last.eq(ended),
        ]
        with m.If(self.last & ~self.final):
            m.d.sync += waits.eq(1)
        with m.If(waits & self.done):
            m.d.sync += [waits.eq(0), runs.eq(1), turn.eq(turn + 1)]
        with m.If(reads):
            m.d.sync += at.eq(at + 1)
            with m.If(ended):
                m.d.sync += [at.eq(0), runs.eq(0)]
        left = Signal(range(self._gap))  # cycles until the next layer may begin
        with m.If(there & was_last & final):
            m.d.sync += left.eq(self._gap - 2)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(left == 1):
            m.d.sync += self.hold.eq(0)

        # What goes on: of a later turn, or what comes.
        unit: Any = Signal(self.i_unit.shape(), reset_less=True)  # of those that are read
        steps = [name for name in ("unit", "state", "skip") if name in base.shape().members]
        with m.If(there):
            m.d.sync += [unit[name].eq(unit[name] + self._width) for name in steps]
        with m.If(waits):
            m.d.sync += unit.eq(base)
        m.d.sync += [
            self.running.eq(self.i_running | there),
            self.first.eq(Mux(there, was_first, begins)),
            self.last.eq(Mux(there, was_last, keeps & self.i_unit.end)),
            self.turn.eq(Mux(keeps, 0, turn)),
            self.final.eq(Mux(there, final, ~takes_turns)),
            self.unit.eq(self.i_unit),
            self.p.eq(self.i_p),
            self.mask.eq(self.i_mask),
        ]
        with m.If(~self.i_running):
            m.d.sync += [
                self.unit.eq(unit),
                self.unit.end.eq(was_last),
                self.mask.eq(Mux(was_last, tail, (1 << self._width) - 1)),
            ]
            for lane, values in zip(self.p, again, strict=True):
                m.d.sync += [p.eq(value) for p, value in zip(lane, values, strict=False)]
        return m

    def _memory(self, m: Module, groups: int, at: Signal) -> tuple[Any, Any]:
        """The memory of the units' gates: its write port, and what was read a cycle before."""
        gates = kept_gates(self._cells)
        layout = ArrayLayout(ArrayLayout(signed(16), gates), self._width)
        m.submodules.memory = memory = block_ram(layout.size, depth=groups, force=True)
        write, read = memory.write_port(), memory.read_port()
        word: Any = layout(write.data)
        m.d.comb += [write.addr.eq(at), read.addr.eq(at)]
        m.d.comb += [
            word[lane][gate].eq(self.i_p[lane][gate])
            for lane in range(self._width)
            for gate in range(gates)
        ]
        return write, layout(read.data)
