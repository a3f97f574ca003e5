# SPDX-License-Identifier: Apache-2.0
"""From sums to pre-activations: keeps M, rescales it, and completes what the cell unit takes.

For every D-word that drains: M += sum; part = rshr(M * mult, shift) + bias. A gate that several
paths feed collects their parts; the chunk's last path hands p = sat16(total) to the cell unit.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...cells.catalogue import cell_word
from ...config import AcceleratorConfig
from ...image import MULT_BIAS_BITS
from ...parts.arithmetic import SMALL_STAGE_BITS, Rescale, add_halves, sat16
from ...parts.memory import MemoryWrite, Table, block_ram, connect_write
from ...parts.pipeline import delay, history
from ...parts.queue import Credits, Queue
from ...words import (
    CELL_BITS,
    LAYER_BITS,
    SHIFT_BITS,
    SLOTS,
    STATE_BITS,
    VECTOR_SHIFT_BITS,
    StepTag,
)
from ..fetch.fetch import Round
from ..fetch.sequencer import RowJob
from .schedule import RowWalk

RowParameters = data.StructLayout({"mult": signed(16), "bias": signed(20)})
"""One row of a path."""

assert RowParameters.size == MULT_BIAS_BITS

QUEUE_WORDS = 16
"""Room towards the cell unit: what is on its way through the rescalers, and a few more."""

LayerContext = data.StructLayout(
    {
        "cell": CELL_BITS,
        "c_exponent": 4,
        "state_base": STATE_BITS,
        "output": 1,
        "vector_shift": VECTOR_SHIFT_BITS,
        "skip_base": STATE_BITS,
        "skip_mult": signed(16),
        "skip_shift": SHIFT_BITS,
    }
)
"""What the cell unit must know of the layer whose units it is sent, as `layer_record` has it."""


class Accumulate(wiring.Component):
    """Read-modify-write of M, the rescalers, and the pre-activation buffer; a D-word a cycle.

    Nothing stalls behind the first stage: room in the queue to the cell unit is reserved before a
    D-word is taken.

    Parameters
    ----------
    config: the accelerator
    init: initial row parameters, as words
    initial: M before a sequence's first step, as words; it is 0 unless config.initial

    Members
    -------
    i: rounds of passes, round: as `Fetch` has begun them; sums: drained D-words; o: words for the
        cell unit
    layer, step: of the pass that has yet to begin
    layer_start: it asks for its layer's context, until layer_ready: `context` is the layer's from
        the next cycle on
    context: of the layer whose units are being sent
    output_room: room for the outputs of two unit-words; output_take, output_units: reserves it
    load: in, writes row parameters
    load_initial: in, writes M before the first step; only with config.initial
    """

    def __init__(
        self, config: AcceleratorConfig, *, init: list[int], initial: list[int] | None = None
    ) -> None:
        self._config = config
        self._initial = initial or []
        self._init = init
        rows = config.unit_word
        self._parameters = data.ArrayLayout(RowParameters, rows)
        self._sums = data.ArrayLayout(signed(config.sum_bits), rows)
        self._word = cell_word(rows, cells=config.cells, state_depth=max(config.states, 2))
        load_initial = In(MemoryWrite(config.row_words, self._sums.size))
        super().__init__(
            {
                "i": In(stream.Signature(RowJob)),
                "round": In(Round),
                "sums": In(stream.Signature(self._sums)),
                "o": Out(stream.Signature(self._word)),
                "layer_start": Out(1),
                "layer": Out(LAYER_BITS),
                "step": Out(StepTag),
                "layer_ready": In(1),
                "context": In(LayerContext),
                "output_room": In(1),
                "output_take": Out(1),
                "output_units": Out(range(rows + 1)),
                "load": In(MemoryWrite(config.row_words, rows * MULT_BIAS_BITS)),
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
        config, rows = self._config, self._config.unit_word
        rescalers = [
            Rescale(
                value_bits=config.sum_bits,
                shift_min=config.shifts[0],
                shift_max=config.shifts[1],
                out_bits=config.pre_bits,
                stage_bits=SMALL_STAGE_BITS,
                rounds=False,
                plain=True,
            )
            for _ in range(rows)
        ]
        for n, rescaler in enumerate(rescalers):
            m.submodules[f"rescale_{n}"] = rescaler
        m.submodules.queue = queue = Queue(
            self._word, depth=QUEUE_WORDS, buffered=True, straight=True
        )
        m.submodules.credits = credits = Credits(total=QUEUE_WORDS, need=2)
        wiring.connect(m, wiring.flipped(self.o), queue.o)
        m.d.comb += credits.give.eq(queue.o.valid & queue.o.ready)

        # 3 + the rescalers, and the two sums behind them.
        to_queue = 3 + rescalers[0].latency + 2
        m.submodules.walk = walk = RowWalk(config, to_queue=to_queue)
        issue, tag = walk.issue, walk.tag
        wiring.connect(m, wiring.flipped(self.i), walk.i)
        m.d.comb += [
            walk.round.eq(self.round),
            walk.sums_valid.eq(self.sums.valid),
            self.sums.ready.eq(walk.sums_ready),
            self.layer_start.eq(walk.layer_start),
            self.layer.eq(walk.layer),
            self.step.eq(walk.step),
            walk.layer_ready.eq(self.layer_ready),
            walk.to_output.eq(self.context.output),
            walk.room.eq(credits.room),
            walk.output_room.eq(self.output_room),
            self.output_take.eq(walk.output_take),
            self.output_units.eq(tag.count),
            credits.take.eq(issue & tag.last),
            credits.amount.eq(1),
        ]

        # 1: the sum, while M and the row's parameters are being read; 2: those.
        memory = block_ram(self._sums, depth=config.row_words)
        m.submodules.sums = memory
        parameters = block_ram(self._parameters.size, depth=config.row_words, init=self._init)
        m.submodules.parameters = parameters
        valid = history(m, issue, 4 + rescalers[0].latency + 3, "valid", reset=True)
        tags = history(m, tag, 3 + rescalers[0].latency + 2, "tag")
        m_read, m_write = memory.read_port(), memory.write_port()
        p_read, p_write = parameters.read_port(), parameters.write_port()
        connect_write(m, self.load, p_write)
        m.d.comb += [m_read.addr.eq(tag.address), p_read.addr.eq(tag.row)]
        fresh = Signal(self._sums, reset_less=True)
        m.d.sync += Value.cast(fresh).eq(Mux(tag.void, 0, Value.cast(self.sums.payload)))
        old: Any = Signal(self._sums, reset_less=True)
        first: Any = Signal(self._sums, reset_less=True)
        added: Any = Signal(self._sums, reset_less=True)
        row: Any = Signal(self._parameters, reset_less=True)
        m.d.sync += [
            Value.cast(old).eq(Value.cast(m_read.data)),
            Value.cast(first).eq(self._start(m, tag, tags[1])),
            added.eq(fresh),
            Value.cast(row).eq(p_read.data),
        ]

        # 3: M, from 0 in a first step, written back and rescaled; its parameters go along, to the
        # multipliers.
        total: Any = Signal(self._sums, reset_less=True)
        row_later: Any = Signal(self._parameters, reset_less=True)
        m.d.sync += row_later.eq(row)
        writes = Signal()
        m.d.sync += writes.eq(valid[2] & ~tags[2].flush)
        for n in range(rows):
            m.d.sync += total[n].eq(Mux(tags[2].zero, first[n], old[n]) + added[n])
        m.d.comb += [
            m_write.addr.eq(tags[3].address),
            m_write.data.eq(total),
            m_write.en.eq(writes),
        ]
        at = 3 + rescalers[0].latency
        part: Any = Signal(data.ArrayLayout(signed(config.pre_bits), rows), reset_less=True)
        for n, rescaler in enumerate(rescalers):
            m.d.comb += [
                rescaler.value.eq(total[n]),
                rescaler.mult.eq(row_later[n].mult),
                rescaler.shift.eq(tags[3].shift),
            ]
            bias = Mux(tags[3].flush, 0, row_later[n].bias)
            late = delay(m, bias, rescaler.latency, f"bias_{n}")
            m.d.sync += part[n].eq(add_halves(late, rescaler.o))

        # Collect the gate's parts. Read, add and write in one cycle, so that the same gate may
        # follow at once.
        at += 1
        collected: Any = Memory(
            shape=data.ArrayLayout(signed(config.pre_bits), rows),
            depth=SLOTS * config.chunk_words,
            init=[],
        )
        m.submodules.collected = collected
        c_read, c_write = collected.read_port(domain="comb"), collected.write_port()
        both: Any = Signal(data.ArrayLayout(signed(config.pre_bits), rows))
        done: Any = Signal(data.ArrayLayout(signed(config.pre_bits), rows), reset_less=True)
        here = tags[at]
        m.d.comb += [
            c_read.addr.eq(Cat(here.slot, here.unit_word)),
            c_write.addr.eq(c_read.addr),
            c_write.data.eq(both),
            c_write.en.eq(valid[at] & ~here.partial),
        ]
        for n in range(rows):
            m.d.comb += both[n].eq(Mux(here.init, 0, c_read.data[n]) + part[n])
        m.d.sync += done.eq(both)

        # Complete: saturate, and on to the cell unit.
        begin = Signal()
        m.d.sync += begin.eq(here.unit == 0)
        at += 1
        here = tags[at]
        word: Any = queue.i.payload
        m.d.comb += [
            queue.i.valid.eq(valid[at] & here.last),
            word.slot.eq(here.slot),
            word.last.eq(here.completes),
            word.unit.eq(here.unit),
            word.count.eq(here.count),
            word.first.eq(here.first),
            word.begin.eq(begin),
            word.end.eq(here.end),
            word.state.eq(self.context.state_base + here.unit),
            *(
                word[name].eq(self.context[name])
                for name in LayerContext.members
                if name in self._word.members
            ),
        ]
        if "skip" in self._word.members:
            m.d.comb += word.skip.eq(self.context.skip_base + here.unit)
        m.d.comb += [word.p[n].eq(sat16(done[n])) for n in range(rows)]
        return m

    def _start(self, m: Module, tag: data.View, later: data.View) -> Value:
        """M before a sequence's first step, in the cycle of `later`."""
        if not self._config.initial:
            return Const(0)
        table = Table(self._sums.size, depth=self._config.row_words, init=self._initial)
        m.submodules.initial = table
        wiring.connect(m, wiring.flipped(self.load_initial), table.load)
        m.d.comb += table.addr.eq(tag.address)
        return Mux(later.flush, 0, table.data)
