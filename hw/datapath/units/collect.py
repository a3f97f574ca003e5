# SPDX-License-Identifier: Apache-2.0
"""From unit-words to units: gathers the gates of some units, then hands the units out in turn."""

from contextlib import nullcontext
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ...parts.memory import of_macros
from ...parts.pipeline import select

COLLECT_CYCLES = 2
"""From a unit-word's last word to its first unit: taken, chosen."""


_RUN = StructLayout(
    {
        "more_units": 1,  # the running unit-word has units after those of this cycle
        "ends_layer": 1,  # those of this cycle are in their layer's last unit-word
        "begins_layer": 1,  # the unit-word that waits is its layer's first
        "in_gap": 1,  # a layer has ended, and the next one may not begin yet
    }
)
"""What decides whether a unit-word may begin to run."""


class Collect(wiring.Component):
    """Gather the gates of a unit-word, then hand its units out, `width` a cycle.

    Two unit-words are kept: one whose units run, and the next one, which is being collected.

        cycle     0         1        2        3        4
        i         A's last  B        B        B's last
        load                A                          B
        running                      A        A        A
        p                            A 0      A 1      A 2

    LATENCY: `COLLECT_CYCLES`. THROUGHPUT: a unit-word takes max(its words, its count / width)
    cycles.

    Parameters
    ----------
    drain_rows : int
        Units of a unit-word.
    width : int
        Units a cycle; it divides drain_rows.
    slots : int
        Most gates of a unit.
    word : StructLayout
        What comes, a `cell_word`.
    gap : int
        Least cycles from a layer's last unit to the next one's first, at least 2; 0 is none.

    Members
    -------
    i : in, stream of word
    stall : in, 1 bit
        No unit-word begins to run in the next cycle.
    running : out, 1 bit
        There are units.
    mask : out, `width` bits
        With running: which of them.
    p : out, signed 16 bits by unit and slot
        With running: their pre-activations.
    unit : out, word without p, slot and begin
        With running: the rest of their word, for the first of them; `end` with the layer's last.
    """

    def __init__(
        self, *, drain_rows: int, width: int, slots: int, word: StructLayout, gap: int
    ) -> None:
        if gap == 1 or gap < 0:
            raise ValueError(f"gap must be 0 or at least 2, got {gap!r}")
        self.drain_rows = drain_rows
        self.width = width
        self.slots = slots
        self.gap = gap
        shared = {
            name: shape
            for name, shape in word.members.items()
            if name not in ("p", "slot", "begin")
        }
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "stall": In(1),
                "running": Out(1),
                "mask": Out(width),
                "p": Out(ArrayLayout(ArrayLayout(signed(16), slots), width)),
                "unit": Out(StructLayout(shared)),
            }
        )

    i: stream.Interface
    stall: Signal
    running: Signal
    mask: Signal
    p: Any
    unit: data.View

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shared = self.unit.shape()
        several = self.drain_rows > self.width  # cycles of a unit-word
        waiting: Any = Signal(shared, reset_less=True)  # of the unit-word that is collected
        full = Signal()  # it is complete
        load, taken = Signal(), Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        collected = self._gates(m, taken)

        # Whether a unit-word may begin to run is decided a cycle ahead, from what holds then.
        now: Any = Signal(_RUN)
        after: Any = Signal(_RUN)
        may_load = Signal(init=1)
        m.d.sync += [
            now.eq(after),
            may_load.eq(
                ~after.more_units & ~(after.begins_layer & (after.ends_layer | after.in_gap))
            ),
        ]
        m.d.comb += [
            load.eq(full & may_load & ~self.stall),
            self.i.ready.eq(~full | (may_load & ~self.stall)),
            after.begins_layer.eq(now.begins_layer),
        ]
        with m.If(load):
            m.d.sync += full.eq(0)
        with m.If(taken):
            m.d.sync += full.eq(self.i.p.last)
            m.d.sync += [waiting[name].eq(self.i.p[name]) for name in shared.members]
            if self.gap:
                m.d.comb += after.begins_layer.eq(self.i.p.begin)

        unit: Any = Signal(shared, reset_less=True)
        with m.If(load):
            m.d.sync += [unit.eq(waiting), self.running.eq(1)]
            m.d.comb += after.ends_layer.eq(waiting.end)
            if several:
                m.d.comb += after.more_units.eq(waiting.count > self.width)
        with m.Else():
            m.d.sync += self.running.eq(now.more_units)
            m.d.comb += after.ends_layer.eq(now.more_units & now.ends_layer)
            if several:
                steps = ["unit", "state", *(["skip"] if "skip" in shared.members else [])]
                # What follows the last unit is never used; in an FPGA it may as well count on.
                counting = m.If(now.more_units) if of_macros(platform) else nullcontext()
                with counting:
                    m.d.sync += unit.count.eq(unit.count - self.width)
                    m.d.sync += [unit[name].eq(unit[name] + self.width) for name in steps]
                more = now.more_units & (unit.count > 2 * self.width)
                m.d.comb += after.more_units.eq(more)
        m.d.comb += [
            self.unit.eq(unit),
            self.unit.end.eq(unit.end & ~now.more_units),
            *(self.mask[lane].eq(unit.count > lane) for lane in range(self.width)),
        ]
        if self.gap:
            self._rest(m, now, after)
        self._choose(m, collected, load, after.more_units)
        return m

    def _gates(self, m: Module, taken: Signal) -> list[list[Signal]]:
        """The pre-activations of the unit-word that is collected, by slot and unit."""
        collected = [
            [
                Signal(signed(16), name=f"collected_{slot}_{k}", reset_less=True)
                for k in range(self.drain_rows)
            ]
            for slot in range(self.slots)
        ]
        with m.If(taken):
            for slot, units in enumerate(collected):
                with m.If(self.i.p.slot == slot):
                    m.d.sync += [unit.eq(self.i.p.p[k]) for k, unit in enumerate(units)]
        return collected

    def _choose(
        self, m: Module, collected: list[list[Signal]], load: Signal, more_units: Value
    ) -> None:
        """Hand out `width` units after the other; what follows the last valid one is never used.

        The first ones are taken while the others are put aside, so that the next unit-word can be
        collected.
        """
        turn = Signal(range(max(self.drain_rows // self.width, 2)))
        m.d.sync += turn.eq(Mux(more_units, turn + 1, 0))
        for slot, units in enumerate(collected):
            aside = [Signal.like(unit, name=f"aside_{slot}_{k}") for k, unit in enumerate(units)]
            with m.If(load):
                m.d.sync += [later.eq(unit) for later, unit in zip(aside, units, strict=True)]
            sources = [*units[: self.width], *aside[self.width :]]
            for lane in range(self.width):
                p = Signal.like(units[lane], name=f"p_{slot}_{lane}")
                m.d.sync += p.eq(select(sources[lane :: self.width], turn))
                m.d.comb += self.p[lane][slot].eq(p)

    def _rest(self, m: Module, now: Any, after: Any) -> None:
        """Hold the next layer's first unit-word back for the gap."""
        left = Signal(range(self.gap))
        m.d.comb += after.in_gap.eq(now.in_gap)
        with m.If(now.ends_layer & ~now.more_units):
            m.d.sync += left.eq(self.gap - 2)
            m.d.comb += after.in_gap.eq(self.gap != 2)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            m.d.comb += after.in_gap.eq(left != 1)
