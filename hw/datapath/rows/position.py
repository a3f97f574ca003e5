# SPDX-License-Identifier: Apache-2.0
"""Where in a pass the accumulators are: which D-word is next, and what it begins and ends."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from ...config import AcceleratorConfig
from ...words import UNIT_BITS, pass_entry, row_pass


class RowPosition(wiring.Component):
    """Goes through a pass: unit-word by unit-word, and through the pass's entries in each of them.

    What there is to know of the next D-word is decided a cycle ahead: all outputs are registers.

    THROUGHPUT: a D-word a cycle, and no cycle between two passes.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    load : in, 1 bit
        Begins a pass in the next cycle, whatever the one before has left.
    coming : in, `row_pass`
        With load: the pass.
    coming_empty : in, 1 bit
        With load: no sums come for the pass, as its list has no events.
    advance : in, 1 bit
        Goes on to the next D-word.
    job, empty : out, `row_pass`, 1 bit
        The pass that runs, and whether no sums come for it.
    entry : out, `pass_entry`
        The D-word's.
    address, row : out, range(row_words)
        Its address in M, and that of its row parameters: the same number twice, as each drives
        memories on its own side of the chip.
    unit_word : out, range(chunk_words)
        Its unit-word's index in the pass.
    unit : out, 12 bits
        Its first unit's index in the layer.
    no_sums : out, 1 bit
        It comes without sums: a flush, or `empty`.
    first_entry, last_entry : out, 1 bit
        It is its unit-word's first, or last.
    last_unit_word, last : out, 1 bit
        It is of the pass's last unit-word; it is the pass's last.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._units = config.unit_word
        self._unit_bits = bits_for(config.states - 1)  # no layer has more units than states
        rows = range(max(config.row_words, 2))
        super().__init__(
            {
                "load": In(1),
                "coming": In(row_pass(config.slots)),
                "coming_empty": In(1),
                "advance": In(1),
                "job": Out(row_pass(config.slots)),
                "empty": Out(1),
                "entry": Out(pass_entry(config.slots)),
                "address": Out(rows),
                "row": Out(rows),
                "unit_word": Out(range(max(config.chunk_words, 2))),
                "unit": Out(UNIT_BITS),
                "no_sums": Out(1),
                "first_entry": Out(1),
                "last_entry": Out(1),
                "last_unit_word": Out(1),
                "last": Out(1),
            }
        )

    load: Signal
    coming: data.View
    coming_empty: Signal
    advance: Signal
    job: data.View
    empty: Signal
    entry: data.View
    address: Signal
    row: Signal
    unit_word: Signal
    unit: Signal
    no_sums: Signal
    first_entry: Signal
    last_entry: Signal
    last_unit_word: Signal
    last: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job: Any = self.job
        coming: Any = self.coming
        entry: Any = self.entry
        index = Signal(range(len(job.entry)))  # of the entry
        # No reset, so that synthesis does not take it for the same register as `address`.
        row = Signal.like(self.row, reset_less=True)
        m.d.comb += self.row.eq(row)

        following: Any = Signal.like(entry)
        m.d.comb += following.eq(job.entry[(index + 1)[: len(index)]])
        with m.If(self.last_entry):
            m.d.comb += following.eq(job.entry[0])
        with m.If(self.advance):
            m.d.sync += [
                index.eq(index + 1),
                entry.eq(following),
                self.no_sums.eq(following.flush | self.empty),
                self.first_entry.eq(self.last_entry),
                self.last_entry.eq(job.entries == index + 2),
                self.last.eq((job.entries == index + 2) & self.last_unit_word),
            ]
            with m.If(~entry.flush):
                m.d.sync += [self.address.eq(self.address + 1), row.eq(self.address + 1)]
            with m.If(self.last_entry):
                one_left = job.unit_words == self.unit_word + 2
                m.d.sync += [
                    index.eq(0),
                    self.last_entry.eq(job.entries == 1),
                    self.last_unit_word.eq(one_left),
                    self.last.eq((job.entries == 1) & one_left),
                    self.unit_word.eq(self.unit_word + 1),
                    self.unit.eq((self.unit + self._units)[: self._unit_bits]),
                ]

        with m.If(self.load):
            m.d.sync += [
                job.eq(coming),
                self.empty.eq(self.coming_empty),
                index.eq(0),
                entry.eq(coming.entry[0]),
                self.no_sums.eq(coming.entry[0].flush | self.coming_empty),
                self.first_entry.eq(1),
                self.last_entry.eq(coming.entries == 1),
                self.last_unit_word.eq(coming.unit_words == 1),
                self.last.eq((coming.entries == 1) & (coming.unit_words == 1)),
                self.unit_word.eq(0),
                self.unit.eq(coming.unit_base[: self._unit_bits]),
                self.address.eq(coming.row_base),
                row.eq(coming.row_base),
            ]
        return m
