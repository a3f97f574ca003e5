# SPDX-License-Identifier: Apache-2.0
"""What a cell is described in: a few operations on values that stand for a unit's numbers.

A value is an expression, nothing is computed when it is made. In real numbers, `rshr` and `sat16`
do nothing and `mix` is (1 - share) * a + share * b; in integers, each operation is the one of that
name in docs/arithmetic.md. A value's format follows from what it is made of:

    sigmoid, tanh            int16 Q3.12 (GATE) in, Q0.15 (UNIT) out
    table(f, v)              any function of reals: int16 in and out, GATE and UNIT or as `takes`
                             and `gives` say
    a + b, a - b             both of one format; a number takes that of the other one
    a * b                    the formats' fraction bits, added; a number is Q0.15
    rshr(v, format)          v in this format, half rounded up: the shift is what is between them
    reread(v, format)        v's integer in another format, where a power of two does not count
    mix(a, share, b)         a and b of one format, share Q0.15 within 0..1
    within(v, limit)         both of one format, limit at least 0
    mean(v, ..)              v's format, one number for all units of the layer and all arguments
    over_root(v, s, format)  in a fixed format; s is positive, with an even number of fraction bits
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import activations
from ..arithmetic import Reals
from ..errors import UserError

__all__ = [
    "GATE",
    "UNIT",
    "WIDE",
    "C",
    "Format",
    "Function",
    "H",
    "V",
    "Value",
    "hard_sigmoid",
    "hard_tanh",
    "mean",
    "mix",
    "over_root",
    "relu",
    "reread",
    "rshr",
    "sat16",
    "sigmoid",
    "source",
    "table",
    "tanh",
    "within",
]


@dataclass(frozen=True, slots=True)
class Format:
    """Fraction bits of an integer: fraction - c * e_c - h * e_h - v * e_v."""

    fraction: int
    c: int = 0
    h: int = 0
    v: int = 0

    def __add__(self, other: "Format") -> "Format":
        return Format(
            self.fraction + other.fraction, self.c + other.c, self.h + other.h, self.v + other.v
        )

    def __sub__(self, other: "Format") -> "Format":
        return Format(
            self.fraction - other.fraction, self.c - other.c, self.h - other.h, self.v - other.v
        )

    def __str__(self) -> str:
        exponents = {"e_c": self.c, "e_h": self.h, "e_v": self.v}
        parts = [f" - {n if n != 1 else ''}{name}" for name, n in exponents.items() if n]
        return f"{self.fraction}{''.join(parts)} fraction bits".replace("- -", "+ ")


GATE = Format(12)
"""Q3.12: what enters sigmoid and tanh."""
UNIT = Format(15)
"""Q0.15: what leaves them."""
WIDE = Format(12, c=1)
"""Q(3 + e_c).(12 - e_c): a pre-activation that enters no table, of a cell without c."""
C = Format(15, c=1)
"""Q(e_c).(15-e_c): the cell state."""
H = Format(15, h=1)
"""Q(e_h).(15-e_h): the output; UNIT in a cell that bounds it, C where both are alike."""
V = Format(15, v=1)
"""Q(e_v).(15-e_v): the vectors."""
NORMAL = Format(13)
"""Of a positive number divided by a power of 4, so that it is within 1..4."""


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """A function of one value: its table in integers, from a format to a format, and in reals."""

    name: str
    table: activations.Table | activations.Curve
    real: Callable[[Reals], Reals]
    takes: Format = GATE
    gives: Format = UNIT


class Value:
    """A number of each unit: an operation on other values, and the line that it is written in."""

    __slots__ = ("args", "attr", "line", "op")

    def __init__(
        self, op: str, args: tuple["Value", ...] = (), attr: object = None, line: str = ""
    ) -> None:
        self.op, self.args, self.attr = op, args, attr
        self.line = line or _line()

    def __add__(self, other: "Value | float") -> "Value":
        return Value("add", (self, _value(other)))

    def __radd__(self, other: float) -> "Value":
        return Value("add", (_value(other), self))

    def __sub__(self, other: "Value | float") -> "Value":
        return Value("sub", (self, _value(other)))

    def __rsub__(self, other: float) -> "Value":
        return Value("sub", (_value(other), self))

    def __mul__(self, other: "Value | float") -> "Value":
        return Value("mul", (self, _value(other)))

    def __rmul__(self, other: float) -> "Value":
        return Value("mul", (_value(other), self))

    def __neg__(self) -> "Value":
        return Value("sub", (_value(0), self))


def sigmoid(p: Value) -> Value:
    """1 / (1 + exp(-p))."""
    return Value("table", (p,), _sigmoid())


def tanh(p: Value) -> Value:
    """The hyperbolic tangent."""
    return Value("table", (p,), _tanh())


def table(
    function: Callable[[Reals], Reals], p: Value, *, takes: Format = GATE, gives: Format = UNIT
) -> Value:
    """Any function of reals, a NumPy one: in integers, 512 straight lines over p's int16 words.

    takes, gives: fixed formats of p and of the result, which is saturated to int16.
    """
    return Value("table", (p,), _curve(function, takes, gives))


def relu(v: Value) -> Value:
    """max(v, 0)."""
    return Value("relu", (v,))


def hard_sigmoid(p: Value, slope: float = 0.2) -> Value:
    """slope * p + 1/2 within 0..1; the slope is 0.2 in ONNX, 1/6 in PyTorch and Keras 3."""
    return relu(Value("clip", (rshr(slope * p, UNIT) + 0.5,)))


def hard_tanh(p: Value) -> Value:
    """p within -1..1."""
    return Value("clip", (rshr(p, UNIT),))


def rshr(v: Value, to: Format) -> Value:
    """v in another format, half rounded up; in reals, v."""
    return Value("rshr", (v,), to)


def reread(v: Value, to: Format) -> Value:
    """v's integer, read in another format; in reals, v.

    So it is v times a power of two: for what is normalized, which takes that away.
    """
    return Value("reread", (v,), to)


def sat16(v: Value) -> Value:
    """v saturated to 16 bits; in reals, v."""
    return Value("sat", (v,))


def mix(a: Value | float, share: Value, b: Value | float) -> Value:
    """(1 - share) * a + share * b: in integers sat16(a + rshr(share * (b - a), 15))."""
    return Value("mix", (_value(a), share, _value(b)))


def within(v: Value, limit: Value | float) -> Value:
    """v within -limit..limit, both of one format; the limit must not be negative."""
    return Value("within", (v, _value(limit)))


def mean(*values: Value) -> Value:
    """The mean over the layer's units, and over the values: one number for all of them."""
    total, *others = values
    for value in others:
        total = total + value
    return Value("mean", (total,), len(values))


def over_root(v: Value, square: Value, to: Format) -> Value:
    """v / sqrt(square), in a fixed format: with a relative error of 2**-13 and half a unit."""
    return Value("over_root", (v, square), (to, _inverse_root()))


def source(name: str, v: Value) -> Value:
    """v, which the paths from `name` read: the gates that these feed are known after it."""
    return Value("source", (v,), name)


def _value(number: "Value | float") -> Value:
    return number if isinstance(number, Value) else Value("const", attr=float(number))


@cache
def _inverse_root() -> Function:
    def real(x: Reals) -> Reals:
        result: Reals = np.maximum(x, 0.25) ** -0.5  # finite; the numbers are 1..4
        return result

    contents = activations.curve(real, NORMAL.fraction, UNIT.fraction)
    return Function("inverse_root", contents, real, NORMAL, UNIT)


@cache
def _curve(function: Callable[[Reals], Reals], takes: Format, gives: Format) -> Function:
    name = getattr(function, "__name__", "table").replace("<lambda>", "table")
    for each in (takes, gives):
        if each.c or each.h or each.v:
            raise UserError(f"{_line()}: {name} has {each}, a table's formats must be fixed")
    try:
        with np.errstate(all="ignore"):  # what is not finite is an error of the description's
            contents = activations.curve(function, takes.fraction, gives.fraction)
    except ValueError as error:
        low, high = (end * 2.0**-takes.fraction for end in (-32768, 32768))
        raise UserError(
            f"{_line()}: {name} is NaN or infinite somewhere in {low:g}..{high:g}, it must be a "
            "finite number; limit it there with np.maximum or np.clip"
        ) from error
    return Function(name, contents, function, takes, gives)


def _line() -> str:
    """FILE:LINE of the innermost caller outside this module."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@cache
def _sigmoid() -> Function:
    def real(x: Reals) -> Reals:
        result: Reals = 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows
        return result

    return Function("sigmoid", activations.sigmoid(), real)


@cache
def _tanh() -> Function:
    return Function("tanh", activations.tanh(), np.tanh)
