# SPDX-License-Identifier: Apache-2.0
"""The accumulators' way through the passes: whose turn it is, and what there is to know of it."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...words import LAYER_BITS, StepTag
from ..fetch.words import Round, row_job
from .interlock import Interlock
from .position import RowPosition
from .words import row_tag


class RowSchedule(wiring.Component):
    """Gives each D-word its turn as soon as its sums are there, and room for what it completes.

    A round of a pass begins when nothing that it relies on is still on its way. One that reads
    sums which the step or the round before has changed waits until they are written; the last
    path of a layer waits until the gates of the layer before are queued, and then asks for its
    context. A round that waits for nothing (P) follows the one before without a gap; Q waits:

        cycle          0       1        2        3        4        5
        i taken        P                Q
        holds_round            P        P        Q        Q        Q
        layer_start                              high     high
        layer_ready                                       high
        has_begun              high     high                       high
        turn                   P's 1st  P's last                   Q's 1st

    THROUGHPUT: a D-word a cycle.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : in, stream of `row_job`
        Passes in their steps, each once for every one of its rounds.
    round : in, `Round`
        Which round i is.
    sums_valid, sums_ready : in, out, 1 bit
        A D-word's sums have drained; they are taken.
    turn : out, 1 bit
        It is a D-word's turn, with its sums or without.
    tag : out, `row_tag`
        With turn: what goes along with the D-word.
    layer_start : out, 1 bit
        The next round waits only for its layer's context, which is asked for.
    layer, step : out, 5 bits, `StepTag`
        Of the round that is next to begin.
    layer_ready : in, 1 bit
        With layer_start: the context is there from the next cycle on.
    to_output : in, 1 bit
        What the running layer puts out leaves the accelerator.
    room : in, 1 bit
        Two words fit into the queue to the cell unit.
    output_room : in, 1 bit
        The outputs of two unit-words fit into the output queue.
    output_take : out, 1 bit
        With turn: reserves room for the outputs of the D-word's unit-word.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(row_job(config.slots))),
                "round": In(Round),
                "sums_valid": In(1),
                "sums_ready": Out(1),
                "turn": Out(1),
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
    turn: Signal
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
        m.submodules.position = position = RowPosition(self._config)
        m.submodules.interlock = interlock = Interlock(self._config)
        job, coming = position.job, self.i.payload["pass"]
        takes_round = Signal()
        holds_round, has_begun, runs = Signal(), Signal(), Signal()  # runs: both of them
        step: Any = Signal(StepTag)  # of the round that is held
        sums_only = Signal()  # its pass has another round after it
        continues_pass = Signal()  # its pass has had a round before it

        # Whether there is room is known a cycle late: `room` is for one word more, which may have
        # its turn in between.
        completes_gate, has_room, fits = Signal(), Signal(), Signal()
        m.d.sync += fits.eq(has_room | ~completes_gate)
        m.d.comb += [
            completes_gate.eq(job.last & ~sums_only),
            has_room.eq(self.room & self.output_room),
            self.turn.eq(runs & (position.no_sums | self.sums_valid) & fits),
            self.sums_ready.eq(runs & ~position.no_sums & fits),
            self.output_take.eq(
                self.turn & (completes_gate & self.to_output & position.first_entry)
            ),
            position.advance.eq(self.turn),
            interlock.turn.eq(self.turn),
            interlock.completes_gate.eq(completes_gate),
            takes_round.eq((self.turn & position.last) | ~holds_round),
        ]

        # A round that waits for nothing begins in the next cycle, and so does one whose wait is
        # over when it comes. The round before left a pass unfinished where `sums_only` is still
        # high: this one is the pass's next, and reads the same sums again.
        needs_sums = coming.step_start | sums_only
        needs_layer = coming.layer_start & ~self.round.more
        waits_for_sums, waits_for_layer = Signal(), Signal()
        waits, arrives, may_begin, begins = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            waits.eq(holds_round & ~has_begun),
            arrives.eq(~holds_round & self.i.valid),
            self.layer.eq(Mux(waits, job.layer, coming.layer)),
            self.step.eq(Mux(waits, step, self.i.payload.step)),
            may_begin.eq(
                Mux(
                    waits,
                    (interlock.sums_written | ~waits_for_sums)
                    & (interlock.gates_queued | ~waits_for_layer),
                    arrives
                    & (interlock.sums_written | ~needs_sums)
                    & (interlock.gates_queued | ~needs_layer),
                )
            ),
            self.layer_start.eq(may_begin & Mux(waits, waits_for_layer, needs_layer)),
            begins.eq(may_begin & (~self.layer_start | self.layer_ready)),
        ]
        with m.If(waits & begins):
            m.d.sync += [has_begun.eq(1), runs.eq(1)]

        m.d.comb += [
            self.i.ready.eq(takes_round),
            position.load.eq(takes_round),
            position.coming.eq(coming),
            position.coming_empty.eq(self.round.empty),
        ]
        with m.If(takes_round):
            waits_for_nothing = begins | ~(needs_sums | needs_layer)
            m.d.sync += [
                holds_round.eq(self.i.valid),
                has_begun.eq(waits_for_nothing),
                runs.eq(self.i.valid & waits_for_nothing),
                waits_for_sums.eq(needs_sums),
                waits_for_layer.eq(needs_layer),
                step.eq(self.i.payload.step),
                fits.eq(has_room | ~coming.last | self.round.more),
            ]
            with m.If(self.i.valid):
                m.d.sync += [sums_only.eq(self.round.more), continues_pass.eq(sums_only)]

        m.d.comb += [
            self.tag.from_zero.eq((step.first & ~continues_pass) | position.entry.flush),
            self.tag.first_step.eq(step.first),
            self.tag.completes_gate.eq(completes_gate),
            self.tag.sums_only.eq(sums_only),
        ]
        self._tag(m, position)
        return m

    def _tag(self, m: Module, position: RowPosition) -> None:
        """What the tag has of the D-word's position."""
        entry: Any = position.entry
        tag, job = self.tag, position.job
        count = Mux(position.last_unit_word, job.tail_units, self._config.unit_word)
        m.d.comb += [
            tag.address.eq(position.address),
            tag.row.eq(position.row),
            tag.slot.eq(entry.slot),
            tag.shift.eq(entry.shift),
            tag.init.eq(entry.init),
            tag.flush.eq(entry.flush),
            tag.no_sums.eq(entry.flush | position.empty),
            tag.unit_word.eq(position.unit_word),
            tag.unit.eq(position.unit),
            tag.count.eq(count),
            tag.completes_unit_word.eq(position.last_entry),
            tag.ends_layer.eq(job.layer_end & position.last_unit_word),
        ]
