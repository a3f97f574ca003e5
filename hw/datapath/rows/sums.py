# SPDX-License-Identifier: Apache-2.0
"""M, the sums that stay from step to step: read, added to, written back."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...parts.memory import MemoryWrite, Table, block_ram
from ...parts.pipeline import history
from .stages import ADD, READ, SCALE, TURN
from .words import row_word, sums_layout


class Sums(wiring.Component):
    """M_t = M_{t-1} + W Δx_t, a D-word a cycle (Neil et al. 2017).

    M starts from 0 with a sequence, or from the initial sums. A flushed D-word leaves M as it is,
    and passes as zeros.

    LATENCY: `SCALE` cycles. A D-word of the same address may follow `SCALE` + 1 cycles later.
    THROUGHPUT: a D-word a cycle.

    Parameters
    ----------
    config : AcceleratorConfig
    initial : list of int
        M before a sequence's first step, as words; it is 0 unless config.initial.

    Members
    -------
    i : in, stream of `row_word(sums)`, always ready
        Sums of a step's changes, in stage TURN; not looked at where the tag says `no_sums`.
    o : out, stream of `row_word(sums)`, always ready
        M after the step, in stage SCALE.
    load_initial : in, `MemoryWrite(row_words, ..)`
        Writes the initial sums; only with config.initial.
    """

    def __init__(self, config: AcceleratorConfig, *, initial: list[int] | None = None) -> None:
        self._config = config
        self._initial = initial or []
        self._values = sums_layout(config)
        words = stream.Signature(row_word(config, self._values), always_ready=True)
        load_initial = In(MemoryWrite(config.row_words, self._values.size))
        super().__init__(
            {
                "i": In(words),
                "o": Out(words),
                **({"load_initial": load_initial} if config.initial else {}),
            }
        )

    i: stream.Interface
    o: stream.Interface
    load_initial: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tag: Any = history(m, self.i.payload.tag, SCALE, "tag")
        valid = history(m, self.i.valid, SCALE, "valid", reset=True)
        memory = block_ram(self._values, depth=self._config.row_words)
        m.submodules.memory = memory
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += read.addr.eq(tag[TURN].address)

        # Into READ: the sums that come, while M is being read.
        fresh: Any = Signal(self._values, reset_less=True)
        sums = Value.cast(self.i.payload.values)
        m.d.sync += Value.cast(fresh).eq(Mux(tag[TURN].no_sums, 0, sums))

        # Into ADD.
        old: Any = Signal(self._values, reset_less=True)
        start: Any = Signal(self._values, reset_less=True)
        added: Any = Signal(self._values, reset_less=True)
        m.d.sync += [
            Value.cast(old).eq(Value.cast(read.data)),
            Value.cast(start).eq(self._start(m, tag)),
            added.eq(fresh),
        ]

        # Into SCALE, and back into the memory.
        total: Any = Signal(self._values, reset_less=True)
        writes = Signal()
        m.d.sync += writes.eq(valid[ADD] & ~tag[ADD].flush)
        for n in range(self._config.unit_word):
            m.d.sync += total[n].eq(Mux(tag[ADD].from_zero, start[n], old[n]) + added[n])
        m.d.comb += [
            write.addr.eq(tag[SCALE].address),
            write.data.eq(total),
            write.en.eq(writes),
            self.o.valid.eq(valid[SCALE]),
            self.o.payload.tag.eq(tag[SCALE]),
            self.o.payload.values.eq(total),
        ]
        return m

    def _start(self, m: Module, tag: Any) -> Value:
        """M before a sequence's first step, in stage READ."""
        if not self._config.initial:
            return Const(0)
        table = Table(self._values.size, depth=self._config.row_words, init=self._initial)
        m.submodules.initial = table
        wiring.connect(m, wiring.flipped(self.load_initial), table.load)
        m.d.comb += table.addr.eq(tag[TURN].address)
        return Mux(tag[READ].flush, 0, table.data)
