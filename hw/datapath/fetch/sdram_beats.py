# SPDX-License-Identifier: Apache-2.0
"""Words of an SDRAM's controller to and from the beats on its data lines."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.pipeline import delay
from .sdram_words import PAD_CYCLES, word_burst


def read_cycles(cl: int, burst: int) -> int:
    """Cycles from the decision to read a burst to its word in a register: the command's register,
    both pads, the chip, all beats."""
    return 1 + PAD_CYCLES + cl + burst


class SdramBeats(wiring.Component):
    """Takes bursts apart and puts them together; a word's first beat is its lowest bits.

    Parameters
    ----------
    dq_bits : int
        Of a beat.
    beats : int
        Of a word; a word of more than the longest burst takes several.
    cl : int
        CAS latency.

    Members
    -------
    read, write : in, 1 bit
        In this cycle it is decided to begin a burst, whose command is on the pins in the next.
    first, last : in, 1 bit
        With them: the burst is a word's first, its last.
    word : in
        With write and first: what is written.
    response : out, stream of words, always ready
        What was read, `read_cycles` after its last burst was begun.
    dq_o, dq_oe : out, dq_i : in
        The data lines.
    """

    def __init__(self, *, dq_bits: int, beats: int, cl: int) -> None:
        self._dq_bits = dq_bits
        self._beats = beats
        self._cl = cl
        word_bits = dq_bits * beats
        super().__init__(
            {
                "read": In(1),
                "write": In(1),
                "first": In(1),
                "last": In(1),
                "word": In(word_bits),
                "response": Out(stream.Signature(word_bits, always_ready=True)),
                "dq_o": Out(dq_bits),
                "dq_oe": Out(1),
                "dq_i": In(dq_bits),
            }
        )

    read: Signal
    write: Signal
    first: Signal
    last: Signal
    word: Signal
    response: stream.Interface
    dq_o: Signal
    dq_oe: Signal
    dq_i: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, burst = self._dq_bits, word_burst(self._beats)
        # Out: what is left of the word moves down with each beat.
        out, left = Signal(bits * self._beats, reset_less=True), Signal(range(burst + 1))
        m.d.comb += [self.dq_o.eq(out), self.dq_oe.eq(left != 0)]
        with m.If(self.dq_oe):
            m.d.sync += [left.eq(left - 1), out.eq(out >> bits)]
        with m.If(self.write):
            m.d.sync += left.eq(burst)
            with m.If(self.first):
                m.d.sync += out.eq(self.word)

        # In: beats move down from the top.
        cycles = read_cycles(self._cl, burst)
        begun = Signal(cycles - 1)
        word = Signal(bits * self._beats, reset_less=True)
        m.d.sync += begun.eq(Cat(self.read, begun))
        with m.If(begun[cycles - burst - 1 :].any()):
            m.d.sync += word.eq(Cat(word, self.dq_i)[bits:])
        whole = delay(m, self.read & self.last, cycles, "whole", reset=True)
        m.d.comb += [self.response.valid.eq(whole), self.response.payload.eq(word)]
        return m
