# SPDX-License-Identifier: Apache-2.0
"""The cell unit: words of pre-activations in, the state memory beside it, h's out every cycle."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ....golden.models.network import MAX_SHIFT
from ...cells.base import SKIP_LATENCY, STATE_LATENCY
from ...cells.catalogue import CELLS, cell_output, cell_word, reads, vector_bits
from ...parts.arithmetic import Rescale, sat16
from ...parts.memory import MemoryWrite, Table, block_ram, connect_write
from ...parts.pipeline import delay
from .collect import Collect

__all__ = ["CellUnit"]


class CellUnit(wiring.Component):
    """Collect the gates of some units, then run them through their cell, `width` units a cycle.

    While the units of one unit-word run, the next unit-word is collected: a unit-word takes
    max(its words, its count / width) cycles. `i.ready` falls only when both are taken.

    The first unit's `o.valid` comes `latency` cycles after the cycle in which its last word was
    accepted, or up to drain_rows - 1 cycles later behind another unit-word. Its state is written
    in the cycle of `o.valid`, with no interlock: a unit-word may name a state address again,
    as its own or as a skip, only if its last word is accepted `reuse_distance` or more cycles after
    that of the unit-word whose state it was. One that is accepted after `o` has shown the unit
    always satisfies this.

    Between the last unit of a layer and the first of the next (its unit 0) there are `gap` cycles,
    if any: then no layer meets a state of the one before too early.

    Every unit writes its state, those of a stateless cell too (c = 0, h = output).

    Parameters
    ----------
    drain_rows : int
        Units of a unit-word, at least 1.
    width : int
        Units a cycle, a power of two that divides drain_rows. State and vectors lie in as many
        banks, and a layer's first unit is at a multiple of it.
    cells : sequence of str
        Names in `CELLS`; a word's `cell` indexes this sequence. Only these cost hardware.
    state_depth : int
        Words of the state memory, at least 2: one a unit.
    gap : int
        Least cycles between two layers' units, as those that take the units need it; 0 is none.
    initial : sequence of int
        The state before a sequence's first step, {c[31:16], h[15:0]} for each word of state; None:
        it is 0, and needs no memory.
    vectors : sequence of int
        Initial words of the vector memory (`vector_layout`), which has one for each word of state
        and exists only where one of the cells reads it.

    Members
    -------
    i : In(stream.Signature(cell_word(...)))
    o : Out(stream.Signature(cell_output(), always_ready=True))
        In the order of the units; never waits.
    stall : In(1)
        No unit-word begins to run in the next cycle.
    host_addr : In(ceil_log2(state_depth))
    host_data : Out(32)
        {c[31:16], h[15:0]} of the state memory word that host_addr named a cycle before;
        undefined if that word was written in that cycle.
    load_vectors : In(MemoryWrite(state_depth, vector_bits(cells)))
        Writes the vector memory, while no unit is under way; only with that memory.
    load_initial : In(MemoryWrite(state_depth, 32))
        The same for the initial states.
    """

    i: stream.Interface
    o: stream.Interface
    stall: Signal
    host_addr: Signal
    host_data: Signal
    load_vectors: Any
    load_initial: Any

    def __init__(
        self,
        drain_rows: int,
        *,
        cells: Sequence[str] = ("lstm", "linear"),
        state_depth: int,
        gap: int = 0,
        vectors: Sequence[int] = (),
        initial: Sequence[int] | None = None,
        width: int = 1,
    ) -> None:
        if drain_rows < 1:
            raise ValueError(f"drain_rows must be at least 1, got {drain_rows!r}")
        if not cells or len(set(cells)) != len(cells) or not set(cells) <= CELLS.keys():
            raise ValueError(f"cells must be different names out of {list(CELLS)}, got {cells!r}")
        if state_depth < 2:
            raise ValueError(f"state_depth must be at least 2, got {state_depth!r}")
        if width < 1 or width & (width - 1) or drain_rows % width:
            raise ValueError(
                f"width must be a power of two that divides {drain_rows}, got {width!r}"
            )
        self.drain_rows = drain_rows
        self.width = width
        self.cells = tuple(cells)
        self.state_depth = state_depth
        self.gap = max(gap, self.state_distance) if gap else 0
        self.vectors = tuple(vectors)
        self.initial = initial
        word = cell_word(drain_rows, cells=cells, state_depth=state_depth)
        address = ceil_log2(state_depth)
        loads = {}
        if reads(cells, "vectors"):
            loads["load_vectors"] = In(MemoryWrite(state_depth, vector_bits(cells)))
        if initial is not None:
            loads["load_initial"] = In(MemoryWrite(state_depth, 32))
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "o": Out(stream.Signature(cell_output(width), always_ready=True)),
                "stall": In(1),
                "host_addr": In(address),
                "host_data": Out(32),
                **loads,
            }
        )

    @property
    def slots(self) -> int:
        """Most gates that one of the cells has."""
        return max(CELLS[name].GATES for name in self.cells)

    @property
    def latency(self) -> int:
        """Cycles from the last word of a unit-word to its first unit's h."""
        return 2 + self._cell_latency + 1

    @property
    def reuse_distance(self) -> int:
        """Least cycles between the last words of two unit-words with the same state address."""
        return self.latency - 1 + self.drain_rows - 1

    @property
    def state_distance(self) -> int:
        """Least cycles from a unit that runs to one that runs on the same state."""
        return self._cell_latency + 2

    @property
    def _cell_latency(self) -> int:
        return max(CELLS[name].LATENCY for name in self.cells)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.collect = collect = Collect(
            drain_rows=self.drain_rows,
            width=self.width,
            slots=self.slots,
            word=self.i.p.shape(),
            gap=self.gap,
        )
        wiring.connect(m, wiring.flipped(self.i), collect.i)
        m.d.comb += collect.stall.eq(self.stall)
        running, mask, unit = collect.running, collect.mask, collect.unit
        continues = [n for n, name in enumerate(self.cells) if CELLS[name].CONTINUES]
        starts = unit.first & ~unit.cell.matches(*continues) if continues else unit.first
        zero = delay(m, starts, STATE_LATENCY - 1, "zero")

        # What travels beside the cells; only the valid bit is ever reset.
        fields = ("cell", "state", "layer", "unit", "end")
        late = dict(zip(fields, self._late(m, [unit[field] for field in fields]), strict=True))
        valid = delay(m, running, self._cell_latency + 1, "valid", reset=True)
        out = {field: delay(m, late[field], 1, f"{field}_out") for field in fields[1:]}
        m.d.comb += [
            self.o.valid.eq(valid),
            *(self.o.p[field].eq(out[field]) for field in ("layer", "unit", "end")),
        ]

        host = []
        for lane in range(self.width):
            running_late: Value = valid
            if self.width > 1:
                there = delay(m, mask[lane], self._cell_latency + 1, f"there_{lane}")
                m.d.comb += self.o.p.mask[lane].eq(there)
                running_late = valid & there
            suffix = f"_{lane}" if self.width > 1 else ""
            address = out["state"][self._bank_bits :]
            h, word = self._lane(
                m, suffix, lane, collect.p[lane], unit, zero, late["cell"], address, running_late
            )
            m.d.comb += (self.o.p.h if self.width == 1 else self.o.p.h[lane]).eq(h)
            host.append(word)
        asked = delay(m, self.host_addr[: self._bank_bits], 1, "host_bank")
        m.d.comb += self.host_data.eq(host[0] if self.width == 1 else Array(host)[asked])
        return m

    def _lane(
        self,
        m: Module,
        suffix: str,
        lane: int,
        p: list[Value],
        unit: Any,
        zero: Value,
        cell_late: Value,
        address: Value,
        valid: Value,
    ) -> tuple[Value, Value]:
        """One unit's cells, between its banks' words: (what it puts out, the host's state word).

        cell_late, address, valid: of the unit whose results are there.
        """
        # The state of the running unit, STATE_LATENCY cycles later.
        memories, host = self._state(m, suffix)
        start = self._start(m, suffix, lane, unit)
        inputs: dict[str, Value] = {}
        for part, memory in memories.items():
            if reads(self.cells, part):
                port = memory.read_port()
                inputs[part] = Signal(signed(16), name=f"{part}{suffix}", reset_less=True)
                m.d.comb += port.addr.eq(unit.state[self._bank_bits :])
                read = delay(m, port.data, STATE_LATENCY - 2, f"{part}_read{suffix}")
                m.d.sync += inputs[part].eq(Mux(zero, start[part], read))
        if reads(self.cells, "vectors"):
            inputs["vectors"] = self._vectors(m, suffix, lane, unit)
        if reads(self.cells, "skip"):
            inputs["skip"] = self._skip(m, suffix, unit, memories["h"])

        # All cells run on whatever comes, each padded to the slowest.
        results: dict[str, list[Value]] = {"c": [], "h": []}
        if any(CELLS[name].HAS_OUT for name in self.cells):
            results["out"] = []
        for name in self.cells:
            m.submodules[f"{name}{suffix}"] = cell = CELLS[name]()
            m.d.comb += [gate.eq(p[slot]) for slot, gate in enumerate(cell.p)]
            m.d.comb += cell.c_exponent.eq(unit.c_exponent)
            m.d.comb += [
                Value.cast(getattr(cell, what)).eq(value)
                for what, value in inputs.items()
                if what in cell.READS
            ]
            if "vectors" in cell.READS:
                m.d.comb += cell.vector_shift.eq(unit.vector_shift)
            padding = self._cell_latency - cell.LATENCY
            found = {"c": cell.c_next, "h": cell.h_next}
            found["out"] = cell.out if cell.HAS_OUT else cell.h_next
            for part, values in results.items():
                values.append(delay(m, found[part], padding, f"{name}_{part}{suffix}"))

        after = {}
        for part, values in results.items():
            after[part] = Signal(signed(16), name=f"{part}_after{suffix}", reset_less=True)
            m.d.sync += after[part].eq(Array(values)[cell_late])
        for part, memory in memories.items():
            write = memory.write_port()
            m.d.comb += [
                write.addr.eq(address),
                write.data.eq(after[part]),
                write.en.eq(valid),
            ]
        return after.get("out", after["h"]), host

    @property
    def _rows(self) -> range:
        return range(self.drain_rows)

    @property
    def _bank_bits(self) -> int:
        return ceil_log2(self.width)

    @property
    def _bank_depth(self) -> int:
        return max(2, -(-self.state_depth // self.width))

    def _state(self, m: Module, suffix: str) -> tuple[dict[str, Any], Value]:
        """A lane's memories of h and, where a cell reads it, c, and the host's word of them."""
        memories, host = {}, {"c": Const(0, 16)}
        for part in ("c", "h"):
            if part == "h" or reads(self.cells, part):
                # No cell reads a word while it is written (`reuse_distance`).
                memory = block_ram(signed(16), depth=self._bank_depth)
                m.submodules[f"{part}_memory{suffix}"] = memories[part] = memory
                port = memory.read_port()
                m.d.comb += port.addr.eq(self.host_addr[self._bank_bits :])
                host[part] = port.data
        return memories, Cat(host["h"], host["c"])

    def _start(self, m: Module, suffix: str, lane: int, unit: Any) -> dict[str, Value]:
        """The running unit's state before the first step, STATE_LATENCY - 1 cycles later."""
        if self.initial is None:
            return {"c": Const(0), "h": Const(0)}
        m.submodules[f"initial{suffix}"] = table = Table(
            32, depth=self._bank_depth, init=self.initial[lane :: self.width]
        )
        self._load(m, self.load_initial, table.load, lane)
        m.d.comb += table.addr.eq(unit.state[self._bank_bits :])
        word = delay(m, table.data, STATE_LATENCY - 2, f"initial{suffix}")
        return {"c": word[16:], "h": word[:16]}

    def _vectors(self, m: Module, suffix: str, lane: int, unit: Any) -> Value:
        """The running unit's word of the vector memory, STATE_LATENCY cycles later."""
        # Nothing runs while it is loaded.
        m.submodules[f"vectors{suffix}"] = memory = block_ram(
            vector_bits(self.cells),
            depth=self._bank_depth,
            init=self.vectors[lane :: self.width],
        )
        write, read = memory.write_port(), memory.read_port()
        self._load(m, self.load_vectors, write, lane)
        m.d.comb += read.addr.eq(unit.state[self._bank_bits :])
        word: Value = delay(m, read.data, STATE_LATENCY - 1, f"vectors{suffix}")
        return word

    def _load(self, m: Module, load: Any, target: Any, lane: int) -> None:
        """Pass on the writes to one lane's bank."""
        here = load.addr[: self._bank_bits] == lane
        connect_write(m, load, target, where=here, low_bits=self._bank_bits)

    def _skip(self, m: Module, suffix: str, unit: Any, h_memory: Memory) -> Value:
        """The running unit's skip, SKIP_LATENCY cycles later."""
        m.submodules[f"skip{suffix}"] = rescale = Rescale(
            value_bits=16, shift_min=0, shift_max=MAX_SHIFT, out_bits=32
        )
        port = h_memory.read_port()
        m.d.comb += [
            port.addr.eq(unit.skip[self._bank_bits :]),
            rescale.value.eq(port.data),
            rescale.mult.eq(delay(m, unit.skip_mult, 1, f"skip_mult{suffix}")),
            rescale.shift.eq(delay(m, unit.skip_shift, 1, f"skip_shift{suffix}")),
        ]
        rest = SKIP_LATENCY - 1 - rescale.latency
        return delay(m, sat16(rescale.o), rest, f"skip{suffix}")

    def _late(self, m: Module, values: list[Value]) -> list[Value]:
        """`values` as they were when the results that now leave the cells entered them."""
        return [delay(m, v, self._cell_latency, f"late_{n}") for n, v in enumerate(values)]
