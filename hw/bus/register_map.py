# SPDX-License-Identifier: Apache-2.0
"""The register map: the one home of every address that hardware, manifest and drivers share.

Everything is 32 bits wide; addresses are byte addresses in a space of 16 MiB. A write must be of
a whole word. Unmapped, read-only and write-only addresses answer SLVERR to what they do not take.

    0x000000  control, status, counters       0x400000  state memory, one word per unit
    0x001000  thresholds, one word per list   0x800000  image memories (see `place_windows`)
    0x001800  event counters, one per list

This module imports no amaranth, so the drivers run without it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from ...golden.errors import UserError

ADDRESS_BITS = 24
ID_VALUE = 0x6D6F6C64
"""The bytes "dlom", least significant first."""
VERSION_VALUE = 0x00000100

THRESHOLD_BITS = 16
MAX_LISTS = 32
STATE_SPACE = 0x400000 // 4
"""Words in the state window."""
IMAGE_SPACE = 0x800000 // 4
"""32-bit words in the image window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """Bits of a register, from bit `low` on."""

    name: str
    low: int
    bits: int
    meaning: str

    @property
    def mask(self) -> int:
        """The field's bits in the register's word."""
        return (1 << self.bits) - 1 << self.low


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """One register, or an array of them at consecutive words.

    access: "RO", "RW" or "WO". words: 32-bit words per element, low word first.
    array: what one element belongs to ("list", "unit"), or "" for a single register.
    fields: its bits, lowest first; none where the whole word is one number.
    """

    name: str
    address: int
    access: str
    meaning: str
    words: int = 1
    array: str = ""
    fields: tuple[Field, ...] = ()

    def at(self, index: int = 0) -> int:
        """Byte address of an element's low word."""
        return self.address + 4 * self.words * index


REGISTERS: tuple[Register, ...] = (
    Register(name="ID", address=0x00, access="RO", meaning="0x6d6f6c64: 'dlom', little endian"),
    Register(name="VERSION", address=0x04, access="RO", meaning="0x00000100: this map"),
    Register(
        name="CONTROL",
        address=0x08,
        access="WO",
        meaning="commands: each bit that is written as 1",
        fields=(
            Field(name="NEW_SEQUENCE", low=0, bits=1, meaning="next frame starts a new sequence"),
            Field(name="CLEAR_COUNTERS", low=1, bits=1, meaning="all counters become 0"),
        ),
    ),
    Register(
        name="STATUS",
        address=0x0C,
        access="RO",
        meaning="what it is doing",
        fields=(
            Field(
                name="BUSY",
                low=0,
                bits=1,
                meaning="a frame has begun to arrive and its outputs are not all delivered",
            ),
        ),
    ),
    Register(name="STEPS", address=0x10, access="RO", words=2, meaning="frames completed"),
    Register(name="CYCLES", address=0x18, access="RO", words=2, meaning="clock cycles while busy"),
    Register(
        name="BUSY",
        address=0x20,
        access="RO",
        words=2,
        meaning="cycles in which a weight word entered the MAC array",
    ),
    Register(
        name="MACS_DONE", address=0x28, access="RO", words=2, meaning="multiply-accumulates done"
    ),
    Register(
        name="MACS_DENSE",
        address=0x30,
        access="RO",
        words=2,
        meaning="multiply-accumulates that dense steps would have taken; "
        "less MACS_DONE: what was eliminated",
    ),
    Register(
        name="FRAME_ERRORS",
        address=0x38,
        access="RO",
        meaning="frames whose tlast came early (missing elements count as 0) "
        "or late (extra elements were dropped)",
    ),
    Register(
        name="SEQUENCE_CUTS",
        address=0x3C,
        access="RO",
        meaning="sequences longer than the sequence buffer: cut there, the rest ran as a new one; "
        "0 where there is no buffer",
    ),
    Register(
        name="THRESHOLD",
        address=0x1000,
        access="RW",
        array="list",
        meaning="delta threshold in codes, 0..65535; taken when the coding of the path's source "
        "begins next: of frames, with the next one; of the layer's own h, a frame later",
        fields=(
            Field(
                name="CODES",
                low=0,
                bits=THRESHOLD_BITS,
                meaning="an element's largest change that does not fire",
            ),
        ),
    ),
    Register(
        name="EVENTS",
        address=0x1800,
        access="RO",
        array="list",
        meaning="events of the list since the counters were cleared, modulo 2**32",
    ),
    Register(
        name="STATE",
        address=0x400000,
        access="RO",
        array="unit",
        meaning="state memory, both int16",
        fields=(
            Field(name="H", low=0, bits=16, meaning="the unit's h"),
            Field(name="C", low=16, bits=16, meaning="the unit's c"),
        ),
    ),
    Register(
        name="IMAGE",
        address=0x800000,
        access="WO",
        array="word",
        meaning="image memories, while not busy; the manifest's memories say where each one is",
    ),
)
"""A 64-bit counter is read low word first: that read also fixes the high word, which the next
read of any counter's high word returns."""

REGISTER = {register.name: register for register in REGISTERS}


def _mask(register: str, field: str) -> int:
    return next(each.mask for each in REGISTER[register].fields if each.name == field)


CONTROL_NEW_SEQUENCE = _mask("CONTROL", "NEW_SEQUENCE")
CONTROL_CLEAR_COUNTERS = _mask("CONTROL", "CLEAR_COUNTERS")
STATUS_BUSY = _mask("STATUS", "BUSY")


def register_map() -> list[dict[str, object]]:
    """The map as plain data, for the manifest and the documentation."""
    return [
        {
            "name": r.name,
            "address": r.address,
            "access": r.access,
            "bits": 32 * r.words,
            "array": r.array,
            "meaning": r.meaning,
            "fields": [asdict(field) for field in r.fields],
        }
        for r in REGISTERS
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """An image memory: `depth` words of `width` bits."""

    name: str
    depth: int
    width: int

    def __post_init__(self) -> None:
        for what, value in (("depth", self.depth), ("width", self.width)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{what} of {self.name!r} must be a positive integer, not {value!r}"
                )

    @property
    def slices(self) -> int:
        """32-bit writes per memory word."""
        return -(-self.width // 32)

    @property
    def stride(self) -> int:
        """32-bit addresses per memory word: `slices`, padded to a power of two."""
        return 1 << (self.slices - 1).bit_length()

    @property
    def span(self) -> int:
        """32-bit addresses of the whole memory, padded to a power of two."""
        return self.stride << (self.depth - 1).bit_length()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedWindow:
    """A window with its place: `base` counts 32-bit words from the start of the image window."""

    window: Window
    base: int

    @property
    def address(self) -> int:
        """Byte address of the memory's first slice."""
        return REGISTER["IMAGE"].at(self.base)

    def encode(self, words: Iterable[int], first: int = 0) -> Iterator[tuple[int, int]]:
        """The writes (byte address, 32-bit value) that put `words` at `first` and after it.

        Words are unsigned integers of at most `width` bits, or signed ones of `width` bits. The
        slices of one word must be written in this order: the last one commits the word.
        """
        window = self.window
        for n, word in enumerate(words, first):
            if not 0 <= n < window.depth:
                raise ValueError(f"{window.name}: word {n} is outside 0..{window.depth - 1}")
            value = int(word)
            if not -(1 << (window.width - 1)) <= value < 1 << window.width:
                raise ValueError(f"{window.name}[{n}]: {value} does not fit {window.width} bits")
            value &= (1 << window.width) - 1
            for s in range(window.slices):
                yield self.address + 4 * (n * window.stride + s), value >> (32 * s) & 0xFFFFFFFF


def place_windows(windows: Sequence[Window]) -> tuple[PlacedWindow, ...]:
    """Give each memory its place, in the order given.

    Every base is a multiple of the memory's padded span, so hardware tells memories apart by the
    high address bits alone; the largest memory comes first, so nothing is lost between them. Where
    that does not fit, what the largest is padded by goes to the others: hardware also compares with
    its depth.
    Raises UserError where they do not fit the image window.
    """
    names = [w.name for w in windows]
    if len(set(names)) != len(names):
        raise ValueError(f"windows must have different names, not {names!r}")
    largest, *others = sorted(windows, key=lambda w: -w.span)
    total = largest.span + sum(w.span for w in others)
    after = largest.span
    if total > IMAGE_SPACE and others:
        grain = others[0].span
        after = -(-largest.depth * largest.stride // grain) * grain
        total += after - largest.span
    if total > IMAGE_SPACE:
        raise UserError(
            f"image memories: {4 * total} bytes of address space is too much, it must be at most "
            f"{4 * IMAGE_SPACE}; take a smaller network or shallower memories"
        )
    places = {largest.name: PlacedWindow(window=largest, base=0)}
    base = after
    for window in others:
        places[window.name] = PlacedWindow(window=window, base=base)
        base += window.span
    return tuple(places[name] for name in names)


def memory_map(windows: Sequence[Window]) -> list[dict[str, object]]:
    """The memories for the manifest: base is the byte address, stride is in bytes per word."""
    return [
        {
            "name": place.window.name,
            "base": place.address,
            "depth": place.window.depth,
            "width": place.window.width,
            "stride": 4 * place.window.stride,
        }
        for place in place_windows(windows)
    ]
