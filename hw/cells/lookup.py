# SPDX-License-Identifier: Apache-2.0
"""An odd or a complementary function of a word, exactly: straight lines, and what they lack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...golden.arithmetic import Ints, rshr
from ..parts.arithmetic import add_halves
from ..parts.pipeline import delay

__all__ = ["Lines", "LookupTable", "fit_lines"]

SEGMENTS = 512
CORRECTION_BITS = 3
MOST_CORRECTION = (1 << CORRECTION_BITS) - 1
MOST = (1 << 15) - 1
"""Of a result."""
EXPONENT_BITS = 4
_WITHIN = 3
PER_WORD = 1 << _WITHIN
"""Corrections of a word: what is written, and loaded by simulators, is shorter."""
_IN_BLOCK_RAM = {"rom_style": "block", "ram_style": "block"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """A function y(m) of magnitudes 0..2**15, in units of 2**scale:

        y = min((start[s] + rshr(slope[s] * f, bits) + correction[m]) << scale, 32767)

    s is m >> bits, and f the `bits` bits below. From `count` on, a power of two, y is `end`.

    Members
    -------
    start, slope: of each segment. correction: [count] 0..7.
    end: see above.
    scale, bits: see above.
    complement: y for a negative word is 32767 - y, and not -y.
    """

    start: Ints
    slope: Ints
    correction: Ints
    end: int
    scale: int
    bits: int
    complement: bool

    @property
    def count(self) -> int:
        """Magnitudes that have lines."""
        return len(self.correction)


def corrected(words: Ints) -> int:
    """For how many magnitudes a function of [65536] results has lines: beyond, it is at its end."""
    count = 1 << 15
    while count > SEGMENTS and (words[count >> 1 : 1 << 15] == MOST).all():
        count >>= 1
    return count


def fit_lines(words: Ints) -> Lines:
    """The lines of [65536] int16 results, negative words at the end, where NumPy finds them.

    Raises ValueError where y(-m) is neither -y(m) nor 32767 - y(m), or 3 bits do not correct lines.
    """
    top = MOST if words[0] else 0
    y = np.append(words[: 1 << 15], top - words[1 << 15])
    if (top - y[:0:-1] != words[1 << 15 :]).any():
        raise ValueError("a function's results for negative words do not mirror the others")
    count = corrected(words)
    y = y[: count + 1]
    scale = next(n for n in (2, 1, 0) if not (y[y < MOST] & ((1 << n) - 1)).any())
    units = y + (y == MOST) >> scale  # 32767 stands for 32768
    bits = count.bit_length() - SEGMENTS.bit_length()
    fraction = np.arange(1 << bits)
    start, slope = np.zeros(SEGMENTS, np.int64), np.zeros(SEGMENTS, np.int64)
    for s in range(SEGMENTS):
        piece, next_ = units[s << bits : s + 1 << bits], int(units[s + 1 << bits])
        rise = max(next_ - int(piece[0]), 0)
        tried = np.arange(max(rise - 8, 0), rise + 9)
        rest = piece - rshr(tried[:, None] * fraction, bits)
        best = int(np.argmin(np.ptp(rest, axis=1)))
        slope[s], start[s] = tried[best], rest[best].min()
    correction = units[:-1] - (start[:, None] + rshr(slope[:, None] * fraction, bits)).reshape(-1)
    if not 0 <= correction.min() <= correction.max() <= MOST_CORRECTION:
        raise ValueError(
            f"a function's lines lack {correction.min()}..{correction.max()}, it may be within 0..7"
        )
    return Lines(
        start=start,
        slope=slope,
        correction=correction,
        end=int(y[-1]),
        scale=scale,
        bits=bits,
        complement=bool(top),
    )


class LookupTable(wiring.Component):
    """A function as `fit_lines` has it, equal to its words; or one for each of several exponents.

    One result a cycle, LATENCY cycles after its input. One block RAM for lines and, for 32,768
    magnitudes, 96 kbit of corrections; a multiplier of slopes.

    Parameters
    ----------
    tables : mapping of int or None to [65536] int
        Results by word, negative words at the end; one, or one for each exponent.

    Members
    -------
    p : In(signed(16))
    exponent : In(unsigned(4))
        With p: which table; only where there are several.
    o : Out(signed(16))
    """

    LATENCY = 6

    p: Signal
    exponent: Signal
    o: Signal

    def __init__(self, tables: Mapping[int | None, Ints]) -> None:
        self._lines = {key: fit_lines(table) for key, table in tables.items()}
        several = {"exponent": In(unsigned(EXPONENT_BITS))} if len(tables) > 1 else {}
        super().__init__({"p": In(signed(16)), **several, "o": Out(signed(16))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        results = {key: self._result(m, key, lines) for key, lines in self._lines.items()}
        (first, *_) = results.values()
        if len(results) == 1:
            m.d.comb += self.o.eq(first)
            return m
        exponent = delay(m, self.exponent, self.LATENCY, "exponent")
        at = [results.get(n, first) for n in range(1 + max(n or 0 for n in results))]
        m.d.comb += self.o.eq(Array(at)[exponent])
        return m

    def _result(self, m: Module, key: int | None, lines: Lines) -> Value:
        name = "" if key is None else f"_{key}"
        bits, width = lines.bits, lines.count.bit_length() - 1
        slope_bits = int(lines.slope.max()).bit_length()
        # Unscaled; 1 more bit for what is saturated, and one for the sign of the first ones.
        unit = signed(17 - lines.scale)
        row = StructLayout({"start": unit, "slope": unsigned(slope_bits)})
        contents = [
            {"start": int(start), "slope": int(slope)}
            for start, slope in zip(lines.start, lines.slope, strict=True)
        ]
        rom: Any = Memory(
            shape=row,
            depth=SEGMENTS,
            init=contents,
            attrs=_IN_BLOCK_RAM,
        )
        several = lines.correction.reshape(-1, PER_WORD) << CORRECTION_BITS * np.arange(PER_WORD)
        corrections: Any = Memory(
            shape=PER_WORD * CORRECTION_BITS,
            depth=lines.count // PER_WORD,
            init=several.sum(axis=1).tolist(),
            attrs=_IN_BLOCK_RAM,
        )
        m.submodules[f"lines{name}"], m.submodules[f"corrections{name}"] = rom, corrections
        line, correct = rom.read_port(), corrections.read_port()

        # Cycle 0: the magnitude.
        negative = self.p[-1]
        inverted = self.p[:-1] ^ negative.replicate(15)
        magnitude = Signal(16, name=f"m{name}")
        m.d.sync += magnitude.eq(inverted + negative)

        # Cycle 1: both memories are read; cycle 2: a register behind them.
        m.d.comb += [line.addr.eq(magnitude[bits:15]), correct.addr.eq(magnitude[_WITHIN:])]
        start, slope, word = (
            delay(m, part, 1, f"{what}{name}")
            for what, part in (
                ("start", line.data.start),
                ("slope", line.data.slope),
                ("corrections", correct.data),
            )
        )
        step, place = delay(m, magnitude[:bits], 2, f"step{name}"), magnitude[:_WITHIN]
        lacks = word.word_select(delay(m, place, 2, f"place{name}"), CORRECTION_BITS)

        # Cycles 3 and 4: the line, and what it lacks.
        rise = delay(m, slope * step, 1, f"rise{name}")
        corrected = delay(m, (start + lacks)[: unit.width].as_signed(), 1, f"corrected{name}")
        halves = Cat(rise[bits - 1 :], Const(0, 1)).as_signed()
        found = delay(m, add_halves(corrected, halves)[: unit.width].as_signed(), 1, f"unit{name}")

        # Cycle 5: saturated and mirrored.
        scaled = Cat(Const(0, lines.scale), found)[:16].as_signed()
        beyond = delay(m, magnitude[width:].any(), 4, f"beyond{name}")
        y = Mux(beyond, lines.end, Mux(found[-2] & ~found[-1], MOST, scaled))
        sign = delay(m, negative, 5, f"negative{name}")
        flipped = y[:16] ^ sign.replicate(16)
        mirrored = Cat(flipped[:15], Const(0, 1)) if lines.complement else flipped + sign
        return delay(m, mirrored[:16].as_signed(), 1, f"o{name}")
