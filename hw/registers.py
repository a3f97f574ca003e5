# SPDX-License-Identifier: Apache-2.0
"""Control, status, counters and thresholds, and the windows to state and image memories."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from . import register_map as rmap
from .axi import RegisterBusSignature
from .delta import ThresholdWrite
from .register_map import REGISTER

WIDE = ("STEPS", "CYCLES", "BUSY", "MACS_DONE", "MACS_DENSE")
"""The 64-bit counters."""


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

    LATENCY: a register reads in 1 cycle; a state word in 2, or more while `state.ready` is low.

    Parameters
    ----------
    thresholds: the initial threshold of every list, 0..65535; their number is the number of lists.
    state_words: words in the state memory.
    lanes: the most multiply-accumulates that one cycle can do.

    Members
    -------
    bus: In(RegisterBusSignature()).
    busy: In(1), level: a frame has begun to arrive and its outputs are not all delivered.
    step_done: In(1), pulse: a frame's last output word was delivered.
    dense_macs: In(32), multiply-accumulates of one dense step; added at step_done.
    beat: In(1), level: a weight word enters the MAC array in this cycle.
    macs_done: In(range(lanes + 1)), multiply-accumulates of this cycle; 0 when there are none.
    frame_error: In(1), pulse: a frame's tlast was early or late.
    sequence_cut: In(1), pulse: a sequence was longer than the sequence buffer.
    list_events: In(number of lists), bit n is a pulse: one event of list n.
    new_sequence: Out(1), level: the next frame starts a new sequence, asked for by CONTROL.
    new_sequence_taken: In(1), pulse: the frame that starts has begun; lowers new_sequence.
    set_threshold: Out(ThresholdWrite): a list's new threshold, one cycle after the bus wrote it.
        After a reset every list's initial one comes, one per cycle, and the bus waits meanwhile.
    state: Out(StateReadSignature(state_words)). The reader of the bus waits while `ready` is low,
        so the core must not withhold it for ever.
    image: Out(ImageWriteSignature()). Writes while busy are answered SLVERR and not passed on.
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
    state: Any
    image: Any

    def __init__(self, *, thresholds: Sequence[int], state_words: int, lanes: int) -> None:
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
                "state": Out(StateReadSignature(state_words)),
                "image": Out(ImageWriteSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        threshold = Array(
            Signal(rmap.THRESHOLD_BITS, init=init, name=f"threshold_{n}")
            for n, init in enumerate(self.thresholds)
        )
        clear = Signal()
        counters, events = self._counters(m, clear)
        self._writes(m, threshold, clear)
        self._reads(m, threshold, counters, events)
        return m

    def _counters(self, m: Module, clear: Signal) -> tuple[dict[str, Signal], Array]:
        """Counters by name, and one per list. Clearing wins over counting."""
        amounts: dict[str, Value] = {
            "STEPS": self.step_done,
            "CYCLES": self.busy,
            "BUSY": self.beat,
            "MACS_DONE": self.macs_done,
            "MACS_DENSE": Mux(self.step_done, self.dense_macs, 0),
            "FRAME_ERRORS": self.frame_error,
            "SEQUENCE_CUTS": self.sequence_cut,
        }
        counters = {}
        for name, amount in amounts.items():
            counter = counters[name] = Signal(64 if name in WIDE else 32, name=name.lower())
            m.d.sync += counter.eq(Mux(clear, 0, counter + amount))
        events = Array(Signal(32, name=f"events_{n}") for n in range(self.lists))
        for n in range(self.lists):
            m.d.sync += events[n].eq(Mux(clear, 0, events[n] + self.list_events[n]))
        return counters, events

    def _writes(self, m: Module, threshold: Array, clear: Signal) -> None:
        bus, image = self.bus, self.image
        byte = Signal(rmap.ADDRESS_BITS)
        m.d.comb += [
            byte.eq(bus.w_addr << 2),
            image.addr.eq(bus.w_addr),
            image.data.eq(bus.w_data),
            bus.w_error.eq(1),
        ]
        # The encoders keep thresholds in memories, which a reset does not touch: tell them again.
        told = Signal(range(self.lists + 1))
        m.d.comb += bus.w_ready.eq(told == self.lists)
        m.d.sync += self.set_threshold.en.eq(0)
        with m.If(told != self.lists):
            m.d.sync += [
                told.eq(told + 1),
                self.set_threshold.en.eq(1),
                self.set_threshold.list.eq(told),
                self.set_threshold.value.eq(threshold[told]),
            ]
        with m.If(self.new_sequence_taken):
            m.d.sync += self.new_sequence.eq(0)
        with m.If(bus.w_valid & (told == self.lists)):
            with m.If(byte == REGISTER["CONTROL"].address):
                m.d.comb += [bus.w_error.eq(0), clear.eq(bus.w_data[1])]
                with m.If(bus.w_data[0]):
                    m.d.sync += self.new_sequence.eq(1)
            for n in range(self.lists):
                with m.If(byte == REGISTER["THRESHOLD"].at(n)):
                    in_range = bus.w_data < (1 << rmap.THRESHOLD_BITS)
                    m.d.comb += bus.w_error.eq(~in_range)
                    with m.If(in_range):
                        m.d.sync += [
                            threshold[n].eq(bus.w_data),
                            self.set_threshold.en.eq(1),
                            self.set_threshold.list.eq(n),
                            self.set_threshold.value.eq(bus.w_data),
                        ]
            with m.If((byte >= REGISTER["IMAGE"].address) & ~self.busy):
                m.d.comb += [
                    image.valid.eq(1),
                    bus.w_ready.eq(image.ready),
                    bus.w_error.eq(image.error),
                ]

    def _reads(
        self, m: Module, threshold: Array, counters: dict[str, Signal], events: Array
    ) -> None:
        bus, state = self.bus, self.state
        byte = Signal(rmap.ADDRESS_BITS)
        index = Signal(range(self.lists))
        # The answer is registered: the multiplexer over all registers ends here.
        answer = Signal(32)
        high = Signal(32)
        m.d.comb += [byte.eq(bus.r_addr << 2), index.eq(bus.r_addr)]

        with m.FSM(name="reader"):
            with m.State("IDLE"), m.If(bus.r_en):
                m.next = "ERROR"
                for name, value in self._words(counters).items():
                    with m.If(byte == name):
                        m.d.sync += answer.eq(high if value is None else value[:32])
                        m.next = "ANSWER"
                        if value is not None and len(value) > 32:
                            m.d.sync += high.eq(value[32:])
                for array, values in (("THRESHOLD", threshold), ("EVENTS", events)):
                    start = REGISTER[array].address
                    with m.If((byte >= start) & (byte < start + 4 * self.lists)):
                        m.d.sync += answer.eq(values[index])
                        m.next = "ANSWER"
                start = REGISTER["STATE"].address
                with m.If((byte >= start) & (byte < start + 4 * self.state_words)):
                    m.next = "STATE"
            with m.State("ANSWER"):
                m.d.comb += [bus.r_valid.eq(1), bus.r_data.eq(answer)]
                m.next = "IDLE"
            with m.State("ERROR"):
                m.d.comb += [bus.r_valid.eq(1), bus.r_error.eq(1)]
                m.next = "IDLE"
            with m.State("STATE"):
                m.d.comb += [state.en.eq(1), state.addr.eq(bus.r_addr)]
                with m.If(state.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [bus.r_valid.eq(1), bus.r_data.eq(state.data)]
                m.next = "IDLE"

    def _words(self, counters: dict[str, Signal]) -> dict[int, Value | None]:
        """What is read at a byte address; None is the high word that the last low word left."""
        words: dict[int, Value | None] = {
            REGISTER["ID"].address: Value.cast(rmap.ID_VALUE),
            REGISTER["VERSION"].address: Value.cast(rmap.VERSION_VALUE),
            REGISTER["STATUS"].address: self.busy,
        }
        for name, counter in counters.items():
            words[REGISTER[name].address] = counter
            if name in WIDE:
                words[REGISTER[name].address + 4] = None
        return words
