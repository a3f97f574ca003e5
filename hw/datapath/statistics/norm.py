# SPDX-License-Identifier: Apache-2.0
"""The layer normalisation between the accumulators and the cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ...cells.base import STATE_LATENCY
from ...cells.catalogue import CELLS
from ...config import AcceleratorConfig
from ...parts.memory import MemoryWrite, Table, connect_write
from ...parts.pipeline import delay, select
from ...parts.queue import Credits, Queue
from ...words import LAYER_BITS, NORM_BITS, SLOTS, STATE_BITS, norm_gate, norm_value
from ..units.words import gate_word
from .gate_sums import GateSums
from .gather import Gather
from .inverse_root import InverseRoot
from .moments import Moments
from .normalizer import PRODUCT_CYCLES, Normalizer, normalizer_latency, scale_cycle, weight_cycle
from .peephole import PRODUCT, Peephole, peephole_latency
from .replay import READ, Replay
from .scatter import Scatter
from .timing import SETUP, front_cycles, has_peephole, queue_values


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a `NormUnit`, in the order of a value's way through them; and its tables."""

    gather: Gather
    sums: GateSums
    moments: Moments
    root: InverseRoot
    lanes: Sequence[Normalizer]
    replay: Replay
    scatter: Scatter
    values: Sequence[Table]
    gates: Table


class NormUnit(wiring.Component):
    """Normalise the gates of a layer over its units: docs/integer-lstm.md, "Layer normalisation".

    Words of cells that are not normalised pass as they are, in the same cycle. Of a layer that is,
    words are taken apart, `norm_lanes` values a cycle, into a memory and the statistics. When all
    have come, mean and inverse root of each gate are made, and the values are read again,
    normalised as many a cycle, and go on as the words that they were. Meanwhile words wait in
    front.

    A lane's rescaler serves the normalisation, where cells have peepholes these, and the first
    lane's the inverse roots.

    LATENCY: values are read again from `turns` on, `norm_lanes` a cycle, and a word comes to the
    cell unit `back_cycles` after its last value is read.

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
        The first of the units whose cell state peepholes see; that it is the one before a sequence.
    c : in, signed(16) by cell unit
        Those of its row of the state memory, STATE_LATENCY cycles later.
    load_norm_values, load_norm_gates : in, `MemoryWrite`
        Write the memories, while no unit is under way.
    """

    i: stream.Interface
    o: stream.Interface
    done: Signal
    c_state: Signal
    c_first: Signal
    c: Any
    load_norm_values: Any
    load_norm_gates: Any

    def __init__(
        self, config: AcceleratorConfig, *, values: Sequence[int] = (), gates: Sequence[int] = ()
    ) -> None:
        self._config = config
        self._values, self._gates = values, gates
        self._peephole, self._word = has_peephole(config), gate_word(config)
        self._values_shape = ArrayLayout(signed(16), config.norm_lanes)
        seen = {
            "c_state": Out(STATE_BITS),
            "c_first": Out(1),
            "c": In(ArrayLayout(signed(16), config.cell_units)),
        }
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
        lanes, replay, scatter = parts.lanes, parts.replay, parts.scatter
        values, gates = parts.values, parts.gates

        begins, opens, layer = self._take_apart(m, gather, scatter)

        # Values -> statistics, and kept; sums -> mean and inverse root of each gate.
        value, front = self._front(m, parts)
        late = {n: delay(m, getattr(gather, n), front, n) for n in ("gate", "begins", "mask")}
        there = delay(m, gather.valid, front, "there", reset=True)
        settled = front_cycles(config) - 1
        summed = delay(m, gather.final, settled, "summed", reset=True)
        closes = delay(m, gather.closes, settled, "closes")
        memory: Any = Memory(shape=gates.data.guard.shape(), depth=SLOTS, init=[])
        m.submodules.guards = memory
        guard, keep = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [
            sums.valid.eq(there),
            sums.gate.eq(late["gate"]),
            sums.first.eq(late["begins"]),
            sums.mask.eq(late["mask"]),
            *(a.eq(b) for a, b in zip(sums.value, value, strict=True)),
            sums.total_at.eq(moments.total_at),
            sums.squares_at.eq(moments.squares_at),
            replay.clear.eq(begins),
            replay.write.eq(there),
            *(a.eq(b) for a, b in zip(replay.written, value, strict=True)),
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
            root.product.eq(lanes[0].product),
        ]

        # Values again -> normalised -> words again.
        back = normalizer_latency(self._peephole, config.norm_shifts)
        m.submodules.queue = queue = Queue(self._values_shape, depth=queue_values(config))
        m.submodules.credits = credits = Credits(total=queue_values(config), need=1)
        for part in (replay, scatter):
            for name in ("unit_words", "tail", "gates"):
                m.d.comb += getattr(part, name).eq(getattr(gather, name))
        m.d.comb += [a.eq(b) for a, b in zip(scatter.order, gather.order, strict=True)]
        m.d.comb += [
            replay.start.eq(root.done),
            replay.room.eq(credits.room),
            credits.take.eq(replay.take),
            credits.amount.eq(1),
            credits.give.eq(queue.o.valid & queue.o.ready),
            moments.mean_at.eq(replay.gate_ahead),
            root.at.eq(replay.gate_ahead),
            queue.i.valid.eq(delay(m, replay.valid, back, "normalised", reset=True)),
            *(queue.i.payload[n].eq(lane.o) for n, lane in enumerate(lanes)),
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
        m.d.comb += [table.addr.eq(number) for table in values]
        with m.If(opens | root.done):
            m.d.sync += number.eq(gates.data.base >> ceil_log2(len(lanes)))
        with m.Elif(weighs | (gather.valid if self._peephole else 0)):
            m.d.sync += number.eq(number + 1)
        if self._peephole:  # the rescaler is free when all values have passed
            passed = Signal()
            with m.If(begins | (summed & closes)):
                m.d.sync += passed.eq(~begins)
            m.d.comb += moments.hold.eq(~passed)
        mean, mult, shift = (
            delay(m, each, 1, name)
            for name, each in (("mean", moments.mean), ("root", root.mult), ("right", root.shift))
        )
        scale = {name: delay(m, gates.data[name], 1, name) for name in ("mult", "shift")}
        seen_shift = self._spare(m, parts)
        for n, (lane, table) in enumerate(zip(lanes, values, strict=True)):
            m.d.comb += [
                lane.value.eq(replay.value[n]),
                lane.mean.eq(mean),
                lane.mult.eq(mult),
                lane.spare.eq(~again),
                lane.shift.eq(Mux(again, shift, seen_shift)),
                lane.gain.eq(delay(m, table.data.gain, 1, f"gain_{n}")),
                lane.bias.eq(delay(m, table.data.bias, 1, f"bias_{n}")),
                lane.scale_mult.eq(scale["mult"]),
                lane.scale_shift.eq(scale["shift"]),
            ]
        return m

    def _parts(self, m: Module) -> _Parts:
        """Its parts; the tables are loaded from outside."""
        config, word, lanes = self._config, self._word, self._config.norm_lanes
        same = {"unit_word": config.unit_word, "lanes": lanes}
        m.submodules.gather = gather = Gather(word, **same)
        m.submodules.sums = sums = GateSums(lanes=lanes)
        m.submodules.moments = moments = Moments()
        m.submodules.root = root = InverseRoot(product_cycles=PRODUCT_CYCLES)
        m.submodules.replay = replay = Replay(depth=config.norm_values, **same)
        m.submodules.scatter = scatter = Scatter(word, **same)
        m.submodules.gates = gates = Table(
            norm_gate(self._peephole), depth=SLOTS * config.layers, init=self._gates
        )
        wiring.connect(m, wiring.flipped(self.load_norm_gates), gates.load)
        # Values lie in as many banks as there are lanes.
        normalizers, values = [], []
        for n in range(lanes):
            normalizer = Normalizer(peephole=self._peephole, shifts=config.norm_shifts)
            m.submodules[f"normalizer_{n}"] = normalizer
            depth = -(-config.norm_words // lanes)
            table = Table(norm_value(self._peephole), depth=depth, init=self._values[n::lanes])
            m.submodules[f"values_{n}"] = table
            bits, load = ceil_log2(lanes), self.load_norm_values
            connect_write(m, load, table.load, where=load.addr[:bits] == n, low_bits=bits)
            normalizers.append(normalizer)
            values.append(table)
        return _Parts(gather, sums, moments, root, normalizers, replay, scatter, values, gates)

    def _take_apart(
        self, m: Module, gather: Gather, scatter: Scatter
    ) -> tuple[Signal, Value, Signal]:
        """Words that pass, or are taken apart: a layer's, from its first one to its last one.

        Whether a layer begins, and later is open; which.
        """
        normalised = [n for n, name in enumerate(self._config.cells) if "norm" in CELLS[name].READS]
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
        with m.If(setup[-1] | gather.ends):
            m.d.sync += taking.eq(setup[-1])
        with m.If(isolated & goes):
            m.d.sync += isolated.eq(0)
        return begins, setup[-1], layer

    def _may_begin(self, m: Module) -> Value:
        """Whether a layer may begin: a peephole's cell states must be written."""
        if not self._peephole:
            return Const(1)
        under_way = Signal(2)  # layers whose last unit has gone to the cells
        goes = self.o.valid & self.o.ready & self.o.p.last & self.o.p.end
        m.d.sync += under_way.eq(under_way + goes - self.done)
        return under_way == 0

    def _front(self, m: Module, parts: _Parts) -> tuple[Sequence[Value], int]:
        """What is normalised of the lanes' values, and how many cycles later."""
        gather, lanes = parts.gather, range(len(parts.lanes))
        values: list[Value] = [gather.value[n] for n in lanes]
        if not self._peephole:
            return values, 0
        continues = [n for n, name in enumerate(self._config.cells) if CELLS[name].CONTINUES]
        base = gather.base
        goes_on = base.cell.matches(*continues) if continues else Const(0)
        m.d.comb += [
            self.c_state.eq(gather.state + gather.index),
            self.c_first.eq(base.first & ~goes_on),
        ]
        # Their cell states are some of a row's, beside each other.
        rows = range(0, self._config.cell_units, len(lanes))
        at = delay(m, self.c_state, STATE_LATENCY, "at")[ceil_log2(len(lanes)) :]
        for n in lanes:
            m.submodules[f"peephole_{n}"] = peephole = Peephole()
            weight = delay(m, parts.values[n].data.seen, STATE_LATENCY - 1, f"weight_{n}")
            m.d.comb += [
                peephole.value.eq(values[n]),
                peephole.weight.eq(weight),
                peephole.c.eq(select([self.c[first + n] for first in rows], at)),
                peephole.rescaled.eq(parts.lanes[n].unit),
                parts.lanes[n].spare_value.eq(peephole.product),
            ]
            values[n] = peephole.o
        return values, peephole_latency()

    def _spare(self, m: Module, parts: _Parts) -> Value:
        """What the rescalers do for peepholes, and the first for the inverse root; their shift."""
        root, first = parts.root, parts.lanes[0]
        if not self._peephole:
            m.d.comb += [first.spare_value.eq(root.value), first.spare_mult.eq(root.factor)]
            return Const(0)
        gate = parts.gates.data
        mult, shift = (delay(m, gate[name], 1, name) for name in ("seen_mult", "seen_shift"))
        with m.If(root.runs):
            m.d.comb += first.spare_value.eq(root.value)
        m.d.comb += first.spare_mult.eq(Mux(root.runs, root.factor, mult))
        m.d.comb += [lane.spare_mult.eq(mult) for lane in parts.lanes[1:]]
        return Mux(root.runs, 0, shift)
