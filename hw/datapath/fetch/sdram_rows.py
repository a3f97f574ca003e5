# SPDX-License-Identifier: Apache-2.0
"""Which row of an SDRAM is open in each bank, and the next one, ahead of its first access."""

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...sdram_chips import SdramChip
from .sdram_words import access_layout, column_access


def opening_layout(chip: SdramChip) -> data.StructLayout:
    """A row to be opened. close: the bank's open row must be closed first."""
    return data.StructLayout({"valid": 1, "close": 1, "bank": chip.bank_bits, "row": chip.row_bits})


class SdramRows(wiring.Component):
    """Turns accesses to words into accesses to rows that are open, or about to be.

    Goes ahead of the accesses that wait for the data lines: an access to a row that is not open
    asks for it and goes on to wait itself, so that the row is opened while the lines are busy with
    those before it. Rows follow each other from bank to bank, so that the next row is rarely in a
    bank that is still needed; where it is, it waits until the accesses to that bank have begun. One
    row is being opened at a time.

    LATENCY: none. THROUGHPUT: an access a cycle.

    Parameters
    ----------
    chip : SdramChip
    beats : int
        Of a word; its addresses count words.
    address_bits : int
    most : int
        Accesses that may wait behind this.

    Members
    -------
    i : in, stream of `access_layout`
    o : out, stream of `column_access`
    hold : in, 1 bit
        Nothing is taken.
    closed : in, 1 bit
        All banks have been closed; only while no access waits and no row is being opened.
    opening : out, `opening_layout`
        A row that must be opened.
    closing_done, opened : in, 1 bit
        Its bank is closed; it is open: both are being told to the chip.
    begun : in, 1 bit
        An access that came out has begun.
    begun_bank : in
        With begun: its bank.
    """

    def __init__(self, chip: SdramChip, *, beats: int, address_bits: int, most: int) -> None:
        self._chip = chip
        self._beats = beats
        self._most = most
        super().__init__(
            {
                "i": In(stream.Signature(access_layout(address_bits))),
                "o": Out(stream.Signature(column_access(chip, beats))),
                "hold": In(1),
                "closed": In(1),
                "opening": Out(opening_layout(chip)),
                "closing_done": In(1),
                "opened": In(1),
                "begun": In(1),
                "begun_bank": In(chip.bank_bits),
            }
        )

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    closed: Signal
    opening: data.View
    closing_done: Signal
    opened: Signal
    begun: Signal
    begun_bank: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        address = self.i.payload.address
        words_log2 = chip.column_bits - (self._beats.bit_length() - 1)
        bank = Signal(chip.bank_bits)
        row = Signal(chip.row_bits)
        m.d.comb += [
            bank.eq(address[words_log2:]),
            row.eq(address[words_log2 + chip.bank_bits :]),
        ]

        # Of each bank, as it will be when all accesses so far have begun: its row, and how many of
        # them have not.
        banks = range(1 << chip.bank_bits)
        is_open = [Signal(name=f"open_{n}") for n in banks]
        rows = [Signal(chip.row_bits, name=f"row_{n}", reset_less=True) for n in banks]
        waiting = [Signal(range(self._most + 2), name=f"waiting_{n}") for n in banks]
        idle = [Signal(name=f"idle_{n}", init=1) for n in banks]
        taken = Signal()
        for n in banks:
            more = taken & (bank == n)
            less = self.begun & (self.begun_bank == n)
            with m.If(more & ~less):
                m.d.sync += [waiting[n].eq(waiting[n] + 1), idle[n].eq(0)]
            with m.If(less & ~more):
                m.d.sync += [waiting[n].eq(waiting[n] - 1), idle[n].eq(waiting[n] == 1)]

        hit, free = Signal(), Signal()
        opening: Any = Signal(opening_layout(chip))
        m.d.comb += [
            self.opening.eq(opening),
            hit.eq(Array(is_open)[bank] & (Array(rows)[bank] == row)),
            free.eq(~opening.valid & Array(idle)[bank]),
            self.o.valid.eq(self.i.valid & ~self.hold & (hit | free)),
            self.o.payload.bank.eq(bank),
            self.o.payload.column.eq(address[:words_log2]),
            self.o.payload.write.eq(self.i.payload.write),
            self.o.payload.opens.eq(~hit),
            taken.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(taken),
        ]
        with m.If(self.closing_done):
            m.d.sync += opening.close.eq(0)
        with m.If(self.opened):
            m.d.sync += opening.valid.eq(0)
        with m.If(taken & ~hit):
            m.d.sync += [
                opening.valid.eq(1),
                opening.close.eq(Array(is_open)[bank]),
                opening.bank.eq(bank),
                opening.row.eq(row),
            ]
            for n in banks:
                with m.If(bank == n):
                    m.d.sync += [is_open[n].eq(1), rows[n].eq(row)]
        with m.If(self.closed):
            m.d.sync += [each.eq(0) for each in is_open]
        return m
