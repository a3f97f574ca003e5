# SPDX-License-Identifier: Apache-2.0
"""Control, status, counters and thresholds, and the windows to state and image memories."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..datapath.detect.words import ThresholdWrite
from ..parts.memory import block_ram
from ..words import LIST_BITS
from . import register_map as rmap
from .axi import RegisterBusSignature
from .counters import Counters, NoCounters
from .register_map import REGISTER

WIDE = ("STEPS", "CYCLES", "BUSY", "MACS_DONE", "MACS_DENSE")
"""The 64-bit counters."""

NARROW = ("FRAME_ERRORS", "SEQUENCE_CUTS")
"""The 32-bit counters."""


class ImageWriteSignature(wiring.Signature):
    """Writes into the image window, from the side that writes.

    A write is made in a cycle with valid and ready; `error` says in that cycle that no memory is
    at `addr` (32-bit words from the start of the image window).
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "addr": Out(ceil_log2(rmap.IMAGE_SPACE)),
                "data": Out(32),
                "valid": Out(1),
                "ready": In(1),
                "error": In(1),
            }
        )


class StateReadSignature(wiring.Signature):
    """Reads of the state memory, from the side that reads.

    `addr` holds with `en` until a cycle with `ready`; `data` is the word in the cycle after that.
    """

    def __init__(self, depth: int) -> None:
        super().__init__(
            {
                "addr": Out(ceil_log2(depth)),
                "en": Out(1),
                "ready": In(1),
                "data": In(32),
            }
        )


class Registers(wiring.Component):
    """The register map of `register_map` over a register bus.

    Every register, thresholds included, is at its initial value after reset.

    LATENCY: a register reads in 1 to 3 cycles, a state word in 3 or more, while `state.ready` is
    low; a counter in a few visits of `Counters`. Any read is less than 100 cycles when idle.

    Parameters
    ----------
    thresholds : sequence of int
        The initial threshold of every list, 0..65535; their number is the number of lists.
    state_words : int
        Words in the state memory.
    lanes : int
        The most multiply-accumulates that one cycle can do.
    counted : bool
        Whether there are counters; otherwise they read 0.

    Members
    -------
    bus : in, `RegisterBusSignature`
    busy : in, 1 bit, level
        A frame has begun to arrive and its outputs are not all delivered.
    step_done : in, 1 bit, pulse
        A frame's last output word was delivered.
    dense_macs : in, 32 bits
        Multiply-accumulates of one dense step; added at step_done.
    beat : in, 1 bit, level
        A weight word enters the MAC array in this cycle.
    macs_done : in, range(lanes + 1)
        Multiply-accumulates of this cycle; 0 when there are none.
    frame_error : in, 1 bit, pulse
        A frame's tlast was early or late.
    sequence_cut : in, 1 bit, pulse
        A sequence was longer than the sequence buffer.
    list_events : in, 1 bit for each list
        Bit n is a pulse: one event of list n.
    new_sequence : out, 1 bit, level
        The next frame starts a new sequence, asked for by CONTROL.
    new_sequence_taken : in, 1 bit, pulse
        The frame that starts has begun; lowers new_sequence.
    set_threshold : out, `ThresholdWrite`
        A list's new threshold, one cycle after the bus wrote it. After a reset every list's initial
        one comes, one every third cycle, and the bus waits.
    ready : out, 1 bit
        Every list has its threshold since the last reset; no frame may begin before.
    state : out, `StateReadSignature(state_words)`
        The reader of the bus waits while `ready` is low, so the core must not withhold it for ever.
    image : out, `ImageWriteSignature`
        Writes while busy are answered SLVERR and not passed on.
    """

    bus: Any
    busy: Signal
    step_done: Signal
    dense_macs: Signal
    beat: Signal
    macs_done: Signal
    frame_error: Signal
    sequence_cut: Signal
    list_events: Signal
    new_sequence: Signal
    new_sequence_taken: Signal
    set_threshold: data.View
    ready: Signal
    state: Any
    image: Any

    def __init__(
        self, *, thresholds: Sequence[int], state_words: int, lanes: int, counted: bool = True
    ) -> None:
        if not 0 < len(thresholds) <= rmap.MAX_LISTS:
            raise ValueError(f"there must be 1..{rmap.MAX_LISTS} lists, not {len(thresholds)}")
        for threshold in thresholds:
            if not 0 <= threshold < 1 << rmap.THRESHOLD_BITS:
                raise ValueError(f"a threshold must be 0..65535, not {threshold!r}")
        if not 0 < state_words <= rmap.STATE_SPACE:
            raise ValueError(f"state_words must be 1..{rmap.STATE_SPACE}, not {state_words!r}")
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes!r}")
        self.thresholds = tuple(thresholds)
        self.lists = len(self.thresholds)
        self.state_words = state_words
        self.lanes = lanes
        self._kind = Counters if counted else NoCounters
        super().__init__(
            {
                "bus": In(RegisterBusSignature()),
                "busy": In(1),
                "step_done": In(1),
                "dense_macs": In(32),
                "beat": In(1),
                "macs_done": In(range(lanes + 1)),
                "frame_error": In(1),
                "sequence_cut": In(1),
                "list_events": In(self.lists),
                "new_sequence": Out(1),
                "new_sequence_taken": In(1),
                "set_threshold": Out(ThresholdWrite),
                "ready": Out(1),
                "state": Out(StateReadSignature(state_words)),
                "image": Out(ImageWriteSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # One per list, behind the others.
        amounts = {
            "STEPS": self.step_done,
            "CYCLES": self.busy,
            "BUSY": self.beat,
            "MACS_DONE": self.macs_done,
            "MACS_DENSE": Mux(self.step_done, self.dense_macs, 0),
            "FRAME_ERRORS": self.frame_error,
            "SEQUENCE_CUTS": self.sequence_cut,
        } | {n: self.list_events[n] for n in range(self.lists)}
        m.submodules.counters = counters = self._kind([len(a) for a in amounts.values()])
        m.d.comb += [counters.amount(n).eq(a) for n, a in enumerate(amounts.values())]
        self._index = {name: n for n, name in enumerate(amounts)}

        # Thresholds as they are, and behind them those that a reset restores.
        m.submodules.thresholds = thresholds = block_ram(
            rmap.THRESHOLD_BITS,
            depth=2 * rmap.MAX_LISTS,
            init=[*self.thresholds, *[0] * (rmap.MAX_LISTS - self.lists), *self.thresholds],
            force=True,
        )
        threshold = thresholds.read_port()
        found, telling = Signal(rmap.THRESHOLD_BITS, reset_less=True), Signal()
        m.d.sync += found.eq(threshold.data)
        self._writes(m, thresholds.write_port(), threshold.addr, found, telling, counters)
        self._reads(m, threshold.addr, found, telling, counters)
        return m

    def _writes(
        self,
        m: Module,
        write: Any,
        place: Value,
        found: Signal,
        telling: Signal,
        counters: Counters,
    ) -> None:
        """place, found: a threshold's address in the memory; it, two cycles later.

        write: the memory's port; it is written as the encoders are told.
        """
        bus, image, lists = self.bus, self.image, REGISTER["THRESHOLD"].address >> 2
        byte = Signal(rmap.ADDRESS_BITS)
        number = bus.w_addr[:LIST_BITS]
        m.d.comb += [
            byte.eq(bus.w_addr << 2),
            image.addr.eq(bus.w_addr),
            image.data.eq(bus.w_data),
            bus.w_error.eq(1),
            bus.w_ready.eq(~telling),
        ]
        new = self.set_threshold
        # Nor must whatever the register holds before a reset be written while it lasts.
        en = new.en & ~ResetSignal(allow_reset_less=True)
        m.d.comb += [write.addr.eq(new.list), write.data.eq(new.value), write.en.eq(en)]
        # The encoders keep thresholds in memories, which a reset does not touch: tell them again.
        told, looked_up = Signal(range(self.lists + 1)), Signal(2)
        m.d.comb += telling.eq(told != self.lists)
        m.d.sync += [
            self.ready.eq(~telling),
            new.en.eq(0),
            new.list.eq(Mux(telling, told, number)),
            new.value.eq(Mux(telling, found, bus.w_data[: rmap.THRESHOLD_BITS])),
            counters.clear.eq(0),
        ]
        m.d.sync += looked_up.eq(Cat(telling & ~looked_up.any(), looked_up[0]))
        with m.If(telling):
            m.d.comb += place.eq(rmap.MAX_LISTS + told[:LIST_BITS])
            with m.If(looked_up[1]):
                m.d.sync += [told.eq(told + 1), new.en.eq(1)]
        with m.If(self.new_sequence_taken):
            m.d.sync += self.new_sequence.eq(0)
        with m.If(bus.w_valid & ~telling):
            with m.If(byte == REGISTER["CONTROL"].address):
                m.d.comb += bus.w_error.eq(0)
                m.d.sync += counters.clear.eq(bus.w_data[1])
                with m.If(bus.w_data[0]):
                    m.d.sync += self.new_sequence.eq(1)
            here = bus.w_addr[LIST_BITS:] == lists >> LIST_BITS
            in_range = ~bus.w_data[rmap.THRESHOLD_BITS :].any()
            with m.If(here & (number < self.lists) & in_range):
                m.d.comb += bus.w_error.eq(0)
                m.d.sync += new.en.eq(1)
            with m.If((byte >= REGISTER["IMAGE"].address) & ~self.busy):
                m.d.comb += [
                    image.valid.eq(1),
                    bus.w_ready.eq(image.ready),
                    bus.w_error.eq(image.error),
                ]

    def _named(self, m: Module) -> dict[str, Signal]:
        """Which register the bus's address names, a cycle after it is there."""
        address = self.bus.r_addr
        byte, start = address << 2, REGISTER["STATE"].address
        number, block = address[:LIST_BITS], address[LIST_BITS:]
        here: dict[str, Value] = {"STATE": (byte >= start) & (byte < start + 4 * self.state_words)}
        for name in ("EVENTS", "THRESHOLD"):
            first = REGISTER[name].address >> 2 >> LIST_BITS
            here[name] = (block == first) & (number < self.lists)
        for name in ("ID", "VERSION", "STATUS", *WIDE, *NARROW):
            here[name] = address == REGISTER[name].address >> 2
        for name in WIDE:
            here[f"{name}_HIGH"] = address == (REGISTER[name].address >> 2) + 1
        named = {name: Signal(name=f"at_{name}") for name in here}
        m.d.sync += [named[name].eq(value) for name, value in here.items()]
        return named

    def _reads(
        self, m: Module, place: Value, found: Signal, telling: Signal, counters: Counters
    ) -> None:
        """place, found: a threshold's address in the memory; it, two cycles later."""
        bus, state = self.bus, self.state
        number = bus.r_addr[:LIST_BITS]
        answer, high = Signal(32), Signal(32)
        word = Signal(32, reset_less=True)
        m.d.sync += word.eq(state.data)
        m.d.comb += bus.r_data.eq(answer)
        with m.If(~telling):
            m.d.comb += place.eq(number)

        # By register: where its value comes from, and what is set for that.
        sources: dict[str, tuple[str, Any]] = {
            "ID": ("ANSWER", answer.eq(rmap.ID_VALUE)),
            "VERSION": ("ANSWER", answer.eq(rmap.VERSION_VALUE)),
            "STATUS": ("ANSWER", answer.eq(self.busy)),
            **{n: ("COUNT", counters.index.eq(self._index[n])) for n in (*WIDE, *NARROW)},
            **{f"{name}_HIGH": ("ANSWER", answer.eq(high)) for name in WIDE},
            "EVENTS": ("COUNT", counters.index.eq(self._index[0] + number)),
            "THRESHOLD": ("THRESHOLD", []),
            "STATE": ("STATE", []),
        }
        named = self._named(m)
        with m.FSM(name="reader"):
            with m.State("IDLE"), m.If(bus.r_en):
                m.next = "FIND"
            with m.State("FIND"):
                m.next = "ERROR"
                for name, (source, sets) in sources.items():
                    with m.If(named[name]):
                        m.d.sync += sets
                        m.next = source
            with m.State("ANSWER"):
                m.d.comb += bus.r_valid.eq(1)
                m.next = "IDLE"
            with m.State("ERROR"):
                m.d.comb += [bus.r_valid.eq(1), bus.r_error.eq(1)]
                m.next = "IDLE"
            # A counter, whose upper half is kept for the read that follows.
            with m.State("COUNT"):
                m.d.comb += counters.ask.eq(1)
                m.next = "COUNTED"
            with m.State("COUNTED"), m.If(counters.valid):
                m.d.sync += answer.eq(counters.value)
                with m.If(counters.index < len(WIDE)):
                    m.d.sync += high.eq(counters.value[32:])
                m.next = "ANSWER"
            # A threshold: address, memory, register.
            with m.State("THRESHOLD"), m.If(~telling):
                m.next = "LOOKED_UP"
            with m.State("LOOKED_UP"):
                m.next = "FOUND"
            with m.State("FOUND"):
                m.d.sync += answer.eq(found)
                m.next = "ANSWER"
            # A word of the state memory: address, memory, register.
            with m.State("STATE"):
                m.d.comb += [state.en.eq(1), state.addr.eq(bus.r_addr)]
                with m.If(state.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.next = "WORD"
            with m.State("WORD"):
                m.d.sync += answer.eq(word)
                m.next = "ANSWER"
