# SPDX-License-Identifier: Apache-2.0
"""From unit-words to units: collects the gates of some units, then hands the units out in turn."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ...parts.pipeline import select

COLLECT_CYCLES = 2
"""From a unit-word's last word to its first unit: taken, chosen."""


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
        Least cycles between the units of two layers; 0 is none, 1 is not possible.

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
        collected = [
            [
                Signal(signed(16), name=f"collected_{s}_{k}", reset_less=True)
                for k in range(self.drain_rows)
            ]
            for s in range(self.slots)
        ]
        shared = self.unit.shape()
        waiting: Any = Signal(shared, reset_less=True)
        unit: Any = Signal(shared, reset_less=True)
        full = Signal()
        running = self.running
        load = Signal()

        # `more`: the running unit-word has units after the one that runs now; `leaves`: that one is
        # in its layer's last unit-word; `starts`: the unit-word that waits is a layer's first. What
        # they are in the next cycle says whether a unit-word may begin to run then.
        following = {
            name: Signal(name=f"{name}_next") for name in ("more", "leaves", "starts", "resting")
        }
        more, leaves, starts, resting = (
            Signal(name=name) for name in ("more", "leaves", "starts", "resting")
        )
        may_load = Signal(init=1)
        m.d.sync += [
            *(now.eq(following[now.name]) for now in (more, leaves, starts, resting)),
            may_load.eq(
                ~following["more"]
                & ~(following["starts"] & (following["leaves"] | following["resting"]))
            ),
        ]
        m.d.comb += [
            load.eq(full & may_load & ~self.stall),
            self.i.ready.eq(~full | (may_load & ~self.stall)),
            *(following[now.name].eq(now) for now in (starts, resting)),
        ]
        with m.If(load):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += full.eq(self.i.p.last)
            m.d.sync += [waiting[name].eq(self.i.p[name]) for name in shared.members]
            if self.gap:
                m.d.comb += following["starts"].eq(self.i.p.begin)
            for slot, rows in enumerate(collected):
                with m.If(self.i.p.slot == slot):
                    m.d.sync += [row.eq(self.i.p.p[k]) for k, row in enumerate(rows)]

        # The rows in turn; what follows the last valid unit is never used. The first ones are taken
        # while the others are put aside, so that the next unit-word can be collected.
        turn = Signal(range(max(self.drain_rows // self.width, 2)))
        m.d.sync += turn.eq(Mux(following["more"], turn + 1, 0))
        streamed = []
        for slot, rows in enumerate(collected):
            rest = [Signal.like(row, name=f"rest_{slot}_{k}") for k, row in enumerate(rows)]
            with m.If(load):
                m.d.sync += [later.eq(row) for later, row in zip(rest, rows, strict=True)]
            taken = [*rows[: self.width], *rest[self.width :]]
            streamed.append(
                [Signal.like(row, name=f"p_{slot}_{n}") for n, row in enumerate(rows[: self.width])]
            )
            for lane, p in enumerate(streamed[-1]):
                m.d.sync += p.eq(select(taken[lane :: self.width], turn))
        with m.If(load):
            m.d.sync += [
                unit.eq(waiting),
                running.eq(1),
            ]
            m.d.comb += [
                following["more"].eq(waiting.count > self.width),
                following["leaves"].eq(waiting.end),
            ]
        with m.Else():
            m.d.sync += [
                running.eq(more),
                unit.count.eq(unit.count - self.width),
                unit.unit.eq(unit.unit + self.width),
                unit.state.eq(unit.state + self.width),
            ]
            m.d.comb += [
                following["more"].eq(more & (unit.count > 2 * self.width)),
                following["leaves"].eq(more & leaves),
            ]
            if "skip" in shared.members:
                m.d.sync += unit.skip.eq(unit.skip + self.width)
        m.d.comb += [self.unit.eq(unit), self.unit.end.eq(unit.end & ~more)]
        if self.gap:
            left = Signal(range(self.gap))
            with m.If(leaves & ~more):
                m.d.sync += left.eq(self.gap - 2)
                m.d.comb += following["resting"].eq(self.gap != 2)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
                m.d.comb += following["resting"].eq(left != 1)
        for lane in range(self.width):
            m.d.comb += self.mask[lane].eq(unit.count > lane)
            m.d.comb += [self.p[lane][slot].eq(rows[lane]) for slot, rows in enumerate(streamed)]
        return m
