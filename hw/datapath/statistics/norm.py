# SPDX-License-Identifier: Apache-2.0
"""The layer normalisation between the accumulators and the cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...cells.base import STATE_LATENCY
from ...cells.catalogue import CELLS, reads
from ...config import AcceleratorConfig
from ...parts.memory import MemoryWrite, Table
from ...parts.pipeline import delay
from ...parts.queue import Credits, Queue
from ...words import LAYER_BITS, NORM_BITS, SLOTS, STATE_BITS, norm_gate, norm_value
from ..units.words import gate_word
from .gate_sums import GateSums
from .gather import Gather
from .inverse_root import InverseRoot, root_cycles
from .moments import Moments, moments_cycles
from .normalizer import (
    PRODUCT_CYCLES,
    Normalizer,
    normalizer_latency,
    scale_cycle,
    weight_cycle,
)
from .peephole import PRODUCT, Peephole, peephole_latency
from .replay import READ, Replay
from .scatter import Scatter

SETUP = 3
"""Cycles from a layer's first word, which waits, to the one in which it is taken."""


def has_peephole(config: AcceleratorConfig) -> bool:
    """Whether gates see the cell state before they are normalised."""
    return reads(config.cells, "norm_c")


def front_cycles(config: AcceleratorConfig) -> int:
    """Cycles from a gate's value to the statistics: those of the peephole."""
    return peephole_latency() if has_peephole(config) else 0


def turns(config: AcceleratorConfig, finals: Sequence[int]) -> int:
    """The cycle in which a layer's first value is read again, from those of its gates' last ones.

    Gates that see the cell state share the rescaler with the inverse roots, which so wait for all.
    """
    if has_peephole(config):
        finals = [finals[-1]] * len(finals)
    behind = front_cycles(config) + 1
    variances = moments_cycles([final + behind for final in finals])
    return root_cycles(PRODUCT_CYCLES, variances) + 1


def back_cycles(config: AcceleratorConfig) -> int:
    """Cycles from where a value is read to where it is in a word for the cell unit."""
    return READ + normalizer_latency(has_peephole(config), config.norm_shifts) + 2


def queue_values(config: AcceleratorConfig) -> int:
    """Normalised values that may be on their way to a word."""
    return 1 << back_cycles(config).bit_length()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """The parts of a `NormUnit`, in the order of a value's way through them; and its tables."""

    gather: Gather
    sums: GateSums
    moments: Moments
    root: InverseRoot
    normalizer: Normalizer
    replay: Replay
    scatter: Scatter
    values: Table
    gates: Table


class NormUnit(wiring.Component):
    """Normalise the gates of a layer over its units: docs/integer-lstm.md, "Layer normalisation".

    Words of cells that are not normalised pass as they are, in the same cycle. Of a layer that is,
    words are taken apart, one value a cycle, into a memory and the statistics. When all have come,
    mean and inverse root of each gate are made, and the values are read again, normalised one a
    cycle, and go on as the words that they were. Meanwhile words wait in front.

    One rescaler serves the inverse roots, the normalisation, and where cells have peepholes these.

    LATENCY: values are read again from `turns` on, one a cycle, and a word comes to the cell unit
    `back_cycles` after its last value is read.

    Parameters
    ----------
    config : AcceleratorConfig
    values : sequence of int
        Initial words of `norm_value`, layer by layer, in the order in which values come.
    gates : sequence of int
        Initial words of `norm_gate`, `SLOTS` for each layer of the table.

    Members
    -------
    i, o : in and out, streams of `gate_word(config)`
    done : in, 1 bit
        A layer's last unit has left the cells.
    c_state, c_first : out, state address, 1 bit
        The unit whose cell state a peephole sees; that it is the one before a sequence.
    c : in, signed(16)
        That, STATE_LATENCY cycles later.
    load_norm_values, load_norm_gates : in, `MemoryWrite`
        Write the memories, while no unit is under way.
    """

    i: stream.Interface
    o: stream.Interface
    done: Signal
    c_state: Signal
    c_first: Signal
    c: Signal
    load_norm_values: Any
    load_norm_gates: Any

    def __init__(
        self, config: AcceleratorConfig, *, values: Sequence[int] = (), gates: Sequence[int] = ()
    ) -> None:
        self._config = config
        self._values, self._gates = values, gates
        self._peephole = has_peephole(config)
        self._word = gate_word(config)
        seen = {"c_state": Out(STATE_BITS), "c_first": Out(1), "c": In(signed(16))}
        value, gate = norm_value(self._peephole), norm_gate(self._peephole)
        super().__init__(
            {
                "i": In(stream.Signature(self._word)),
                "o": Out(stream.Signature(self._word)),
                "done": In(1),
                **(seen if self._peephole else {}),
                "load_norm_values": In(MemoryWrite(config.norm_words, value.size)),
                "load_norm_gates": In(MemoryWrite(SLOTS * config.layers, gate.size)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        parts = self._parts(m)
        gather, sums, moments, root = parts.gather, parts.sums, parts.moments, parts.root
        normalizer, replay, scatter = parts.normalizer, parts.replay, parts.scatter
        values, gates = parts.values, parts.gates

        # Words that pass, or are taken apart: a layer's, from its first one to its last one.
        normalised = [n for n, name in enumerate(config.cells) if "norm" in CELLS[name].READS]
        isolated, taking, layer = Signal(), Signal(), Signal(LAYER_BITS)
        begins, setup = Signal(), Signal(SETUP - 1)
        passes = ~isolated & ~self.i.p.cell.matches(*normalised)
        m.d.comb += [
            begins.eq(~isolated & self.i.valid & ~passes & self._may_begin(m)),
            gather.open.eq(taking),
            gather.i.valid.eq(self.i.valid),
            gather.i.payload.eq(self.i.payload),
            self.i.ready.eq(Mux(isolated, gather.i.ready, passes & self.o.ready)),
            self.o.valid.eq(Mux(isolated, scatter.o.valid, passes & self.i.valid)),
            Value.cast(self.o.payload).eq(
                Mux(isolated, Value.cast(scatter.o.payload), Value.cast(self.i.payload))
            ),
            scatter.o.ready.eq(self.o.ready),
        ]
        goes = self.o.valid & self.o.ready & self.o.p.last & self.o.p.end
        m.d.sync += setup.eq(Cat(begins, setup))
        with m.If(begins):
            m.d.sync += [isolated.eq(1), layer.eq(self.i.p.layer)]
        with m.If(setup[-1]):
            m.d.sync += taking.eq(1)
        with m.If(gather.ends):
            m.d.sync += taking.eq(0)
        with m.If(isolated & goes):
            m.d.sync += isolated.eq(0)

        # Values -> statistics, and kept; sums -> mean and inverse root of each gate.
        value, front = self._front(m, gather, normalizer, values.data)
        late = {name: delay(m, getattr(gather, name), front, name) for name in ("gate", "begins")}
        there = delay(m, gather.valid, front, "there", reset=True)
        summed = delay(m, gather.final, front + 1, "summed", reset=True)
        closes = delay(m, gather.closes, front + 1, "closes")
        memory: Any = Memory(shape=gates.data.guard.shape(), depth=SLOTS, init=[])
        m.submodules.guards = memory
        guard, keep = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [
            sums.valid.eq(there),
            sums.gate.eq(late["gate"]),
            sums.first.eq(late["begins"]),
            sums.value.eq(value),
            sums.total_at.eq(moments.total_at),
            sums.squares_at.eq(moments.squares_at),
            replay.clear.eq(begins),
            replay.write.eq(there),
            replay.written.eq(value),
            moments.start.eq(summed),
            moments.last.eq(closes),
            moments.total.eq(sums.total),
            moments.squares.eq(sums.squares),
            moments.guard.eq(guard.data),
            moments.units.eq(gates.data.units),  # the same for each gate
            moments.reciprocal.eq(gates.data.reciprocal),
            guard.addr.eq(moments.gate),
            root.valid.eq(moments.valid),
            root.gate.eq(moments.gate),
            root.last.eq(moments.ends),
            root.variance.eq(moments.variance),
            root.product.eq(normalizer.product),
        ]

        # Values again -> normalised -> words again.
        back = normalizer_latency(self._peephole, config.norm_shifts)
        m.submodules.queue = queue = Queue(signed(16), depth=queue_values(config))
        m.submodules.credits = credits = Credits(total=queue_values(config), need=1)
        for name in ("unit_words", "tail", "gates"):
            m.d.comb += getattr(replay, name).eq(getattr(gather, name))
            m.d.comb += getattr(scatter, name).eq(getattr(gather, name))
        m.d.comb += [a.eq(b) for a, b in zip(scatter.order, gather.order, strict=True)]
        m.d.comb += [
            replay.start.eq(root.done),
            replay.room.eq(credits.room),
            credits.take.eq(replay.take),
            credits.amount.eq(1),
            credits.give.eq(queue.o.valid & queue.o.ready),
            moments.mean_at.eq(replay.gate),
            root.at.eq(replay.gate),
            normalizer.value.eq(replay.value),
            normalizer.mean.eq(moments.mean),
            normalizer.mult.eq(root.mult),
            queue.i.valid.eq(delay(m, replay.valid, back, "normalised", reset=True)),
            queue.i.payload.eq(normalizer.o),
            scatter.start.eq(root.done),
            Value.cast(scatter.base).eq(Value.cast(gather.base)),
        ]
        wiring.connect(m, queue.o, scatter.i)

        # What holds for the gate, and for the unit, at each of these places. Guards are kept, as
        # the statistics need them while values of other gates pass.
        again = Signal()
        with m.If(begins | root.done):
            m.d.sync += again.eq(root.done)
        look_up = PRODUCT - READ if self._peephole else 0
        scaled = delay(m, replay.gate, scale_cycle(self._peephole) - READ, "scaled")
        passing = [
            delay(m, getattr(gather, name), look_up, f"passing_{name}", reset=name == "valid")
            for name in ("valid", "gate")
        ]
        m.d.comb += [
            gates.addr.eq(Cat(Mux(again, scaled, passing[1]), layer)),
            keep.en.eq(delay(m, passing[0], 1, "keeps", reset=True)),
            keep.addr.eq(delay(m, passing[1], 1, "kept")),
            keep.data.eq(gates.data.guard),
        ]
        number = Signal(NORM_BITS)
        weighs = delay(m, replay.valid, weight_cycle(self._peephole) - READ, "weighs", reset=True)
        m.d.comb += values.addr.eq(number)
        with m.If(setup[-1] | root.done):
            m.d.sync += number.eq(gates.data.base)
        with m.Elif(weighs | (gather.valid if self._peephole else 0)):
            m.d.sync += number.eq(number + 1)
        if self._peephole:  # the rescaler is free when all values have passed
            passed = Signal()
            with m.If(begins | (summed & closes)):
                m.d.sync += passed.eq(~begins)
            m.d.comb += moments.hold.eq(~passed)
        spare_shift = Mux(root.runs, 0, self._seen(m, root, normalizer, gates.data))
        m.d.comb += [
            normalizer.spare.eq(~again),
            normalizer.shift.eq(Mux(again, root.shift, spare_shift)),
            normalizer.gain.eq(delay(m, values.data.gain, 1, "gain")),
            normalizer.bias.eq(delay(m, values.data.bias, 1, "bias")),
            normalizer.scale_mult.eq(delay(m, gates.data.mult, 1, "mult")),
            normalizer.scale_shift.eq(delay(m, gates.data.shift, 1, "shift")),
        ]
        return m

    def _parts(self, m: Module) -> _Parts:
        """Its parts; the tables are loaded from outside."""
        config, word = self._config, self._word
        m.submodules.gather = gather = Gather(word, unit_word=config.unit_word)
        m.submodules.sums = sums = GateSums()
        m.submodules.moments = moments = Moments()
        m.submodules.root = root = InverseRoot(product_cycles=PRODUCT_CYCLES)
        m.submodules.normalizer = normalizer = Normalizer(
            peephole=self._peephole, shifts=config.norm_shifts
        )
        m.submodules.replay = replay = Replay(depth=config.norm_values, unit_word=config.unit_word)
        m.submodules.scatter = scatter = Scatter(word, unit_word=config.unit_word)
        m.submodules.values = values = Table(
            norm_value(self._peephole), depth=config.norm_words, init=self._values
        )
        m.submodules.gates = gates = Table(
            norm_gate(self._peephole), depth=SLOTS * config.layers, init=self._gates
        )
        wiring.connect(m, wiring.flipped(self.load_norm_values), values.load)
        wiring.connect(m, wiring.flipped(self.load_norm_gates), gates.load)
        return _Parts(
            gather=gather,
            sums=sums,
            moments=moments,
            root=root,
            normalizer=normalizer,
            replay=replay,
            scatter=scatter,
            values=values,
            gates=gates,
        )

    def _may_begin(self, m: Module) -> Value:
        """Whether a layer may begin: a peephole's cell states must be written."""
        if not self._peephole:
            return Const(1)
        under_way = Signal(2)  # layers whose last unit has gone to the cells
        goes = self.o.valid & self.o.ready & self.o.p.last & self.o.p.end
        m.d.sync += under_way.eq(under_way + goes - self.done)
        return under_way == 0

    def _front(
        self, m: Module, gather: Gather, normalizer: Normalizer, parameters: Any
    ) -> tuple[Value, int]:
        """What is normalised of a value, and how many cycles later."""
        if not self._peephole:
            return gather.value, 0
        m.submodules.peephole = peephole = Peephole()
        continues = [n for n, name in enumerate(self._config.cells) if CELLS[name].CONTINUES]
        base = gather.base
        goes_on = base.cell.matches(*continues) if continues else Const(0)
        m.d.comb += [
            self.c_state.eq(gather.state + gather.index),
            self.c_first.eq(base.first & ~goes_on),
            peephole.value.eq(gather.value),
            peephole.weight.eq(delay(m, parameters.seen, STATE_LATENCY - 1, "weight")),
            peephole.c.eq(self.c),
            peephole.rescaled.eq(normalizer.unit),
            normalizer.spare_value.eq(peephole.product),
        ]
        return peephole.o, peephole_latency()

    def _seen(self, m: Module, root: InverseRoot, normalizer: Normalizer, gate: Any) -> Value:
        """The rescaler's numbers for a peephole, or for the inverse root, which has no shift."""
        if not self._peephole:
            m.d.comb += [
                normalizer.spare_value.eq(root.value),
                normalizer.spare_mult.eq(root.factor),
            ]
            return Const(0)
        mult, shift = (delay(m, gate[name], 1, name) for name in ("seen_mult", "seen_shift"))
        with m.If(root.runs):
            m.d.comb += normalizer.spare_value.eq(root.value)
        m.d.comb += normalizer.spare_mult.eq(Mux(root.runs, root.factor, mult))
        amount: Value = shift
        return amount
