# SPDX-License-Identifier: Apache-2.0
"""What memories, queues, adders and multiplexers take of an ECP5, as yosys builds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from amaranth.utils import ceil_log2

from ..parts.arithmetic import FACTOR_BITS, LOW_BITS, SMALL_STAGE_BITS
from ..parts.memory import BANK_WORDS, DEEP_BITS
from .ecp5_measured import MEASURED

__all__ = [
    "Area",
    "Part",
    "adder",
    "fifo",
    "map_memory",
    "memory",
    "multiplexer",
    "plain_memory",
    "queue",
    "rescaler",
]

BLOCK_RAM_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""(words, bits) of a DP16KD; ours have one write and one read port each, so all of them will do."""

BYTE_BITS = 9
"""Of a DP16KD's word that are written together: a word of ours takes whole bytes."""

LUT_RAM_WORDS, LUT_RAM_BITS, LUT_RAM_LUTS = 16, 4, 6
"""A TRELLIS_DPR16X4, four LUT4s of which hold the bits and two are the write port."""

LUT_RAM_COST, BLOCK_RAM_COST, CHOICE_COST = 4, 128, 0.5
"""What yosys compares (memory_libmap): of each, and of a choice: of a bit between two rows of them,
or of the row that is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """What something takes of an ECP5.

    Members
    -------
    luts: LUT4s, as `boards.ecp5.synthesis.Netlist` counts them
    flip_flops, multipliers, block_rams: MULT18X18D, and DP16KD of 18 kbit
    """

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
    """A component's area.

    Members
    -------
    counted: what the structure says
    measured: how much there is of what `MEASURED` knows by its name
    """

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


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedMemory:
    """What yosys makes a memory of, for each read port.

    Members
    -------
    rows: parts of the memory that hold different words, with a choice between them behind
    cells: block RAMs, or LUT RAMs of 16 words of 4 bits
    in_luts: these are LUT RAMs
    """

    rows: int
    cells: int
    in_luts: bool

    def cost(self, width: int, reads: int) -> float:
        """What yosys minimizes, for words of `width` bits."""
        each = LUT_RAM_COST if self.in_luts else BLOCK_RAM_COST
        written = self.rows if self.rows > 1 else 0
        return each * self.cells * reads + CHOICE_COST * ((self.rows - 1) * width * reads + written)


def map_memory(
    depth: int, width: int, *, reads: int = 1, force: bool = False, asynchronous: bool = False
) -> MappedMemory:
    """What yosys makes of one memory with one write port, as its `memory_libmap` chooses.

    Of fewer than 32 bits it may make flip-flops, which this does not know.

    Parameters
    ----------
    depth, width: words, and their bits
    reads: read ports, each of which needs a copy of the memory
    force: never in LUTs
    asynchronous: a read answers in the same cycle, and so is in LUTs
    """
    rows = ceil(depth / LUT_RAM_WORDS)
    luts = MappedMemory(rows=rows, cells=rows * ceil(width / LUT_RAM_BITS), in_luts=True)
    if asynchronous:
        return luts
    blocks = [_in_blocks(depth, width, *shape) for shape in BLOCK_RAM_SHAPES]
    # It keeps the whole part of the least cost, to which it compares the next shape's.
    best = blocks[0]
    for other in blocks[1:]:
        if other.cost(width, reads) < int(best.cost(width, reads)):
            best = other
    better = luts.cost(width, reads) <= best.cost(width, reads)
    return luts if better and not force else best


def _in_blocks(depth: int, width: int, words: int, bits: int) -> MappedMemory:
    """A memory in block RAMs of one shape; what a row of them leaves free, the next one takes."""
    rows, byte = ceil(depth / words), min(bits, BYTE_BITS)
    cells = ceil(rows * ceil(width / byte) * byte / bits)
    return MappedMemory(rows=rows, cells=cells, in_luts=False)


def plain_memory(
    depth: int,
    width: int,
    *,
    reads: int = 1,
    force: bool = False,
    asynchronous: bool = False,
    registers: int = 1,
) -> Area:
    """A memory with one write port, and what chooses between its rows.

    Parameters
    ----------
    depth, width, reads, force, asynchronous: see `map_memory`
    registers: plain ones behind each read port, which a block RAM has inside
    """
    mapped = map_memory(depth, width, reads=reads, force=force, asynchronous=asynchronous)
    choices = reads * multiplexer(mapped.rows, width)
    if mapped.in_luts:
        return Area(
            luts=mapped.cells * reads * LUT_RAM_LUTS + choices + (mapped.rows - 1),
            flip_flops=0 if asynchronous else width * reads * (1 + registers),
        )
    # Where there are several rows, the register is behind what chooses between them.
    return Area(
        luts=choices,
        flip_flops=reads * registers * width if mapped.rows > 1 else 0,
        block_rams=reads * mapped.cells,
    )


def memory(
    depth: int,
    width: int,
    *,
    reads: int = 1,
    force: bool = False,
    asynchronous: bool = False,
    registers: int = 1,
) -> Area:
    """A memory as `parts.memory.block_ram` builds it: `plain_memory`, a deep one in slices."""
    if depth <= BANK_WORDS or width <= DEEP_BITS or asynchronous:
        return plain_memory(
            depth,
            width,
            reads=reads,
            force=force,
            asynchronous=asynchronous,
            registers=registers,
        )
    rest = width % DEEP_BITS
    slices = Area()
    for bits in [DEEP_BITS] * (width // DEEP_BITS) + [rest] * (rest > 0):
        slices += plain_memory(depth, bits, reads=reads, force=force, registers=registers)
    return slices


def fifo(depth: int, width: int, *, straight: bool = False) -> Area:
    """A `parts.queue.Queue` of few words; straight: a word may pass them all."""
    bits = ceil_log2(max(depth, 2))
    control = Area(luts=6 * bits + straight * width, flip_flops=3 * bits + 1)
    return memory(depth, width, asynchronous=True) + control


def queue(depth: int, width: int, *, straight: bool = False) -> Area:
    """A `parts.queue.Queue` in block RAM; its output register is in there."""
    bits = ceil_log2(max(depth, 2))
    control = Area(luts=6 * bits + straight * width, flip_flops=3 * bits + 2)
    return memory(1 << bits, width, force=True) + control


def rescaler(
    value_bits: int, shifts: tuple[int, int], out_bits: int, *, mult_bits: int = 16
) -> Area:
    """A `parts.arithmetic.Rescale` that is plain and does not round: its bit more is in out_bits.

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
