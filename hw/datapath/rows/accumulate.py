# SPDX-License-Identifier: Apache-2.0
"""From sums to pre-activations: keeps M, rescales it, and completes what the cell unit takes.

For every D-word that drains: M += sum; part = rshr(M * mult, shift) + bias, or what the arithmetic
has in its place. A gate that several paths feed collects their parts; the chunk's last path hands
p = sat16(total) to the cell unit.
"""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...parts.memory import MemoryWrite
from ...parts.queue import Credits, Queue
from ...words import FIXED, LAYER_BITS, StepTag
from ..fetch.words import Round, row_job
from ..units.words import gate_word
from .gates import Gates
from .scale import Scale
from .scale_twice import ScaleTwice
from .schedule import RowSchedule
from .sums import Sums
from .words import LayerContext, sums_layout

QUEUE_WORDS = 16
"""Room towards the cell unit: what is on its way through the rescalers, and a few more."""


class Accumulate(wiring.Component):
    """The accumulators: `RowSchedule`, then `Sums`, `Scale` and `Gates` as one pipeline.

    A D-word in its stages; r is the cycles of the rescalers (`stages` has the numbers):

        cycle   0        1        2        3          4 + r      5 + r
        stage   TURN     READ     ADD      SCALE      COLLECT    COMPLETE
        sum     taken    held     added
        M       address  word     M + sum  written
        part                               M * mult   + bias
        gate                                          + part     sat16, to the queue

    Nothing stalls behind the first stage: room in the queue to the cell unit is reserved before a
    D-word is taken.

    LATENCY: `complete_stage` cycles from a D-word's turn to the queue; a word that finds it empty
    leaves in the same cycle. THROUGHPUT: a D-word a cycle.

    Parameters
    ----------
    config : AcceleratorConfig
    init : list of int
        Initial row parameters, as words.
    initial : list of int
        M before a sequence's first step, as words; it is 0 unless config.initial.

    Members
    -------
    i : in, stream of `row_job`
        Passes in their steps, each once for every one of its rounds, as `Fetch` has begun them.
    round : in, `Round`
        Which round i is.
    sums : in, stream of unit_word sums of sum_bits
        Drained D-words.
    o : out, stream of `cell_word`
        Gates for the cell unit.
    layer_start : out, 1 bit
        The next round waits only for its layer's context.
    layer, step : out, 5 bits, `StepTag`
        Of the round that is next to begin.
    layer_ready : in, 1 bit
        With layer_start: `context` is the layer's from the next cycle on.
    context : in, `LayerContext`
        Of the layer whose gates are being sent.
    output_room : in, 1 bit
        The outputs of two unit-words fit into the output queue.
    output_take, output_units : out, 1 bit, range(unit_word + 1)
        Reserves room there for so many units' outputs.
    load : in, `MemoryWrite(row_words, ..)`
        Writes row parameters, while nothing is under way.
    load_initial : in, `MemoryWrite(row_words, ..)`
        Writes M before the first step; only with config.initial.
    """

    def __init__(
        self, config: AcceleratorConfig, *, init: list[int], initial: list[int] | None = None
    ) -> None:
        self._config = config
        self._init = init
        self._initial = initial
        rows = config.unit_word
        sums = sums_layout(config)
        self._word = gate_word(config)
        load_initial = In(MemoryWrite(config.row_words, sums.size))
        super().__init__(
            {
                "i": In(stream.Signature(row_job(config.slots))),
                "round": In(Round),
                "sums": In(stream.Signature(sums)),
                "o": Out(stream.Signature(self._word)),
                "layer_start": Out(1),
                "layer": Out(LAYER_BITS),
                "step": Out(StepTag),
                "layer_ready": In(1),
                "context": In(LayerContext),
                "output_room": In(1),
                "output_take": Out(1),
                "output_units": Out(range(rows + 1)),
                "load": In(MemoryWrite(config.row_words, config.row_parameters.size)),
                **({"load_initial": load_initial} if config.initial else {}),
            }
        )

    i: stream.Interface
    round: data.View
    sums: stream.Interface
    o: stream.Interface
    layer_start: Signal
    layer: Signal
    step: data.View
    layer_ready: Signal
    context: data.View
    output_room: Signal
    output_take: Signal
    output_units: Signal
    load: Any
    load_initial: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.schedule = schedule = RowSchedule(config)
        m.submodules.sums = sums = Sums(config, initial=self._initial)
        scaler = Scale if config.arithmetic == FIXED else ScaleTwice
        m.submodules.scale = scale = scaler(config, init=self._init)
        m.submodules.gates = gates = Gates(config)
        m.submodules.queue = queue = Queue(
            self._word, depth=QUEUE_WORDS, buffered=True, pass_through=True
        )
        m.submodules.credits = credits = Credits(total=QUEUE_WORDS, need=2)

        # Passes -> turns, each when there is room for the gate that it completes.
        wiring.connect(m, wiring.flipped(self.i), schedule.i)
        m.d.comb += [
            schedule.round.eq(self.round),
            schedule.sums_valid.eq(self.sums.valid),
            self.sums.ready.eq(schedule.sums_ready),
            self.layer_start.eq(schedule.layer_start),
            self.layer.eq(schedule.layer),
            self.step.eq(schedule.step),
            schedule.layer_ready.eq(self.layer_ready),
            schedule.to_output.eq(self.context.output),
            schedule.output_room.eq(self.output_room),
            self.output_take.eq(schedule.output_take),
            self.output_units.eq(schedule.tag.count),
            schedule.room.eq(credits.room),
            credits.take.eq(schedule.turn & schedule.tag.completes_gate),
            credits.amount.eq(1),
            credits.give.eq(queue.o.valid & queue.o.ready),
        ]

        # Sums -> M -> parts -> gates -> the cell unit.
        m.d.comb += [
            sums.i.valid.eq(schedule.turn),
            sums.i.payload.tag.eq(schedule.tag),
            sums.i.payload.values.eq(self.sums.payload),
            scale.row.eq(schedule.tag.row),
            gates.context.eq(self.context),
            queue.i.valid.eq(gates.o.valid),
            queue.i.payload.eq(gates.o.payload),
        ]
        wiring.connect(m, sums.o, scale.i)
        wiring.connect(m, scale.o, gates.i)
        wiring.connect(m, wiring.flipped(self.load), scale.load)
        if config.initial:
            wiring.connect(m, wiring.flipped(self.load_initial), sums.load_initial)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m
