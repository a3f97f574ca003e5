# SPDX-License-Identifier: Apache-2.0
"""What each kind of cell is: its gates, its state, and one step of it in integers and in floats.

A cell turns the gates' pre-activations into the next state, unit by unit; the matrix-vector
products before it belong to the layer's paths.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arithmetic import Ints, Reals
from ..errors import UserError
from .graph import FORMATS, MOST_C_EXPONENT, MOST_WIDE, Graph, Node
from .levels import with_means
from .stages import Stage, split
from .state import Numbers, State, named_inputs
from .steps import Integers, count_products, real_values
from .values import C, H, V, Value

__all__ = ["Cell", "describe"]

MOST_GATES = 4
MOST_NORMED_GATES = 8
"""Of a cell with means, which may take its products apart."""
RESERVED = ("mean_", "sum_", "layer_", "c_exponent", "vector_shift")
"""What the names of gates and vectors must not begin with."""
STATES = {"c": C, "h": H}


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One kind of cell; `describe` makes it.

    name: its kind. equations: the description, from the names of its parameters.
    formats: for each of its gates, the names of the pre-activations that it takes in the order of
        its bias rows, their int16 format: "gate" (Q3.12), "wide" (Q(3 + e_c), of a cell without c),
        "c" (Q(e_c)) or "h" (Q(e_h)).
    feeds: for each source that its paths may read, the gates that these may feed. "h" and "rh"
        make the layer recurrent.
    bounded: h stays within +-1, so its exponent is 0 and needs no calibration.
    c_like_h: c and h have the same exponent.
    norms: by name, gates that the cell normalizes together, whose pre-activations so count up to a
        common factor; "c" is the cell state. Each has a vector "epsilon_NAME", see `norm`.
    candidate: the gate whose recurrent path keeps 16 bits where quantization skips it, or "".
    stage_names: one more than it makes sources.
    vectors: names of the vectors that it reads. reads_input: unit k also reads element k of the
        layer's input, as `Numbers.skip`. has_c: there is a cell state besides h.
    values: what it leaves of "c" and "h", and the source "rh" where it makes one.
    """

    name: str
    formats: Mapping[str, str]
    feeds: Mapping[str, tuple[str, ...]]
    bounded: bool
    c_like_h: bool
    candidate: str
    norms: Mapping[str, tuple[str, ...]]
    stage_names: tuple[str, ...]
    vectors: tuple[str, ...]
    reads_input: bool
    values: Mapping[str, Value]

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
    def has_c(self) -> bool:
        return "c" in self.values

    @property
    def most_c_exponent(self) -> int:
        """Largest e_c that its shifts are made for."""
        return MOST_C_EXPONENT if self.has_c else MOST_WIDE

    @property
    def wide(self) -> bool:
        """Whether e_c is how much wider than Q3.12 some pre-activations are, for lack of a c."""
        return "wide" in self.formats.values()

    @cached_property
    def state(self) -> tuple[str, ...]:
        """Which of "c" and "h" a step needs of the step before; none: every step is on its own."""
        read = _read(self.values.values())
        needs_h = self.recurrent or "h" in read
        return ("c",) * ("c" in read) + ("h",) * needs_h

    @cached_property
    def takes_means(self) -> bool:
        """Whether it needs means over the layer's units."""
        return any(value.op == "mean" for value in _reached(self.values.values()))

    @cached_property
    def _candidates(self) -> tuple[Value, ...]:
        """What `mix` takes of vectors and several pre-activations, and no table holds in +-1."""
        mixed = [value.args[0] for value in _reached(self.values.values()) if value.op == "mix"]
        plain = ("table", "clip", "const", "input")
        mixed = [value for value in mixed if _source(value).op not in plain]
        return tuple(value for value in mixed if not _read([value]) & {*STATES, "skip"})

    @cached_property
    def products(self) -> int:
        """Multiplications of a unit in a step, besides the matrix-vector products."""
        return count_products(tuple(self.values.values())) + self.reads_input

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """What the hardware does one after the other over all units of a layer."""
        late = self.feeds.get("rh", ())
        if self.takes_means:
            if late:
                raise UserError(f"{self.nodes['rh'].line}: a cell with means cannot make a source")
            found: tuple[Stage, ...] = (
                with_means(self.name, self.gates, self.nodes, self.vectors),
            )
        else:
            found = split(self.name, self.gates, late, self.nodes, self.stage_names, self.vectors)
        return tuple(replace(stage, most_c_exponent=self.most_c_exponent) for stage in found)

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """What it leaves of "c" and "h", and the source "rh" where it makes one, in integers."""
        return _nodes(self)

    @cached_property
    def _states(self) -> Integers:
        return Integers([self.nodes[name] for name in STATES if name in self.nodes])

    @cached_property
    def _source(self) -> Integers:
        return Integers([self.nodes["rh"]])

    def step(self, p: Mapping[str, Ints], state: State, numbers: Numbers) -> State:
        """The state after a step, from p by gate and the state before: int16 held in int64."""
        found = self._states(
            named_inputs(p, state, numbers), numbers.c_exponent, numbers.vector_shift
        )
        return State(*found) if self.has_c else State(state.c, found[0])

    def float_step(self, p: Mapping[str, Reals], state: State, numbers: Numbers) -> State:
        """The same in float64."""
        values = [self.values[name] for name in STATES if name in self.values]
        found = real_values(values, named_inputs(p, state, numbers))
        return State(*found) if self.has_c else State(state.c, found[0])

    def float_candidates(
        self, p: Mapping[str, Reals], vectors: Mapping[str, np.ndarray]
    ) -> list[Reals]:
        """What a cell whose h is not bounded makes of them and mixes with its state, in float64.

        The state's words must hold it, however small its share. What is a pre-activation itself,
        or within +-1, is not among it.
        """
        return [] if self.bounded else real_values(self._candidates, {**vectors, **p})

    @property
    def middle(self) -> Callable[[Mapping[str, Ints], State, Numbers], Ints] | None:
        """(p by gate, state before, numbers) -> the values of source "rh", where it makes one.

        Needs only pre-activations that "rh" does not feed.
        """
        return self._middle if "rh" in self.values else None

    @property
    def float_middle(self) -> Callable[[Mapping[str, Reals], State, Numbers], Reals] | None:
        """The same in float64."""
        return self._float_middle if "rh" in self.values else None

    def _middle(self, p: Mapping[str, Ints], state: State, numbers: Numbers) -> Ints:
        inputs = named_inputs(p, state, numbers)
        return self._source(inputs, numbers.c_exponent, numbers.vector_shift)[0]

    def _float_middle(self, p: Mapping[str, Reals], state: State, numbers: Numbers) -> Reals:
        result: Reals = real_values([self.values["rh"]], named_inputs(p, state, numbers))[0]
        return result


def describe(
    *,
    x: str,
    h: str = "",
    rh: str = "",
    inputs: str = "",
    formats: Mapping[str, str] | None = None,
    bounded: bool = False,
    c_like_h: bool = False,
    candidate: str = "",
    norms: Mapping[str, str] | None = None,
    name: str = "",
    stages: tuple[str, ...] = (),
) -> Callable[[Callable[..., Mapping[str, Value]]], Cell]:
    """A decorator that makes a cell of its equations: a function of values that returns values.

    Parameters of the function, by name: the gates' pre-activations, in the order of the bias rows;
    c and h, the states before; skip, the unit's element of the layer's input; all others are
    vectors. It returns what c and h are after the step, as {"c": ..., "h": ...}, and, as "rh", the
    source that it makes in the middle of the step.

    x, h, rh: the gates that a path from each source feeds, with spaces between. inputs: names of
    the parameters, where the function takes them as **v. formats: of the gates that are not in
    Q3.12, "wide", "c" or "h". norms: by name, gates that are normalized together, with spaces
    between. name: the cell's kind, where it is not the function's name. Everything else is as in
    `Cell`. Raises UserError with the line of what is
    wrong.
    """

    def make(function: Callable[..., Mapping[str, Value]]) -> Cell:
        place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
        feeds = {s: tuple(text.split()) for s, text in (("x", x), ("h", h), ("rh", rh)) if text}
        fed = {gate for gates in feeds.values() for gate in gates}
        parameters = inputs.split() or list(inspect.signature(function).parameters)
        gates = [each for each in parameters if each in fed]
        others = [each for each in parameters if each not in fed and each not in ("c", "h", "skip")]
        given = {each: Value("input", attr=each, line=place) for each in parameters}
        _check(place, feeds, gates, candidate, parameters)
        values = function(**given)
        own = dict(formats or {})
        cell = Cell(
            name=name or function.__name__,
            formats={gate: own.get(gate, "gate") for gate in gates},
            feeds=feeds,
            bounded=bounded,
            c_like_h=c_like_h,
            candidate=candidate,
            norms={name: tuple(text.split()) for name, text in (norms or {}).items()},
            stage_names=stages or (name or function.__name__,),
            vectors=tuple(others),
            reads_input="skip" in parameters,
            values={key: values[key] for key in ("c", "h", "rh") if key in values},
        )
        _check_values(place, cell, values, parameters)
        assert cell.stages  # what cannot be held is refused here
        return cell

    return make


def _check(
    place: str,
    feeds: Mapping[str, tuple[str, ...]],
    gates: list[str],
    candidate: str,
    parameters: list[str],
) -> None:
    for name in parameters:
        if name.startswith(RESERVED):
            raise UserError(
                f"{place}: parameter {name}, the hardware has names that begin with "
                f"{', '.join(RESERVED)}; choose another"
            )
    fed = {gate for each in feeds.values() for gate in each}
    if missing := sorted(fed - {*gates}):
        raise UserError(f"{place}: the paths feed {', '.join(missing)}, no parameter has that name")
    recurrent = {gate for source, each in feeds.items() if source != "x" for gate in each}
    if (candidate in recurrent) != bool(recurrent):
        raise UserError(
            f"{place}: candidate {candidate!r}, it must be a gate that a path from h or rh feeds, "
            f"of {', '.join(sorted(recurrent)) or 'none: leave it out'}"
        )


def _check_values(
    place: str, cell: Cell, values: Mapping[str, Value], parameters: list[str]
) -> None:
    most = MOST_NORMED_GATES if cell.takes_means else MOST_GATES
    if not 1 <= len(cell.gates) <= most:
        raise UserError(f"{place}: {len(cell.gates)} gates, a cell has 1..{most}")
    if unknown := values.keys() - {"c", "h", "rh"}:
        raise UserError(f"{place}: it returns {', '.join(sorted(unknown))}, it may c, h and rh")
    if "h" not in values:
        raise UserError(f"{place}: h is never written; return it")
    if "c" in parameters and not cell.has_c:
        raise UserError(f"{place}: c is read and never written; return it, or use h")
    if cell.wide and cell.has_c:
        raise UserError(
            f"{place}: a gate is wide, and there is a c, whose e_c it would be; use c's"
        )
    if "c" in cell.formats.values() and not cell.has_c:
        raise UserError(f"{place}: a gate has c's format, and there is no c; use h's")
    if cell.c_like_h and not cell.has_c:
        raise UserError(f"{place}: c_like_h, and there is no c; leave it out")
    if ("rh" in cell.values) != ("rh" in cell.feeds):
        raise UserError(f"{place}: rh must be returned if, and only if, a path reads it")
    if len(cell.stage_names) != 1 + ("rh" in cell.values):
        raise UserError(
            f"{place}: stages {cell.stage_names}, one name is needed for each; a source makes two"
        )
    read = _read(values.values())
    if unused := [each for each in parameters if each not in read]:
        raise UserError(f"{place}: {', '.join(unused)} is never read; leave it out")


def _read(values: Iterable[Value]) -> set[object]:
    """Names of the inputs that these need."""
    return {value.attr for value in _reached(values) if value.op == "input"}


def _source(value: Value) -> Value:
    """What a value is before it was rounded, cut off or read in another format."""
    while value.op in ("rshr", "sat", "relu", "reread"):
        value = value.args[0]
    return value


def _reached(values: Iterable[Value]) -> Iterable[Value]:
    """All values that these need, and themselves."""
    seen: dict[int, Value] = {}
    left = [*values]
    while left:
        value = left.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            left += value.args
    return seen.values()


def _nodes(cell: Cell) -> dict[str, Node]:
    formats = {gate: FORMATS[name] for gate, name in cell.formats.items()}
    formats |= STATES | dict.fromkeys(cell.vectors, V) | {"skip": H}
    graph = Graph(formats, bounded=cell.bounded, c_like_h=cell.c_like_h, most=cell.most_c_exponent)
    outputs = STATES | {"rh": H}
    return {name: graph.word(v, outputs[name], name) for name, v in cell.values.items()}
