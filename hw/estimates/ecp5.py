# SPDX-License-Identifier: Apache-2.0
"""What memories, queues, adders and multiplexers take of an ECP5, as yosys builds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from amaranth.utils import ceil_log2

from ..parts.arithmetic import FACTOR_BITS, LOW_BITS, SMALL_STAGE_BITS
from ..parts.memory import BANK_WORDS, DEEP_BITS
from .ecp5_measured import MEASURED

__all__ = ["Area", "Part", "adder", "fifo", "memory", "multiplexer", "queue", "rescaler"]

BLOCK_RAM_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""(words, bits) of a DP16KD; ours have one write and one read port each, so all of them will do."""

LUT_RAM_WORDS, LUT_RAM_BITS, LUT_RAM_LUTS = 16, 4, 6
"""A TRELLIS_DPR16X4, four LUT4s of which hold the bits and two are the write port."""

LUT_RAM_COST, BLOCK_RAM_COST, MUX_COST = 4, 128, 0.5
"""What yosys compares (memory_libmap): of each, and of a bit of a multiplexer's input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """LUT4s (as `boards.synthesis.Netlist` counts them), flip-flops, multipliers, block RAMs."""

    luts: float = 0
    flip_flops: float = 0
    multipliers: float = 0
    block_rams: float = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(
            luts=self.luts + other.luts,
            flip_flops=self.flip_flops + other.flip_flops,
            multipliers=self.multipliers + other.multipliers,
            block_rams=self.block_rams + other.block_rams,
        )

    def __mul__(self, times: float) -> "Area":
        return Area(
            luts=self.luts * times,
            flip_flops=self.flip_flops * times,
            multipliers=self.multipliers * times,
            block_rams=self.block_rams * times,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A component: what is counted, and how much there is of what `MEASURED` knows by its name."""

    counted: Area
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def area(self) -> Area:
        """Both together."""
        total = self.counted
        for name, amount in self.measured.items():
            luts, flip_flops = MEASURED[name]
            total += Area(luts=luts, flip_flops=flip_flops) * amount
        return total


def adder(bits: int) -> int:
    """LUT4s of a sum of so many bits: two of them to a carry cell."""
    return 2 * ceil(bits / 2)


def multiplexer(inputs: int, bits: int) -> int:
    """LUT4s of a choice between words: two inputs to each, the rest is done behind the LUTs."""
    return bits * ceil(inputs / 2) if inputs > 1 else 0


def memory(
    depth: int,
    width: int,
    *,
    reads: int = 1,
    force: bool = False,
    asynchronous: bool = False,
    registers: int = 1,
) -> Area:
    """A memory with one write port, as `ram.block_ram` builds it; force: never in LUTs.

    asynchronous: it answers in the same cycle, and so is in LUTs. registers: plain ones behind it,
    which a block RAM has inside.
    """
    if depth > BANK_WORDS and width > DEEP_BITS and not asynchronous:
        parts = [DEEP_BITS] * (width // DEEP_BITS) + [width % DEEP_BITS] * (width % DEEP_BITS > 0)
        slices = Area()
        for bits in parts:
            slices += memory(depth, bits, reads=reads, force=force, registers=registers)
        return slices
    shapes = [(ceil(depth / words), ceil(width / bits)) for words, bits in BLOCK_RAM_SHAPES]
    blocks, columns = min(shapes, key=lambda s: _cost(s[0], s[1], BLOCK_RAM_COST, width))
    rows = ceil(depth / LUT_RAM_WORDS)
    cells = rows * ceil(width / LUT_RAM_BITS)
    in_luts = reads * _cost(rows, ceil(width / LUT_RAM_BITS), LUT_RAM_COST, width)
    in_blocks = reads * _cost(blocks, columns, BLOCK_RAM_COST, width)
    if asynchronous or (in_luts < in_blocks and not force):
        return Area(
            luts=cells * reads * LUT_RAM_LUTS + reads * multiplexer(rows, width) + (rows - 1),
            flip_flops=0 if asynchronous else width * reads * (1 + registers),
        )
    # Where there are several blocks of words, the register is behind what chooses between them.
    return Area(
        luts=reads * multiplexer(blocks, width),
        flip_flops=reads * registers * width if blocks > 1 else 0,
        block_rams=reads * blocks * columns,
    )


def _cost(rows: int, columns: int, each: float, width: int) -> float:
    """What yosys minimizes for a memory with one read port: its parts, and what chooses a row."""
    return each * rows * columns + MUX_COST * (rows - 1) * (width + 1)


def fifo(depth: int, width: int, *, straight: bool = False) -> Area:
    """A `queue.Queue` of few words; straight: a word may pass them all."""
    bits = ceil_log2(max(depth, 2))
    control = Area(luts=6 * bits + straight * width, flip_flops=3 * bits + 1)
    return memory(depth, width, asynchronous=True) + control


def queue(depth: int, width: int, *, straight: bool = False) -> Area:
    """A `queue.Queue` in block RAM; its output register is in there."""
    bits = ceil_log2(max(depth, 2))
    control = Area(luts=6 * bits + straight * width, flip_flops=3 * bits + 2)
    return memory(1 << bits, width, force=True) + control


def rescaler(
    value_bits: int, shifts: tuple[int, int], out_bits: int, *, mult_bits: int = 16
) -> Area:
    """An `arithmetic.Rescale` that is plain and does not round: its one bit more is in out_bits.

    What the lowest shift drops is never computed; products are in the multipliers' own registers.
    """
    dropped = max(shifts[0] - 1, 0)
    lows = max(0, ceil((value_bits - FACTOR_BITS) / LOW_BITS))
    luts, flip_flops = 0, 0
    total = value_bits + mult_bits - dropped
    for n in range(lows):
        luts += adder(value_bits + mult_bits - (n + 1) * LOW_BITS)
        flip_flops += total + n * mult_bits
    span = shifts[1] - shifts[0]
    result = min(total, out_bits + 1 + span)
    # The shift, coarsest stage first.
    bits = span.bit_length()
    for at in reversed(range(0, bits, SMALL_STAGE_BITS)):
        width = min(out_bits + (1 << at) - 1, result)
        stage = min(SMALL_STAGE_BITS, bits - at)
        luts += width * (2 if stage == 2 else 1)
        flip_flops += width
    return Area(luts=luts, flip_flops=flip_flops, multipliers=lows + 1)
