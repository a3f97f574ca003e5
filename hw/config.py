# SPDX-License-Identifier: Apache-2.0
"""What is silicon: the parameters that fix an accelerator before any network image is loaded."""

from dataclasses import dataclass, fields
from math import ceil, gcd

from amaranth.lib import data

from ..golden.arithmetic import WIDTHS
from ..golden.delta import DELTA_MODES, EXACT
from ..golden.errors import UserError
from ..golden.integer_lstm.cells import find_stage
from ..golden.models.network import MAX_SHIFT
from .cells.catalogue import CELLS, reads, slots_of
from .parts.arithmetic import MAX_VALUE_BITS
from .sdram_chips import BLOCK_RAM, CHIPS, SdramChip
from .words import (
    ARITHMETICS,
    CELL_BITS,
    EVENT_BITS,
    FEATURES,
    FIXED,
    INPUT_KINDS,
    INTEGER_LSTM,
    LANE_KINDS,
    LAYER_BITS,
    LIST_BITS,
    NORM_BITS,
    PROGRAM_BITS,
    RECORD_BITS,
    ROW_BITS,
    SOURCE_BITS,
    STATE_BITS,
    SWEEP_SOURCE_BITS,
    TOKENS,
    UNIT_BITS,
    WEIGHT_BITS,
    WORD_COUNT_BITS,
    row_parameters,
    term_levels,
)

MAX_WORD_BITS = 2048
MAX_DRAIN_ROWS = 128
"""Units of a unit-word: their outputs must fit the output queue together."""

MAX_ELEMENTS = 32
"""Elements in a beat of the input stream."""

MAX_GROUP_WORDS = (1 << WORD_COUNT_BITS) - 1
"""D-words of a group, as the program counts them."""

MOST_TOTAL_SHIFT = 62
"""Of a 31-bit multiplier and the shift behind it."""

LEAST_NORM_SHIFT, MOST_NORM_SHIFT = 8, 19
"""Of the last rescaling of a normalised gate, to the left and to the right: what is rescaled has 23
bits, and its factor is that of a coefficient's scale, 2**-32 and more, with 12 bits behind."""

LIMITS = {
    "sum_bits": MAX_VALUE_BITS,
    "lists": 1 << LIST_BITS,
    "layers": 1 << LAYER_BITS,
    "weight_words": 1 << WEIGHT_BITS,
    "row_words": 1 << ROW_BITS,
    "events": 1 << EVENT_BITS,
    "input_events": 1 << EVENT_BITS,
    "references": 1 << EVENT_BITS,
    "input_references": 1 << EVENT_BITS,
    "states": 1 << STATE_BITS,
    "norm_words": 1 << NORM_BITS,
    "norm_values": 1 << NORM_BITS,
    "turn_units": 1 << UNIT_BITS,
    "program": 1 << PROGRAM_BITS,
    "sweep_sources": (1 << SWEEP_SOURCE_BITS) - 1,
    "sequence_words": 1 << RECORD_BITS,
}
"""What the rescalers take, and what the fields of `hw.words` can count or address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceleratorConfig:
    """One accelerator. Any network whose image fits these numbers runs on it.

    Parameters
    ----------
    word_bits: bits of one weight word
    weight_bits: widths of weights, each path has one of them; the narrowest is a lane's, a wider
        weight is spread over several lanes, digit by digit
    activation_bits: the largest width of a code
    lane_kind: "multiplier", or "shift_add": no multipliers, one power of two of a delta per cycle
    delta_modes: what an element that fires may send; a network says which of them
    drain_rows: rows drained per cycle; divides the lanes
    cell_units: units whose cell is computed per cycle, and how often the rescalers are there: they
        take drain_rows * cell_units rows per cycle
    input_elements, output_elements: of a frame, per beat of the streams. Both and cell_units are
        powers of two; a beat of outputs has no more than cell_units. Beats to and from a sequence
        buffer have one each
    input_kinds: what the frames may be: "features", int16 values, "tokens", an index each, or both,
        as in the sweeps of a bidirectional layer of tokens; a network says which. Tokens come in
        beats of one element
    cells: kinds of cell that the cell unit can do
    encoders: delta encoders for states, one per path that reads the same layer's output
    input_encoders: the same for the input frames
    lane_bits: sum of one lane
    sum_bits: accumulator M
    pre_bits: pre-activation before its saturation
    shifts, quantizer_shifts: lowest and highest shift of the rescalers and of the encoders, which
        rescale nothing where words are codes
    layers: depth of the table of the layers, each of which is a stage of a step (`hw.compiler`)
    sweeps, sweep_sources: most sweeps of a network, and most sources of one (`hw.compiler.sweeps`)
    sequence_words: depth of the sequence buffer; 0: there is none, and networks are one sweep
    arithmetic: "fixed" or "integer-lstm", see `hw.words.ARITHMETICS`
    float_shifts: in the arithmetic of integer-only LSTMs, lowest and highest shift of linear
        layers, whose rescaling is that of float32; (): there are none
    row_mults: in the arithmetic of integer-only LSTMs, rows of one D-word may have multipliers of
        their own; in the other they always do
    norm_words, norm_values: where cells take normalised gates, depth of the memory of their
        coefficients and biases, and most values of a layer, one a gate and unit, with each word's
        rounded up to whole cycles
    norm_lanes: values that are normalised per cycle; a power of two that divides a unit-word, and
        where gates see the cell state before at most cell_units
    norm_shifts: lowest and highest shift behind the coefficients
    turn_units: where cells take means over a layer's units, most units of such a layer
    initial: a sequence may start from a given state, not only from zero
    hardwired: the network is part of the design, but for its weights and thresholds: no other
        network can be loaded, and synthesis leaves out what this one never needs
    counted: there are counters (`bus.register_map`); otherwise they read 0
    lists: event lists
    weight_memory: "block_ram", or the kind of SDRAM beside the chip that the weights are in, a name
        of `sdram_chips.CHIPS`
    near_words: with an SDRAM, so many of the weights are on the chip all the same, the first ones
    memory_clock_mhz: the accelerator's clock, which turns an SDRAM's times into cycles; with block
        RAM it changes nothing
    weight_words, row_words, program: depths of the memories of weights, row parameters and passes
    events, input_events: depth of each encoder's event memory, of states and of frames
    references, input_references: depth of each encoder's reference memory
    states: depth of the state memory
    """

    word_bits: int = 64
    weight_bits: tuple[int, ...] = (8,)
    activation_bits: int = 8
    lane_kind: str = "multiplier"
    delta_modes: tuple[str, ...] = (EXACT,)
    drain_rows: int = 8
    cell_units: int = 1
    input_elements: int = 1
    output_elements: int = 1
    input_kinds: tuple[str, ...] = (FEATURES,)
    cells: tuple[str, ...] = ("lstm", "linear")
    encoders: int = 2
    input_encoders: int = 1
    lane_bits: int = 24
    sum_bits: int = 24
    pre_bits: int = 24
    shifts: tuple[int, int] = (0, 40)
    quantizer_shifts: tuple[int, int] = (0, 40)
    lists: int = 8
    layers: int = 8
    weight_memory: str = BLOCK_RAM
    near_words: int = 0
    memory_clock_mhz: float = 90.0
    weight_words: int = 4096
    row_words: int = 512
    events: int = 1024
    input_events: int = 512
    references: int = 512
    input_references: int = 256
    states: int = 512
    program: int = 128
    sweeps: int = 1
    sweep_sources: int = 1
    sequence_words: int = 0
    norm_words: int = 1
    norm_values: int = 1
    norm_lanes: int = 1
    norm_shifts: tuple[int, int] = (0, 0)
    turn_units: int = 1
    initial: bool = False
    arithmetic: str = FIXED
    row_mults: bool = False
    float_shifts: tuple[int, int] | tuple[()] = ()
    hardwired: bool = False
    counted: bool = True

    def __post_init__(self) -> None:
        _check(
            "weight_bits",
            self.weight_bits,
            bool(self.weight_bits)
            and set(self.weight_bits) <= set(WIDTHS)
            and list(self.weight_bits) == sorted(set(self.weight_bits)),
            f"some of {WIDTHS}, in rising order",
        )
        _check(
            "activation_bits",
            self.activation_bits,
            self.activation_bits in WIDTHS,
            f"one of {WIDTHS}",
        )
        _check(
            "word_bits",
            self.word_bits,
            0 < self.word_bits <= MAX_WORD_BITS and self.word_bits % self.weight_bits[-1] == 0,
            f"a multiple of the weight width {self.weight_bits[-1]} up to {MAX_WORD_BITS}",
        )
        _check(
            "drain_rows",
            self.drain_rows,
            0 < self.drain_rows <= MAX_DRAIN_ROWS
            and self.rows(self.weight_bits[-1]) % self.drain_rows == 0
            and self.group_words(self.digit_bits) <= MAX_GROUP_WORDS,
            f"a divisor of the {self.rows(self.weight_bits[-1])} rows of a word, at most "
            f"{MAX_DRAIN_ROWS} and more than a {1 << WORD_COUNT_BITS}th of the lanes",
        )
        for name, names in (("lane_kind", LANE_KINDS), ("arithmetic", ARITHMETICS)):
            value = getattr(self, name)
            _check(name, value, value in names, f"one of {', '.join(names)}")
        _check(
            "delta_modes",
            self.delta_modes,
            self.delta_modes in ((EXACT,), DELTA_MODES, DELTA_MODES[1:]),
            f"one or both of {DELTA_MODES}, in this order",
        )
        for name, limit in (
            ("cell_units", MAX_DRAIN_ROWS // self.drain_rows),
            ("input_elements", MAX_ELEMENTS),
            ("output_elements", self.cell_units),
        ):
            value = getattr(self, name)
            good = 0 < value <= limit and value & (value - 1) == 0
            _check(name, value, good, f"a power of two up to {limit}")
            single = value == 1 or name == "cell_units" or not self.buffered
            _check(name, value, single, "1 where there is a sequence buffer (sequence_words)")
        kinds = self.input_kinds
        _check("input_kinds", kinds, kinds in INPUT_KINDS, f"one of {INPUT_KINDS}")
        elements = self.input_elements
        single = TOKENS not in kinds or elements == 1
        _check("input_elements", elements, single, "1 where frames are tokens")
        most_cells = 1 << CELL_BITS
        rule = f"at most {most_cells} kinds"
        _check("cells", len(self.cells), len(self.cells) <= most_cells, rule)
        for cell in self.cells:
            integer = find_stage(cell) is not None
            _check("cells", cell, integer or cell in CELLS, f"of {', '.join(CELLS)}")
            own = INTEGER_LSTM if integer else FIXED
            rule = f"a cell of the arithmetic {self.arithmetic}, not of {own}"
            _check("cells", cell, own == self.arithmetic, rule)
        lanes, counts = self.norm_lanes, self.norm_lane_counts
        _check("norm_lanes", lanes, lanes in counts, f"one of {', '.join(map(str, counts))}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not isinstance(value, bool):
                most = LIMITS.get(field.name)
                least = 0 if field.name in ("near_words", "sequence_words") else 1
                _check(
                    field.name,
                    value,
                    least <= value and (most is None or value <= most),
                    f"at least {least}" if most is None else f"{least}..{most}",
                )
        for name, most in (("shifts", self.most_shift), ("quantizer_shifts", MAX_SHIFT)):
            low, high = getattr(self, name)
            _check(name, (low, high), 0 <= low <= high <= most, f"within 0..{most}")
        low, high = self.norm_shifts
        good = -LEAST_NORM_SHIFT <= low <= high <= MOST_NORM_SHIFT
        rule = f"within -{LEAST_NORM_SHIFT}..{MOST_NORM_SHIFT}"
        _check("norm_shifts", (low, high), good, rule)
        floats = self.float_shifts
        rule = f"two in order within 25..{MOST_TOTAL_SHIFT}, or none"
        good = floats == () or (len(floats) == 2 and 25 <= floats[0] <= floats[1])
        _check("float_shifts", floats, good and max(floats, default=0) <= MOST_TOTAL_SHIFT, rule)
        rule = "1 where sequence_words is 0"
        _check("sweeps", self.sweeps, self.buffered or self.sweeps == 1, rule)
        memories = (BLOCK_RAM, *CHIPS)
        rule = f"one of {', '.join(memories)}"
        _check("weight_memory", self.weight_memory, self.weight_memory in memories, rule)
        most = self.weight_words - 1 if self.sdram else 0
        rule = "fewer than weight_words with an SDRAM, else 0"
        _check("near_words", self.near_words, self.near_words <= most, rule)
        if self.sdram:
            self._check_sdram(self.sdram)
        encoders = self.encoders + self.input_encoders
        most = 1 << SOURCE_BITS
        _check("encoders + input_encoders", encoders, encoders <= most, f"at most {most}")

    def _check_sdram(self, chip: SdramChip) -> None:
        beats = self.word_bits // chip.dq_bits
        _check(
            "word_bits",
            self.word_bits,
            beats > 0 and self.word_bits == beats * chip.dq_bits and not beats & (beats - 1),
            f"{chip.dq_bits} times a power of two with {self.weight_memory}",
        )
        most = chip.bits // self.word_bits
        rule = f"at most {most} words of {self.word_bits} bits with {self.weight_memory}"
        _check("weight_words", self.weight_words, self.weight_words <= most, rule)
        chip.at(self.memory_clock_mhz)

    @property
    def sdram(self) -> SdramChip | None:
        """The SDRAM that the weights are in; None: they are on the chip."""
        return CHIPS.get(self.weight_memory)

    @property
    def words_are_codes(self) -> bool:
        """Whether inputs and outputs are codes, which the encoders do not rescale."""
        return self.arithmetic != FIXED

    @property
    def encoder_shifts(self) -> tuple[int, int] | None:
        """The shifts of the encoders' rescalers; None: they have none."""
        return None if self.words_are_codes else self.quantizer_shifts

    @property
    def most_shift(self) -> int:
        """The highest shift that the rescalers may have."""
        return MAX_SHIFT if self.arithmetic == FIXED else MOST_TOTAL_SHIFT

    @property
    def slots(self) -> int:
        """Most gates of a cell, in the words of the program."""
        return slots_of(self.cells)

    @property
    def row_parameters(self) -> data.ArrayLayout | data.StructLayout:
        """A word of the memory of row parameters."""
        return row_parameters(self.arithmetic, self.unit_word, self.row_mults)

    @property
    def every_shift(self) -> tuple[int, int]:
        """The lowest and the highest shift that a D-word may have."""
        ends = (*self.shifts, *self.float_shifts)
        return min(ends), max(ends)

    @property
    def buffered(self) -> bool:
        """Whether there is a sequence buffer."""
        return self.sequence_words > 0

    @property
    def spread(self) -> bool:
        """Whether the lists of tokens are laid out like those of features, which are there, too."""
        return len(self.input_kinds) > 1

    @property
    def reference_span(self) -> int:
        """Addresses from one encoder's initial references to the next one's."""
        return 1 << (self.references - 1).bit_length()

    @property
    def digit_bits(self) -> int:
        """Bits of a weight that one lane takes."""
        return self.weight_bits[0]

    @property
    def lanes(self) -> int:
        """Products per cycle."""
        return self.word_bits // self.digit_bits

    def digits(self, weight_bits: int) -> int:
        """Lanes that a weight of this width takes."""
        return weight_bits // self.digit_bits

    def rows(self, weight_bits: int) -> int:
        """R: rows of a group, that is, weights of this width in one word."""
        return self.word_bits // weight_bits

    def group_words(self, weight_bits: int) -> int:
        """Drained words of one group of rows."""
        return self.rows(weight_bits) // self.drain_rows

    @property
    def unit_word(self) -> int:
        """Units of a unit-word: rows that are rescaled together, drained as `cell_units` words."""
        return self.drain_rows * self.cell_units

    @property
    def norm_lane_counts(self) -> list[int]:
        """What `norm_lanes` may be."""
        most = self.cell_units if reads(self.cells, "norm_c") else self.unit_word
        powers = (1 << n for n in range(most.bit_length()))
        return [lanes for lanes in powers if self.unit_word % lanes == 0]

    @property
    def chunk_words(self) -> int:
        """Unit-words per pass: whole groups for any number of gates, and at least four."""
        group = self.group_words(self.digit_bits)
        words = group // gcd(group, self.cell_units)
        return words * ceil(4 / words)

    @property
    def delta_bits(self) -> int:
        """Width of a delta: one more than a code."""
        return self.activation_bits + 1

    @property
    def delta_digits(self) -> int:
        """Binary digits of a delta: of an exact one, -1, 0 or 1, one more than of a code."""
        return self.activation_bits + (EXACT in self.delta_modes)

    @property
    def levels(self) -> int | None:
        """Levels of a term list; None: the lists hold events."""
        return term_levels(self.delta_digits) if self.lane_kind == "shift_add" else None


def divisor_up_to(n: int, most: int) -> int:
    """The largest divisor of `n` that is at most `most`."""
    return max(k for k in range(1, min(n, most) + 1) if n % k == 0)


def _check(what: str, value: object, good: bool, rule: str) -> None:
    if not good:
        raise UserError(f"{what}: {value!r} is not possible, it must be {rule}")
