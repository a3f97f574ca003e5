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


def lstm_stages(
    gates: Sequence[str],
    *,
    exponents: Sequence[int],
    peephole: bool = False,
    norm: bool = False,
    clip: bool = False,
) -> tuple[Stage, ...]:
    """The stages of an LSTM with these gates, for cell states of these e_c, rising.

    peephole: its gates but g see the cell state, weighted by the vectors "v_GATE". norm: its gates
    are normalised before it takes them, and have seen the cell state; what o sees is all units' new
    one, so that there is a stage for c and one for h then. clip: its cell state has a clip.
    """
    given = tuple(exponents)
    if norm and peephole:
        return _c_stage(tuple(gates), given, clip), _h_stage(given)
    return (_lstm_stage(tuple(gates), given, peephole, norm, clip),)


def find_stage(name: str) -> Stage | None:
    """The stage of this name, None where it is none of integer-only LSTMs."""
    if name == LINEAR:
        return linear_stage()
    found = re.fullmatch(
        "integer_lstm(_coupled)?(_norm)?(_peephole)?(_state|_output)?(_clip)?_c([0-6]+)", name
    )
    if found is None or [*found[6]] != sorted({*found[6]}):
        return None
    parts = dict(zip(("norm", "peephole", "clip"), map(bool, found.group(2, 3, 5)), strict=True))
    gates = COUPLED if found[1] else GATES
    stages = lstm_stages(gates, exponents=[int(e) for e in found[6]], **parts)
    return next((stage for stage in stages if stage.name == name), None)


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


def _name(exponents: tuple[int, ...], **parts: bool) -> str:
    there = [part for part, is_there in parts.items() if is_there]
    return "_".join(["integer_lstm", *there, f"c{''.join(map(str, exponents))}"])


@cache
def _lstm_stage(
    gates: tuple[str, ...], exponents: tuple[int, ...], peephole: bool, norm: bool, clip: bool
) -> Stage:

    def gate(name: str, c: Node) -> Node:
        p = _input(name, 16)
        if not peephole:
            return p
        seen = _mul(_input(f"v_{name}", 16), c)
        return _sat(_add(p, _rescale(seen, name, PART_BITS)), 16)

    old = _input("c", 16)
    i = gate("i", old) if "i" in gates else None
    c = _next_c(i, gate("f", old), old, exponents, clip)
    return Stage(
        name=_name(exponents, coupled=gates == COUPLED, norm=norm, peephole=peephole, clip=clip),
        gates=gates,
        outputs={"c": c, "h": _next_h(gate("o", c), c, exponents)},
        vectors=tuple(f"v_{gate}" for gate in gates if gate != "g") if peephole else (),
        most_c_exponent=MOST_CELL - LEAST_CELL,
        prepared=frozenset({"norm"} if norm else ()),
    )


_PREPARED = frozenset({"norm", "norm_c"})


@cache
def _c_stage(gates: tuple[str, ...], exponents: tuple[int, ...], clip: bool) -> Stage:
    """The first of two: the next c, and h as it was."""
    i = _input("i", 16) if "i" in gates else None
    c = _next_c(i, _input("f", 16), _input("c", 16), exponents, clip)
    parts = {"coupled": gates == COUPLED, "norm": True, "peephole": True, "state": True}
    return Stage(
        name=_name(exponents, **parts, clip=clip),
        gates=tuple(gate for gate in gates if gate != "o"),
        outputs={"c": c, "h": _input("h", 16)},
        last=False,
        most_c_exponent=MOST_CELL - LEAST_CELL,
        prepared=_PREPARED,
    )


@cache
def _h_stage(exponents: tuple[int, ...]) -> Stage:
    """The second one: h of c, which stays."""
    c = _input("c", 16)
    return Stage(
        name=_name(exponents, norm=True, peephole=True, output=True),
        gates=("o",),
        outputs={"c": c, "h": _next_h(_input("o", 16), c, exponents)},
        first=False,
        most_c_exponent=MOST_CELL - LEAST_CELL,
        prepared=_PREPARED,
    )


def _next_c(i: Node | None, f: Node, old: Node, exponents: tuple[int, ...], clip: bool) -> Node:
    """The cell state of the gates before their sigmoids; i None: coupled gates."""
    f = _lookup(_sigmoid(), f)
    i = _sub(_const(HIGH15), f) if i is None else _lookup(_sigmoid(), i)
    g = _lookup(_tanh((3,)), _input("g", 16))
    kept = _away(_mul(f, old), Shift(15, low=15, high=15))
    c = _sat(_add(kept, _away(_mul(i, g), _by_exponent(15, exponents))), 16)
    return _within(c, _constant("clip", 0, HIGH15)) if clip else c


def _next_h(o: Node, c: Node, exponents: tuple[int, ...]) -> Node:
    """The code of what is put out."""
    m = _mul(_lookup(_sigmoid(), o), _lookup(_tanh(exponents), c))
    m = _rescale(m, "hidden", OUT_BITS)
    return _sat(_add(m, _constant("zero", *code_range(9))), 8)


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
