# SPDX-License-Identifier: Apache-2.0
"""The accumulators' way through the passes: whose turn it is, and what there is to know of it."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...parts.pipeline import history
from ...words import LAYER_BITS, SLOTS, UNIT_BITS, Entry, StepTag
from ..fetch.fetch import Round
from ..fetch.sequencer import RowJob


def row_tag(config: AcceleratorConfig) -> data.StructLayout:
    """What goes along with a D-word through the accumulators."""
    return data.StructLayout(
        {
            "address": range(max(config.row_words, 2)),
            "row": range(max(config.row_words, 2)),  # the same, for other memories
            "slot": range(SLOTS),
            "shift": range(config.shifts[0], config.shifts[1] + 1),
            "zero": 1,  # M starts from 0
            "init": 1,
            "flush": 1,
            "void": 1,  # no sum comes
            "last": 1,  # of the last path: completes its slot
            "partial": 1,  # not the pass's last round
            "unit_word": range(max(config.chunk_words, 2)),
            "unit": UNIT_BITS,
            "count": range(config.unit_word + 1),
            "completes": 1,
            "first": 1,
            "end": 1,
        }
    )


class RowWalk(wiring.Component):
    """Takes D-words, each as soon as there are its sums, and room for what it completes.

    Parameters
    ----------
    config: the accelerator
    to_queue: cycles from a D-word's turn to the queue to the cell unit

    Members
    -------
    i, round: rounds of passes, as `Fetch` has begun them
    sums_valid, sums_ready: a D-word has drained, and is taken
    issue, tag: it is a D-word's turn (one without sums, or with), and what there is to know of it
    layer, step, layer_start, layer_ready: see `Accumulate`
    to_output: the layer's outputs leave; room: in the queue to the cell unit, output_room: for the
        outputs of two unit-words, which output_take takes
    """

    def __init__(self, config: AcceleratorConfig, *, to_queue: int) -> None:
        self._config = config
        self._to_queue = to_queue
        super().__init__(
            {
                "i": In(stream.Signature(RowJob)),
                "round": In(Round),
                "sums_valid": In(1),
                "sums_ready": Out(1),
                "issue": Out(1),
                "tag": Out(row_tag(config)),
                "layer_start": Out(1),
                "layer": Out(LAYER_BITS),
                "step": Out(StepTag),
                "layer_ready": In(1),
                "to_output": In(1),
                "room": In(1),
                "output_room": In(1),
                "output_take": Out(1),
            }
        )

    i: stream.Interface
    round: data.View
    sums_valid: Signal
    sums_ready: Signal
    issue: Signal
    tag: data.View
    layer_start: Signal
    layer: Signal
    step: data.View
    layer_ready: Signal
    to_output: Signal
    room: Signal
    output_room: Signal
    output_take: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current: Any = Signal(RowJob)
        running, started, active = Signal(), Signal(), Signal()
        empty, partial, again = Signal(), Signal(), Signal()  # no sums; into M only; not the first
        unit_word = Signal(range(max(self._config.chunk_words, 2)))
        entry_index = Signal(range(SLOTS))
        address = Signal(range(max(self._config.row_words, 2)))
        # Another register, which synthesis does not take for the same one: both have far to go.
        row = Signal.like(address, reset_less=True)
        unit = Signal(UNIT_BITS)
        job, coming = current["pass"], self.i.payload["pass"]
        # The entry whose turn it is, and whether it ends anything, is decided a cycle ahead; so is
        # whether it waits for sums, and whether it may complete anything: there is room, with what
        # may be taken in between.
        entry: Any = Signal(Entry)
        first_entry, last_entry, last_word, final = Signal(), Signal(), Signal(), Signal()
        no_sums, may = Signal(), Signal()

        issue, finish, completes = self.issue, Signal(), Signal()
        has_room = self.room & self.output_room
        m.d.sync += may.eq(has_room | ~completes)
        m.d.comb += [
            completes.eq(job.last & ~partial),
            issue.eq(active & (no_sums | self.sums_valid) & may),
            self.sums_ready.eq(active & ~no_sums & may),
            finish.eq(issue & final),
            self.output_take.eq(issue & (completes & self.to_output & first_entry)),
        ]
        following: Any = Signal(Entry)
        m.d.comb += following.eq(job.entry[(entry_index + 1)[: len(entry_index)]])
        with m.If(last_entry):
            m.d.comb += following.eq(job.entry[0])
        with m.If(issue):
            m.d.sync += [
                entry_index.eq(entry_index + 1),
                entry.eq(following),
                no_sums.eq(following.flush | empty),
                first_entry.eq(last_entry),
                last_entry.eq(job.entries == entry_index + 2),
                final.eq((job.entries == entry_index + 2) & last_word),
            ]
            with m.If(~entry.flush):
                m.d.sync += [address.eq(address + 1), row.eq(address + 1)]
            with m.If(last_entry):
                m.d.sync += [
                    entry_index.eq(0),
                    last_entry.eq(job.entries == 1),
                    last_word.eq(job.unit_words == unit_word + 2),
                    final.eq((job.entries == 1) & (job.unit_words == unit_word + 2)),
                    unit_word.eq(unit_word + 1),
                    unit.eq(unit + self._config.unit_word),
                ]

        # A layer's last path waits until no word of the layer before is on its way to the queue;
        # M's, for their last round.
        after_sums, after_layer, settled = Signal(), Signal(), Signal()
        written, through = Signal(init=1), Signal(init=1)
        recent = history(m, issue, 3, "valid", reset=True)
        on_its_way = Signal(range(self._to_queue))
        m.d.sync += written.eq(~Cat(*recent).any())
        with m.If(issue & completes):
            m.d.sync += [on_its_way.eq(self._to_queue - 1), through.eq(0)]
        with m.Else():
            m.d.sync += [
                through.eq(on_its_way == 0),
                on_its_way.eq(Mux(on_its_way == 0, 0, on_its_way - 1)),
            ]
        # What waits for neither begins in the next cycle, and so does what need not wait any more.
        needs_sums, needs_layer = coming.step_start | partial, coming.layer_start & ~self.round.more
        waits, idle = Signal(), Signal()
        m.d.comb += [
            waits.eq(running & ~started),
            idle.eq(~running & self.i.valid),
            self.layer.eq(Mux(waits, job.layer, coming.layer)),
            self.step.eq(Mux(waits, current.step, self.i.payload.step)),
            settled.eq(
                Mux(
                    waits,
                    (written | ~after_sums) & (through | ~after_layer),
                    idle & (written | ~needs_sums) & (through | ~needs_layer),
                )
            ),
            self.layer_start.eq(settled & Mux(waits, after_layer, needs_layer)),
        ]
        begins = settled & (~self.layer_start | self.layer_ready)
        with m.If(waits & begins):
            m.d.sync += [started.eq(1), active.eq(1)]

        with m.If(finish | ~running):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [
                running.eq(self.i.valid),
                current.eq(self.i.payload),
                empty.eq(self.round.empty),
                started.eq(begins | ~(needs_sums | needs_layer)),
                active.eq(self.i.valid & (begins | ~(needs_sums | needs_layer))),
                after_sums.eq(needs_sums),
                after_layer.eq(needs_layer),
                may.eq(has_room | ~coming.last | self.round.more),
                unit_word.eq(0),
                last_word.eq(coming.unit_words == 1),
                entry_index.eq(0),
                entry.eq(coming.entry[0]),
                no_sums.eq(coming.entry[0].flush | self.round.empty),
                first_entry.eq(1),
                last_entry.eq(coming.entries == 1),
                final.eq((coming.entries == 1) & (coming.unit_words == 1)),
                address.eq(coming.row_base),
                row.eq(coming.row_base),
                unit.eq(coming.unit_base),
            ]
            with m.If(self.i.valid):
                m.d.sync += [partial.eq(self.round.more), again.eq(partial)]

        tag: Any = self.tag
        m.d.comb += [
            tag.address.eq(address),
            tag.row.eq(row),
            tag.slot.eq(entry.slot),
            tag.shift.eq(entry.shift),
            tag.zero.eq((current.step.first & ~again) | entry.flush),
            tag.init.eq(entry.init),
            tag.flush.eq(entry.flush),
            tag.void.eq(entry.flush | empty),
            tag.last.eq(completes),
            tag.partial.eq(partial),
            tag.unit_word.eq(unit_word),
            tag.unit.eq(unit),
            tag.count.eq(Mux(last_word, job.tail_units, self._config.unit_word)),
            tag.completes.eq(last_entry),
            tag.first.eq(current.step.first),
            tag.end.eq(job.layer_end & last_word),
        ]
        return m
