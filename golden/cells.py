# SPDX-License-Identifier: Apache-2.0
"""What each kind of cell is: its gates, its state, and one step of it in integers and in floats.

A cell turns the gates' pre-activations into the next state, unit by unit; the matrix-vector
products before it belong to the layer's paths. To add a cell, add an entry to `CELLS`;
docs/cells.md says what each one is and where it comes from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import activations
from .arithmetic import Ints, Reals, rshr, sat16

Q3_12 = 3
"""Exponent of the pre-activations that enter sigmoid and tanh."""
ONE = 1 << 15
"""1 in Q0.15."""


class State(NamedTuple):
    """A layer's state over units: c int16 Q(e_c).(15-e_c), h int16 Q(e_h).(15-e_h), or reals."""

    c: np.ndarray
    h: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """What a step needs besides pre-activations and state; in reals for a float step.

    c_exponent: e_c. vectors: by name [units], int16 Q(e_v).(15-e_v). vector_shift: 18 - e_v - e_c,
    which takes v * c to Q3.12; both are of no use to a float step.
    skip: [.., units] in the format of h, the layer's input times its scale; None: there is none.
    """

    c_exponent: int = 0
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    vector_shift: int = 0
    skip: np.ndarray | None = None


Step = Callable[[Mapping[str, np.ndarray], State, Numbers], State]
Middle = Callable[[Mapping[str, np.ndarray], State], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One kind of cell.

    formats: for each of its gates, the names of the pre-activations that it takes in the order of
        its bias rows, their int16 format: "gate" (Q3.12), "c" (Q(e_c)) or "h" (Q(e_h)).
    feeds: for each source that its paths may read, the gates that these may feed. "h" and "rh"
        make the layer recurrent.
    step: (p by gate, state before, numbers) -> state after, on int16 values held in int64.
    float_step: the same in float64.
    bounded: h stays within +-1, so its exponent is 0 and needs no calibration.
    has_c: there is a cell state besides h. c_like_h: c and h have the same exponent.
    vectors: names of the vectors that it reads.
    reads_h: its step reads the h of the step before, whatever its paths read.
    reads_input: unit k also reads element k of the layer's input, as `Numbers.skip`.
    middle, float_middle: (p by gate, state before) -> the values of source "rh", where the cell
        has one. Needs only pre-activations that "rh" does not feed.
    candidate: the gate whose recurrent path keeps 16 bits where quantization skips it, or "".
    """

    formats: Mapping[str, str]
    feeds: Mapping[str, tuple[str, ...]]
    step: Step
    float_step: Step
    bounded: bool = False
    has_c: bool = False
    c_like_h: bool = False
    vectors: tuple[str, ...] = ()
    reads_h: bool = False
    reads_input: bool = False
    middle: Middle | None = None
    float_middle: Middle | None = None
    candidate: str = ""

    @property
    def gates(self) -> tuple[str, ...]:
        return tuple(self.formats)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.feeds)

    @property
    def recurrent(self) -> bool:
        """Whether a path reads what the layer itself put out."""
        return self.sources != ("x",)

    @property
    def state(self) -> tuple[str, ...]:
        """Which of "c" and "h" a step needs of the step before; none: every step is on its own."""
        return ("c",) * self.has_c + ("h",) * (self.recurrent or self.reads_h)


P = Mapping[str, Ints]
RealP = Mapping[str, Reals]


def _sigmoid(x: Reals) -> Reals:
    result: Reals = 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows
    return result


def _lstm(p: P, state: State, numbers: Numbers) -> State:
    return _lstm_update(p, activations.sigmoid()(p["i"]), state, numbers)


def _lstm_cifg(p: P, state: State, numbers: Numbers) -> State:
    return _lstm_update(p, ONE - activations.sigmoid()(p["f"]), state, numbers)


def _lstm_update(p: P, i: Ints, state: State, numbers: Numbers) -> State:
    sigmoid = activations.sigmoid()
    c = _lstm_c(i, sigmoid(p["f"]), p["g"], state, numbers)
    return State(c, _lstm_h(sigmoid(p["o"]), c, numbers))


def _lstm_c(i: Ints, f: Ints, p_g: Ints, state: State, numbers: Numbers) -> Ints:
    g = activations.tanh()(p_g)
    return sat16(rshr(f * state.c, 15) + rshr(i * g, 15 + numbers.c_exponent))


def _lstm_h(o: Ints, c: Ints, numbers: Numbers) -> Ints:
    return sat16(rshr(o * activations.tanh()(sat16(rshr(c, Q3_12 - numbers.c_exponent))), 15))


def _lstm_peephole(p: P, state: State, numbers: Numbers) -> State:
    sigmoid = activations.sigmoid()
    i = sigmoid(_peep(p["i"], "v_i", state.c, numbers))
    f = sigmoid(_peep(p["f"], "v_f", state.c, numbers))
    c = _lstm_c(i, f, p["g"], state, numbers)
    o = sigmoid(_peep(p["o"], "v_o", c, numbers))
    return State(c, _lstm_h(o, c, numbers))


def _peep(p: Ints, name: str, c: Ints, numbers: Numbers) -> Ints:
    """p + v * c in Q3.12."""
    return sat16(p + rshr(numbers.vectors[name] * c, numbers.vector_shift))


def _lstm_float(p: RealP, state: State, numbers: Numbers) -> State:
    i, f, o = _sigmoid(p["i"]), _sigmoid(p["f"]), _sigmoid(p["o"])
    c = f * state.c + i * np.tanh(p["g"])
    return State(c, o * np.tanh(c))


def _lstm_peephole_float(p: RealP, state: State, numbers: Numbers) -> State:
    v = numbers.vectors
    i, f = _sigmoid(p["i"] + v["v_i"] * state.c), _sigmoid(p["f"] + v["v_f"] * state.c)
    c = f * state.c + i * np.tanh(p["g"])
    return State(c, _sigmoid(p["o"] + v["v_o"] * c) * np.tanh(c))


def _lstm_cifg_float(p: RealP, state: State, numbers: Numbers) -> State:
    f, o = _sigmoid(p["f"]), _sigmoid(p["o"])
    c = f * state.c + (1 - f) * np.tanh(p["g"])
    return State(c, o * np.tanh(c))


def _mix(a: Ints, share: Ints, b: Ints) -> Ints:
    """a + share * (b - a), share in Q0.15."""
    return sat16(a + rshr(share * (b - a), 15))


def _gru(p: P, state: State, numbers: Numbers) -> State:
    sigmoid, tanh = activations.sigmoid(), activations.tanh()
    r, z = sigmoid(p["r"]), sigmoid(p["z"])
    n = tanh(sat16(p["nx"] + rshr(r * p["nh"], 15)))
    return State(state.c, _mix(n, z, state.h))


def _gru_float(p: RealP, state: State, numbers: Numbers) -> State:
    r, z = _sigmoid(p["r"]), _sigmoid(p["z"])
    n = np.tanh(p["nx"] + r * p["nh"])
    return State(state.c, (1 - z) * n + z * state.h)


def _reset(p: P, state: State) -> Ints:
    return rshr(activations.sigmoid()(p["r"]) * state.h, 15)


def _reset_float(p: RealP, state: State) -> Reals:
    result: Reals = _sigmoid(p["r"]) * state.h
    return result


def _gru_before(p: P, state: State, numbers: Numbers) -> State:
    z, n = activations.sigmoid()(p["z"]), activations.tanh()(p["n"])
    return State(state.c, _mix(n, z, state.h))


def _gru_before_float(p: RealP, state: State, numbers: Numbers) -> State:
    z, n = _sigmoid(p["z"]), np.tanh(p["n"])
    return State(state.c, (1 - z) * n + z * state.h)


def _ligru(p: P, state: State, numbers: Numbers) -> State:
    a, z = np.maximum(p["a"], 0), activations.sigmoid()(p["z"])
    return State(state.c, _mix(a, z, state.h))


def _ligru_float(p: RealP, state: State, numbers: Numbers) -> State:
    a, z = np.maximum(p["a"], 0), _sigmoid(p["z"])
    return State(state.c, (1 - z) * a + z * state.h)


def _sru(p: P, state: State, numbers: Numbers) -> State:
    sigmoid = activations.sigmoid()
    f = sigmoid(_peep(p["f"], "v_f", state.c, numbers))
    r = sigmoid(_peep(p["r"], "v_r", state.c, numbers))
    c = _mix(p["u"], f, state.c)
    return State(c, _mix(_skip(p, c, numbers), r, c))


def _sru_float(p: RealP, state: State, numbers: Numbers) -> State:
    f = _sigmoid(p["f"] + numbers.vectors["v_f"] * state.c)
    r = _sigmoid(p["r"] + numbers.vectors["v_r"] * state.c)
    c = f * state.c + (1 - f) * p["u"]
    return State(c, r * c + (1 - r) * _skip(p, c, numbers))


def _skip(p: Mapping[str, np.ndarray], c: np.ndarray, numbers: Numbers) -> np.ndarray:
    """What an SRU's highway lets through besides c: a gate of its own, the input, or nothing."""
    if "s" in p:
        return p["s"]
    return np.zeros_like(c) if numbers.skip is None else numbers.skip


def _linear(p: Mapping[str, np.ndarray], state: State, numbers: Numbers) -> State:
    return State(state.c, p["y"])


def _sru_cell(*, skip_gate: bool = False, reads_input: bool = False) -> Cell:
    formats = {"u": "c", "f": "gate", "r": "gate"} | ({"s": "h"} if skip_gate else {})
    return Cell(
        formats=formats,
        feeds={"x": tuple(formats)},
        step=_sru,
        float_step=_sru_float,
        has_c=True,
        c_like_h=True,
        vectors=("v_f", "v_r"),
        reads_input=reads_input,
    )


CELLS: Mapping[str, Cell] = {
    "lstm": Cell(
        formats=dict.fromkeys(("i", "f", "g", "o"), "gate"),
        feeds={"x": ("i", "f", "g", "o"), "h": ("i", "f", "g", "o")},
        step=_lstm,
        float_step=_lstm_float,
        bounded=True,
        has_c=True,
        candidate="g",
    ),
    "lstm_cifg": Cell(
        formats=dict.fromkeys(("f", "g", "o"), "gate"),
        feeds={"x": ("f", "g", "o"), "h": ("f", "g", "o")},
        step=_lstm_cifg,
        float_step=_lstm_cifg_float,
        bounded=True,
        has_c=True,
        candidate="g",
    ),
    "lstm_peephole": Cell(
        formats=dict.fromkeys(("i", "f", "g", "o"), "gate"),
        feeds={"x": ("i", "f", "g", "o"), "h": ("i", "f", "g", "o")},
        step=_lstm_peephole,
        float_step=_lstm_peephole_float,
        bounded=True,
        has_c=True,
        vectors=("v_i", "v_f", "v_o"),
        candidate="g",
    ),
    "gru": Cell(
        formats=dict.fromkeys(("r", "z", "nx", "nh"), "gate"),
        feeds={"x": ("r", "z", "nx"), "h": ("r", "z", "nh")},
        step=_gru,
        float_step=_gru_float,
        reads_h=True,
        bounded=True,
        candidate="nh",
    ),
    "gru_before": Cell(
        formats=dict.fromkeys(("r", "z", "n"), "gate"),
        feeds={"x": ("r", "z", "n"), "h": ("r", "z"), "rh": ("n",)},
        step=_gru_before,
        float_step=_gru_before_float,
        reads_h=True,
        bounded=True,
        middle=_reset,
        float_middle=_reset_float,
        candidate="n",
    ),
    "ligru": Cell(
        formats={"a": "h", "z": "gate"},
        feeds={"x": ("a", "z"), "h": ("a", "z")},
        step=_ligru,
        float_step=_ligru_float,
        reads_h=True,
        candidate="a",
    ),
    "sru": _sru_cell(reads_input=True),
    "sru4": _sru_cell(skip_gate=True),
    "sru0": _sru_cell(),
    "linear": Cell(formats={"y": "h"}, feeds={"x": ("y",)}, step=_linear, float_step=_linear),
}
