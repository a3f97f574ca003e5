# SPDX-License-Identifier: Apache-2.0
"""The elementwise part of the integer LSTM as a cell's stage: what the hardware is made of.

It is `lstm.step` once more, in the nodes of `golden.cells`, so that the cell's pipeline is
scheduled as all are. What a layer's units share, multipliers and clips, are its constants: inputs
whose names begin with "layer_". c is Q(e_c).(15-e_c), with e_c = 15 + log2 of its scale.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..arithmetic import Ints, code_range
from ..cells.nodes import Node, Operation, Shift
from ..cells.stages import Stage
from ..cells.values import Format
from .activations import sigmoid_table, tanh_table
from .arithmetic import HIGH15, clamp, rescale
from .layers import LEAST_CELL, MOST_CELL
from .shape import COUPLED, GATES

MOST_SHIFT = 31
"""Of a rescaling's shift to the right, behind its product."""
OUT_BITS = 10
"""A rescaled sum that is saturated to this gives the same code, whatever the zero point."""
_FORMAT = Format(0)


@dataclass(frozen=True, eq=False, slots=True)
class Lookup:
    """A function that is given word by word.

    tables: [65536] int16 of every word, negative ones at the end, where NumPy finds them: one under
    None, or one for each of several e_c.
    """

    name: str
    tables: Mapping[int | None, Ints]

    @property
    def alone(self) -> bool:
        """Whether it is the same for every e_c."""
        return None in self.tables

    def run(self, e_c: int, *args: Ints) -> Ints:
        """Of words."""
        result: Ints = self.tables[None if self.alone else e_c][args[0]]
        return result


@dataclass(frozen=True, slots=True)
class Rescaling:
    """`arithmetic.rescale` by a multiplier and a shift to the right, saturated to bits."""

    bits: int
    name: str = "rescale"

    def run(self, e_c: int, *args: Ints) -> Ints:
        """Of value, multiplier and shift."""
        value, mult, shift = args
        return clamp(rescale(value, mult, -shift), *code_range(self.bits))


PART_BITS = 18
"""The same of a peephole's part of an int16 gate."""


def lstm_stage(
    gates: Sequence[str], *, exponents: Sequence[int], peephole: bool = False, clip: bool = False
) -> Stage:
    """The stage of an LSTM with these gates, for cell states of these e_c, rising.

    peephole: its gates but g see the cell state, weighted by the vectors "v_GATE". clip: its cell
    state has a clip.
    """
    return _lstm_stage(tuple(gates), tuple(exponents), peephole, clip)


def find_stage(name: str) -> Stage | None:
    """The stage of this name, None where it is none of integer-only LSTMs."""
    if name == LINEAR:
        return linear_stage()
    found = re.fullmatch("integer_lstm(_coupled)?(_peephole)?(_clip)?_c([0-6]+)", name)
    if found is None or [*found[4]] != sorted({*found[4]}):
        return None
    return lstm_stage(
        COUPLED if found[1] else GATES,
        exponents=[int(e) for e in found[4]],
        peephole=bool(found[2]),
        clip=bool(found[3]),
    )


LINEAR = "integer_linear"


@cache
def linear_stage() -> Stage:
    """The stage of a linear layer or a projection: its rescaled sums to codes in a range."""
    v = _sat(_add(_input("y", 16), _constant("zero", *code_range(9))), 9)
    low, high = (_constant(name, *code_range(8)) for name in ("low", "high"))
    above = _add(_relu(_sub(v, low)), low)
    h = _sub(high, _relu(_sub(high, above)))
    h = _node("sub", h.args, code_range(8))
    return Stage(name=LINEAR, gates=("y",), outputs={"h": h})


@cache
def _lstm_stage(
    gates: tuple[str, ...], exponents: tuple[int, ...], peephole: bool, clip: bool
) -> Stage:
    parts = {"coupled": gates == COUPLED, "peephole": peephole, "clip": clip}
    name = "_".join(["integer_lstm", *(part for part, there in parts.items() if there)])

    def gate(name: str, c: Node) -> Node:
        p = _input(name, 16)
        if not peephole:
            return p
        seen = _mul(_input(f"v_{name}", 16), c)
        return _sat(_add(p, _rescale(seen, name, PART_BITS)), 16)

    old = _input("c", 16)
    f = _lookup(_sigmoid(), gate("f", old))
    i = _lookup(_sigmoid(), gate("i", old)) if "i" in gates else _sub(_const(HIGH15), f)
    g = _lookup(_tanh((3,)), _input("g", 16))
    kept = _away(_mul(f, old), Shift(15, low=15, high=15))
    c = _sat(_add(kept, _away(_mul(i, g), _by_exponent(15, exponents))), 16)
    if clip:
        c = _within(c, _constant("clip", 0, HIGH15))
    m = _mul(_lookup(_sigmoid(), gate("o", c)), _lookup(_tanh(exponents), c))
    m = _rescale(m, "hidden", OUT_BITS)
    h = _sat(_add(m, _constant("zero", *code_range(9))), 8)
    return Stage(
        name=f"{name}_c{''.join(map(str, exponents))}",
        gates=gates,
        outputs={"c": c, "h": h},
        vectors=tuple(f"v_{gate}" for gate in gates if gate != "g") if peephole else (),
        most_c_exponent=MOST_CELL - LEAST_CELL,
    )


@cache
def _sigmoid() -> Lookup:
    return Lookup("sigmoid", {None: _by_word(sigmoid_table())})


@cache
def _tanh(integer_bits: tuple[int, ...]) -> Lookup:
    """Of one number of integer bits; or of several, which are e_c."""
    if len(integer_bits) == 1:
        return Lookup("tanh", {None: _by_word(tanh_table(integer_bits[0]))})
    return Lookup("tanh", {bits: _by_word(tanh_table(bits)) for bits in integer_bits})


def _by_word(table: Ints) -> Ints:
    """A table that begins with that of -32768, as `Lookup` has it."""
    return np.roll(table, 1 << 15)


def _by_exponent(fixed: int, exponents: Sequence[int]) -> Shift:
    low, high = fixed + exponents[0], fixed + exponents[-1]
    return Shift(fixed, 1, 0, low, high) if low < high else Shift(low, low=low, high=low)


def _node(op: str, args: tuple[Node, ...], ends: Sequence[int], attr: object = None) -> Node:
    return Node(op, args, attr, _FORMAT, min(ends), max(ends), __name__)


def _input(name: str, bits: int) -> Node:
    return _node("input", (), code_range(bits), name)


def _constant(name: str, low: int, high: int) -> Node:
    return _node("input", (), (low, high), f"layer_{name}")


def _const(value: int) -> Node:
    return _node("const", (), (value, value), (value, _FORMAT))


def _add(a: Node, b: Node) -> Node:
    return _node("add", (a, b), (a.low + b.low, a.high + b.high))


def _sub(a: Node, b: Node) -> Node:
    return _node("sub", (a, b), (a.low - b.high, a.high - b.low))


def _mul(a: Node, b: Node) -> Node:
    return _node("mul", (a, b), [x * y for x in (a.low, a.high) for y in (b.low, b.high)])


def _sat(v: Node, bits: int) -> Node:
    low, high = code_range(bits)
    return _node("sat", (v,), [min(max(end, low), high) for end in (v.low, v.high)], bits)


def _relu(v: Node) -> Node:
    return _node("relu", (v,), (0, max(v.high, 0)))


def _within(v: Node, limit: Node) -> Node:
    """v within -limit..limit."""
    below = _relu(_sub(limit, v))
    above = _relu(_sub(_add(limit, limit), below))
    return _node("sub", (above, limit), (max(v.low, -limit.high), min(v.high, limit.high)))


def _lookup(lookup: Lookup, v: Node) -> Node:
    ends = [int(end(table)) for table in lookup.tables.values() for end in (np.min, np.max)]
    return _own(lookup, (v,), ends)


def _own(operation: Operation, args: tuple[Node, ...], ends: Sequence[int]) -> Node:
    return _node("own", args, ends, operation)


def _away(v: Node, shift: Shift) -> Node:
    """`arithmetic.rounded_shift`: halves away from zero, so negative ones are moved down first."""
    down = _node("down", (v,), (v.low - (v.low < 0), v.high))
    amounts = (shift.low, shift.high)
    ends = [(end + (1 << n >> 1)) >> n for end in (down.low, down.high) for n in amounts]
    return _node("rshr", (down,), ends, shift)


def _rescale(v: Node, name: str, bits: int) -> Node:
    """`arithmetic.rescale` by the layer's multiplier and shift to the right, saturated to bits."""
    mult = _constant(f"{name}_mult", 0, (1 << 31) - 1)
    shift = _constant(f"{name}_shift", 0, MOST_SHIFT)
    return _own(Rescaling(bits), (v, mult, shift), code_range(bits))
