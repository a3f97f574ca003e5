# SPDX-License-Identifier: Apache-2.0
"""One lane of the cell unit: every kind of cell, between the memories of the lane's states."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ....golden.models.network import MAX_SHIFT
from ...cells.base import SKIP_LATENCY, STATE_LATENCY
from ...cells.catalogue import CELLS, constant_bits, reads, takes_turns, vector_bits
from ...parts.arithmetic import Rescale, sat16
from ...parts.memory import MemoryWrite, Table, block_ram, connect_write
from ...parts.pipeline import delay
from ..turns.means import means_layout, sums_layout

RESULT_CYCLES = 1
"""From the results of the cells to that of the unit's own kind, in a register."""


def cell_cycles(cells: Sequence[str]) -> int:
    """Cycles through the slowest of these cells, and so through each of them."""
    return max(CELLS[name].LATENCY for name in cells)


class CellLane(wiring.Component):
    """Take one unit a cycle: read its state, run its cell, write the state back.

    All cells run on whatever comes, each padded to the slowest; the unit's kind chooses the result.
    Nothing waits, and nothing keeps a unit from reading a state that is still under way.

    LATENCY: `cell_cycles` + `RESULT_CYCLES`. THROUGHPUT: a unit a cycle.

    Parameters
    ----------
    cells : sequence of str
        Names in `CELLS`.
    unit : StructLayout
        What comes with a unit: the fields of `cell_word` that the cells and the memories read.
    depth : int
        Words of the lane's memories, at least 2: one a unit. State addresses are in these words.
    vectors : sequence of int
        Initial words of the vector memory, which exists only where one of the cells reads it.
    initial : sequence of int
        The state before a sequence's first step, {c[31:16], h[15:0]}; None: 0, without a memory.

    Members
    -------
    p : in, signed 16 bits for each slot
        The unit's pre-activations.
    unit : in, `unit`
        With p.
    state, skip : in, range(depth)
        With p: addresses of the unit's state, and of the h that its skip reads; skip only where
        one of the cells reads it.
    constants : in, `constant_bits(cells)` bits
        Those of the layer, CONSTANT_LATENCY cycles after p; only where one of the cells reads them.
    starts : in, 1 bit
        STATE_LATENCY - 1 cycles after p: the state is the initial one.
    cell : in, range(len(cells))
        `cell_cycles` after p: the unit's kind.
    done : in, 1 bit
        A cycle later: there is a unit whose state is to be written.
    done_state : in, range(depth)
        With done: its address.
    h : out, signed 16 bits
        With done: the unit's h, or what its cell puts out instead.
    host_addr : in, range(depth)
    host_data : out, 32 bits
        {c[31:16], h[15:0]} of the word that host_addr named a cycle before.
    sums, means : out, in, `sums_layout(cells)`, `means_layout(cells)`
        What the cells read means of, each in its own cycle, and these; only where one takes turns.
    seen_state, seen_first : in, range(depth), 1 bit
        A unit whose c is asked for, and that it is the initial one; only where one of the cells
        has its gates see it before they are normalised ("norm_c").
    seen_c : out, signed(16)
        That, STATE_LATENCY cycles later.
    load_vectors, load_initial : in, `MemoryWrite`
        Write the vectors and the initial states, while no unit is under way; each only with its
        memory.
    """

    def __init__(
        self,
        *,
        cells: Sequence[str],
        unit: StructLayout,
        depth: int,
        vectors: Sequence[int] = (),
        initial: Sequence[int] | None = None,
    ) -> None:
        self.cells = tuple(cells)
        self.depth = depth
        self._vectors_init = vectors
        self._initial = initial
        self._cycles = cell_cycles(cells)
        self._has_vectors, self._has_skip = reads(cells, "vectors"), reads(cells, "skip")
        slots = max(CELLS[name].GATES for name in cells)
        address = ceil_log2(depth)
        optional: dict[str, Any] = {}
        if self._has_vectors:
            optional["load_vectors"] = In(MemoryWrite(depth, vector_bits(cells)))
        if initial is not None:
            optional["load_initial"] = In(MemoryWrite(depth, 32))
        if self._has_skip:
            optional["skip"] = In(address)
        if reads(cells, "constants"):
            optional["constants"] = In(constant_bits(cells))
        if reads(cells, "norm_c"):
            optional |= {"seen_state": In(address), "seen_first": In(1), "seen_c": Out(signed(16))}
        if takes_turns(cells):
            optional |= {"sums": Out(sums_layout(cells)), "means": In(means_layout(cells))}
        super().__init__(
            {
                "p": In(ArrayLayout(signed(16), slots)),
                "unit": In(unit),
                "state": In(address),
                "starts": In(1),
                "cell": In(range(len(cells))),
                "done": In(1),
                "done_state": In(address),
                "h": Out(signed(16)),
                "host_addr": In(address),
                "host_data": Out(32),
                **optional,
            }
        )

    p: Any
    unit: Any
    state: Signal
    skip: Signal
    constants: Signal
    starts: Signal
    cell: Signal
    done: Signal
    done_state: Signal
    h: Signal
    host_addr: Signal
    host_data: Signal
    seen_state: Signal
    seen_first: Signal
    seen_c: Signal
    sums: Any
    means: Any
    load_vectors: Any
    load_initial: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memories = self._memories(m)
        inputs = self._states(m, memories)
        if self._has_vectors:
            inputs["vectors"] = self._vectors(m)
        if reads(self.cells, "constants"):
            inputs["constants"] = self.constants
        if self._has_skip:
            inputs["skip"] = self._skip(m, memories["h"])

        results: dict[str, list[Value]] = {"c": [], "h": []}
        if any(CELLS[name].HAS_OUT for name in self.cells):
            results["out"] = []
        for name in self.cells:
            m.submodules[name] = cell = CELLS[name]()
            m.d.comb += [gate.eq(self.p[slot]) for slot, gate in enumerate(cell.p)]
            m.d.comb += cell.c_exponent.eq(self.unit.c_exponent)
            m.d.comb += [
                Value.cast(getattr(cell, what)).eq(value)
                for what, value in inputs.items()
                if what in cell.READS
            ]
            if cell.READS & {"vectors", "vector_shift"}:
                m.d.comb += cell.vector_shift.eq(self.unit.vector_shift)
            for n in cell.MEANS:
                mean, total = getattr(cell, f"mean_{n}"), getattr(cell, f"sum_{n}")
                m.d.comb += [mean.eq(self.means[f"{name}_{n}"]), self.sums[f"{name}_{n}"].eq(total)]
            found = {"c": cell.c_next, "h": cell.h_next}
            found["out"] = cell.out if cell.HAS_OUT else cell.h_next
            padding = self._cycles - cell.LATENCY
            for part, values in results.items():
                values.append(delay(m, found[part], padding, f"{name}_{part}"))

        after = {}
        for part, values in results.items():
            after[part] = Signal(signed(16), name=f"{part}_after", reset_less=True)
            m.d.sync += after[part].eq(Array(values)[self.cell])
        for part, memory in memories.items():
            write = memory.write_port()
            m.d.comb += [
                write.addr.eq(self.done_state),
                write.data.eq(after[part]),
                write.en.eq(self.done),
            ]
        m.d.comb += self.h.eq(after.get("out", after["h"]))
        return m

    def _memories(self, m: Module) -> dict[str, Any]:
        """The memories of h and, where a cell reads it, c; with the host's view of both."""
        memories, host = {}, {"c": Const(0, 16)}
        for part in ("c", "h"):
            if part == "h" or reads(self.cells, part):
                # No cell reads a word while it is written (`CellUnit.reuse_distance`).
                memory = block_ram(signed(16), depth=self.depth)
                m.submodules[f"{part}_memory"] = memories[part] = memory
                port = memory.read_port()
                m.d.comb += port.addr.eq(self.host_addr)
                host[part] = port.data
        m.d.comb += self.host_data.eq(Cat(host["h"], host["c"]))
        return memories

    def _states(self, m: Module, memories: dict[str, Any]) -> dict[str, Value]:
        """The unit's c and h, as far as a cell reads them, STATE_LATENCY cycles after p."""
        start = self._start(m, self.state, "initial")
        states: dict[str, Value] = {}
        for part, memory in memories.items():
            if reads(self.cells, part):
                states[part] = self._read(m, memory, self.state, self.starts, start[part], part)
        if reads(self.cells, "norm_c"):
            begins = delay(m, self.seen_first, STATE_LATENCY - 1, "seen_first")
            before = self._start(m, self.seen_state, "seen_initial")["c"]
            seen = self._read(m, memories["c"], self.seen_state, begins, before, "seen")
            m.d.comb += self.seen_c.eq(seen)
        return states

    def _read(
        self, m: Module, memory: Any, state: Value, starts: Value, start: Value, name: str
    ) -> Value:
        """A word of a state memory, STATE_LATENCY cycles after its address, or what it starts from;
        `starts` and `start` come a cycle before."""
        port = memory.read_port()
        m.d.comb += port.addr.eq(state)
        word = Signal(signed(16), name=name, reset_less=True)
        read = delay(m, port.data, STATE_LATENCY - 2, f"{name}_read")
        m.d.sync += word.eq(Mux(starts, start, read))
        return word

    def _start(self, m: Module, state: Value, name: str) -> dict[str, Value]:
        """A unit's state before the first step, STATE_LATENCY - 1 cycles after its address."""
        if self._initial is None:
            return {"c": Const(0), "h": Const(0)}
        m.submodules[name] = table = Table(32, depth=self.depth, init=self._initial)
        connect_write(m, self.load_initial, table.load)
        m.d.comb += table.addr.eq(state)
        word = delay(m, table.data, STATE_LATENCY - 2, name)
        return {"c": word[16:], "h": word[:16]}

    def _vectors(self, m: Module) -> Value:
        """The unit's word of the vector memory, STATE_LATENCY cycles after p."""
        bits = vector_bits(self.cells)
        m.submodules.vectors = table = Table(bits, depth=self.depth, init=self._vectors_init)
        connect_write(m, self.load_vectors, table.load)
        m.d.comb += table.addr.eq(self.state)
        word: Value = delay(m, table.data, STATE_LATENCY - 1, "vectors")
        return word

    def _skip(self, m: Module, h_memory: Any) -> Value:
        """The unit's skip, sat16(rshr(x * skip_mult, skip_shift)), SKIP_LATENCY cycles after p."""
        m.submodules.rescale_skip = rescale = Rescale(
            value_bits=16, shift_min=0, shift_max=MAX_SHIFT, out_bits=32
        )
        port = h_memory.read_port()
        m.d.comb += [
            port.addr.eq(self.skip),
            rescale.value.eq(port.data),
            rescale.mult.eq(delay(m, self.unit.skip_mult, 1, "skip_mult")),
            rescale.shift.eq(delay(m, self.unit.skip_shift, 1, "skip_shift")),
        ]
        rest = SKIP_LATENCY - 1 - rescale.latency
        return delay(m, sat16(rescale.o), rest, "skip")
