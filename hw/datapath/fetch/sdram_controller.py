# SPDX-License-Identifier: Apache-2.0
"""An SDRAM's controller: open rows, whole bursts, the next row opened meanwhile, refreshes."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.queue import Queue
from ...sdram_chips import INIT_REFRESHES, MODE_CYCLES, SdramChip
from .sdram_beats import SdramBeats, read_cycles
from .sdram_rows import SdramRows
from .sdram_words import (
    ALL_BANKS,
    Command,
    SdramPins,
    access_layout,
    column_access,
    word_beats,
    word_burst,
)


class _Timer:
    """Counts down to 0: `set(n)` in a cycle makes `done` hold from n cycles later on."""

    def __init__(self, m: Module, name: str, most: int, init: int = 0) -> None:
        self._left = Signal(range(max(most, init + 1, 2)), name=name, init=init)
        self.done: Value = self._left == 0
        with m.If(self._left != 0):
            m.d.sync += self._left.eq(self._left - 1)

    def set(self, m: Module, cycles: int) -> None:
        m.d.sync += self._left.eq(cycles - 1)

    def raise_to(self, m: Module, cycles: int) -> None:
        """The same where it would be done before that."""
        with m.If(self._left < cycles):
            m.d.sync += self._left.eq(cycles - 1)


def access_cycles(beats: int, cl: int) -> int:
    """Cycles from an access to its answer, where its row is open and nothing is before it."""
    burst = word_burst(beats)
    return 1 + (beats - burst) + read_cycles(cl, burst)


def queue_words(beats: int) -> int:
    """Accesses that wait for the data lines: enough to open two rows meanwhile."""
    return max(4, 32 // beats)


class SdramController(wiring.Component):
    """Reads and writes words of an SDRAM, in the order in which they are asked for.

    A word is a burst in one row, or several. Accesses wait in a queue while `SdramRows` looks ahead
    of them; in each cycle one command goes to the chip. The bursts come first, as they leave cycles
    between them; where a word is one beat they do not, and the rows come first. A refresh that is
    due lets the queue run empty and closes all rows.

    After a reset the mode is set anew; the time that the chip takes from power on is waited for
    only once. Refreshes go on after it, so that the chip's contents outlive it.

    LATENCY: `access_cycles` from an access to its answer, at the least.
    THROUGHPUT: a word in as many cycles as it has beats, while rows are open.

    Parameters
    ----------
    chip : SdramChip
    clock_mhz : float
        Of this domain, which turns the chip's times into cycles.
    word_bits : int
        The chip's data lines times a power of two.
    address_bits : int
        Of a word's address.

    Members
    -------
    i : in, stream of `access_layout`
    word : in
        What is written, from the write's turn until `written`.
    written : out, 1 bit
        The word that is there has been taken.
    response : out, stream of words, always ready
    pins : out, `SdramPins`
    """

    def __init__(
        self, chip: SdramChip, *, clock_mhz: float, word_bits: int, address_bits: int
    ) -> None:
        self._chip = chip
        self._beats = word_beats(chip, word_bits)
        self._burst = word_burst(self._beats)
        self._timing = chip.at(clock_mhz)
        self._address_bits = address_bits
        self._queue_words = queue_words(self._beats)
        super().__init__(
            {
                "i": In(stream.Signature(access_layout(address_bits))),
                "word": In(word_bits),
                "written": Out(1),
                "response": Out(stream.Signature(word_bits, always_ready=True)),
                "pins": Out(SdramPins(chip)),
            }
        )

    i: stream.Interface
    word: Signal
    written: Signal
    response: stream.Interface
    pins: Any

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip, timing, pins = self._chip, self._timing, self.pins
        m.submodules.rows = rows = SdramRows(
            chip, beats=self._beats, address_bits=self._address_bits, most=self._queue_words
        )
        m.submodules.queue = queue = Queue(
            column_access(chip, self._beats), depth=self._queue_words
        )
        m.submodules.beats = beats = SdramBeats(
            dq_bits=chip.dq_bits, beats=self._beats, cl=timing.cl
        )
        wiring.connect(m, wiring.flipped(self.i), rows.i)
        wiring.connect(m, rows.o, queue.i)
        wiring.connect(m, beats.response, wiring.flipped(self.response))
        m.d.comb += [
            pins.dq_o.eq(beats.dq_o),
            pins.dq_oe.eq(beats.dq_oe),
            beats.dq_i.eq(pins.dq_i),
            beats.word.eq(self.word),
            pins.cke.eq(1),
        ]
        # What each bank and the chip may do.
        burst, longest = self._burst, timing.ras + timing.wr + self._burst
        banks = range(1 << chip.bank_bits)
        open_for = [_Timer(m, f"open_for_{n}", timing.rcd) for n in banks]
        stays = [_Timer(m, f"stays_{n}", longest) for n in banks]
        closed = _Timer(m, "closed", timing.rp)
        apart = _Timer(m, "apart", timing.rrd)
        lines = _Timer(m, "lines", burst)
        to_write = _Timer(m, "to_write", timing.cl + burst + 2)

        # The next access, and the next row.
        running, row_first = Signal(), Const(int(burst == 1))
        # A reset masks the rest of a word that is being written, and so does what comes after it.
        m.d.sync += pins.dqm.eq(Mux(running, 0, ~0))
        access, go, close, activate = queue.o.payload, Signal(), Signal(), Signal()
        part = Signal(range(max(self._beats // burst, 2)))
        opening = rows.opening
        opened = Signal(range(self._queue_words + 2))
        ready = Array([each.done for each in open_for])[access.bank]
        ready &= ~access.opens | (opened != 0) | (part != 0)
        ready &= lines.done & (~access.write | to_write.done)
        may_close = Array([each.done for each in stays])[opening.bank]
        wants = running & opening.valid
        row_command = Signal()
        m.d.comb += [
            close.eq(wants & opening.close & may_close),
            activate.eq(wants & ~opening.close & closed.done & apart.done),
            go.eq(running & queue.o.valid & ready & ~(row_first & (close | activate))),
            row_command.eq((close | activate) & ~go),
            beats.read.eq(go & ~access.write),
            beats.write.eq(go & access.write),
            beats.first.eq(part == 0),
            beats.last.eq(part == self._beats // burst - 1),
            queue.o.ready.eq(go & beats.last),
            self.written.eq(beats.write & beats.first),
            rows.begun.eq(queue.o.ready),
            rows.begun_bank.eq(access.bank),
            rows.closing_done.eq(row_command & close),
            rows.opened.eq(row_command & activate),
        ]
        used = go & access.opens & (part == 0)
        m.d.sync += opened.eq(opened + rows.opened - used)
        self._commands(m, go, access, part, row_command, close, opening)
        with m.If(go):
            lines.set(m, burst)
            if self._beats > burst:
                m.d.sync += part.eq(part + 1)
            for n in banks:
                with m.If(access.bank == n):
                    with m.If(access.write):
                        stays[n].raise_to(m, burst - 1 + timing.wr)
                    with m.Else():
                        stays[n].raise_to(m, burst)
        with m.If(beats.read):
            to_write.set(m, timing.cl + burst + 1)
        with m.If(rows.closing_done):
            closed.set(m, timing.rp)
        with m.If(rows.opened):
            apart.set(m, timing.rrd)
            for n in banks:
                with m.If(opening.bank == n):
                    open_for[n].set(m, timing.rcd)
                    stays[n].set(m, timing.ras)

        quiet = ~queue.o.valid & ~opening.valid & Cat(*(each.done for each in stays)).all()
        self._upkeep(m, rows, running, quiet)
        return m

    def _commands(
        self,
        m: Module,
        go: Value,
        access: Any,
        part: Value,
        row_command: Value,
        close: Value,
        opening: Any,
    ) -> None:
        """The command of this cycle to the pins, unless `_upkeep` has one."""
        beats_log2 = self._beats.bit_length() - 1
        burst_log2 = self._burst.bit_length() - 1
        inside = part if self._beats > self._burst else Const(0, 0)
        self._say(m, Command.NOTHING)
        with m.If(go):
            column = Cat(Const(0, burst_log2), inside)[:beats_log2]
            self._say(m, Command.READ, access.bank, Cat(column, access.column))
            m.d.sync += self.pins.we_n.eq(~access.write)
        with m.Elif(row_command & close):
            self._say(m, Command.PRECHARGE, opening.bank)
        with m.Elif(row_command):
            self._say(m, Command.ACTIVATE, opening.bank, opening.row)

    def _say(self, m: Module, command: Command, bank: Any = 0, address: Any = 0) -> None:
        pins = self.pins
        m.d.sync += [
            pins.cs_n.eq(command == Command.NOTHING),
            pins.ras_n.eq(command >> 2),
            pins.cas_n.eq(command >> 1),
            pins.we_n.eq(command),
            pins.ba.eq(bank),
            pins.a.eq(address),
        ]

    def _upkeep(self, m: Module, rows: SdramRows, running: Signal, quiet: Value) -> None:
        """Power-up, mode and refreshes; `running`: between them."""
        timing, burst = self._timing, self._burst
        mode = timing.cl << 4 | burst.bit_length() - 1
        # A reset may come at any time: whatever the chip does then has ended by then.
        rest = timing.ras + timing.rfc + timing.wr + timing.cl + burst + 4
        pause = _Timer(m, "pause", max(timing.rfc, MODE_CYCLES, timing.rp), init=rest)
        powered = Signal(reset_less=True)
        since_power = Signal(range(timing.power_up + 1), reset_less=True)
        with m.If(~powered):
            m.d.sync += [
                since_power.eq(since_power + 1),
                powered.eq(since_power == timing.power_up - 1),
            ]
        due, interval = Signal(), Signal(range(timing.refi), init=timing.refi - 1)
        refreshes = Signal(range(INIT_REFRESHES + 1), init=INIT_REFRESHES)
        initial = Signal(init=1)
        m.d.comb += rows.hold.eq(~running | due)
        with m.FSM(name="upkeep"):
            with m.State("REST"), m.If(pause.done & powered):
                m.next = "CLOSE"
            with m.State("CLOSE"):
                self._say(m, Command.PRECHARGE, address=ALL_BANKS)
                m.d.comb += rows.closed.eq(1)
                pause.set(m, timing.rp)
                m.next = "REFRESH"
            with m.State("REFRESH"), m.If(pause.done):
                self._say(m, Command.REFRESH)
                m.d.sync += refreshes.eq(refreshes - 1)
                pause.set(m, timing.rfc)
                with m.If(refreshes == 1):
                    m.next = "MODE"
            with m.State("MODE"), m.If(pause.done):
                m.d.sync += initial.eq(0)
                with m.If(initial):
                    self._say(m, Command.MODE, address=mode)
                    pause.set(m, MODE_CYCLES)
                    m.next = "SETTLE"
                with m.Else():
                    m.next = "RUN"
            with m.State("SETTLE"), m.If(pause.done):
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                with m.If(due & quiet):
                    m.d.sync += [due.eq(0), refreshes.eq(1)]
                    m.next = "CLOSE"
        m.d.sync += interval.eq(interval - 1)
        with m.If(interval == 0):
            m.d.sync += [interval.eq(timing.refi - 1), due.eq(1)]
