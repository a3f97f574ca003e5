# SPDX-License-Identifier: Apache-2.0
"""A quantized layer: its paths, its cell's numbers, its place among the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..arithmetic import GOLDEN_WIDTHS, Ints, code_range, rshr, sat, sat16
from ..cells import CELLS, Q3_12, Cell, Numbers
from ..cells.graph import MOST_WIDE
from ..checks import check, check_codes, check_range, check_scale, check_shape, check_width
from .graph import check_layer

BIAS_BITS = 20
MULT_BITS = 16
MAX_SHIFT = 40
MAX_VECTOR_SHIFT = 18
MAX_EXPONENT = 12
"""Of the int16 formats Q(e).(15-e) of inputs and states."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantizer:
    """int16 state or input -> activation code: sat(rshr(v * mult, shift) + zero_point, bits).

    Members
    -------
    scale: the real value of one code (for reports; the integers above are what counts).
    """

    bits: int
    mult: int
    shift: int
    zero_point: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_width("activation bits", self.bits, GOLDEN_WIDTHS)
        check_range("quantizer mult", self.mult, 0, 32767)
        check_range("quantizer shift", self.shift, 0, MAX_SHIFT)
        check_range("zero point", self.zero_point, *code_range(self.bits))
        check_scale("quantizer scale", self.scale)

    def __call__(self, values: Ints) -> Ints:
        return sat(rshr(values * self.mult, self.shift) + self.zero_point, self.bits)


TOKEN_EVENTS = 2
"""Of a step whose token is not that of the step before: that one goes off, the new one on."""
ONE_HOT = Quantizer(bits=2, mult=1, shift=0)
"""Of a path that reads tokens: the code of the element that is on is 1, that of the others 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """One quantized matrix-vector product.

    Members
    -------
    source: what it reads: "x" (the layer's input), "h" (the previous output of the layer itself, or
        of its projection, see `Layer.h_from`) or "rh" (what the cell makes of that in the middle of
        a step, in the format of h).
    gates: the cell's gates that it feeds.
    weights: [gates, units, columns] codes of `weight_bits` bits.
    mult: [gates, units] int16.
    shift: [gates]: sums become rshr(M * mult, shift).
    quantizer: makes activation codes of what the path reads.
    threshold: an element is sent iff |code - reference| > threshold, in codes; 0 is lossless.
    weight_scale: [gates, units], the real value of one weight code (for reports).
    tokens: the input is an index, read as the vector that is 1 there and 0 elsewhere; its path from
        x, whose quantizer is `ONE_HOT` and whose threshold 0.
    """

    source: str
    gates: tuple[str, ...]
    weights: Ints
    weight_bits: int
    quantizer: Quantizer
    mult: Ints
    shift: Ints
    threshold: int = 0
    weight_scale: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))
    tokens: bool = False

    def __post_init__(self) -> None:
        check("tokens", self.tokens, isinstance(self.tokens, bool), "true or false")
        if self.tokens:
            check("source", self.source, self.source == "x", "x, for a path that reads tokens")
            rule = f"{ONE_HOT}, for a path that reads tokens"
            check("quantizer", self.quantizer, self.quantizer == ONE_HOT, rule)
        check_width("weight bits", self.weight_bits, GOLDEN_WIDTHS)
        check_shape("weights", self.weights, (len(self.gates), None, None))
        check_codes("weights", self.weights, self.weight_bits)
        check_codes("mult", self.mult, MULT_BITS)
        check_shape("mult", self.mult, (len(self.gates), self.units))
        check_shape("shift", self.shift, (len(self.gates),))
        for shift in self.shift:
            check_range("shift", int(shift), 0, MAX_SHIFT)
        self.check_threshold(self.threshold)
        if self.weight_scale.shape != (1, 1):
            check_shape("weight_scale", self.weight_scale, (len(self.gates), self.units))
        for scale in (self.weight_scale.min(), self.weight_scale.max()):  # nan where one is nan
            check_scale("weight_scale", float(scale))

    def check_threshold(self, threshold: int) -> None:
        """Raise UserError where the path cannot have it."""
        if self.tokens:
            rule = "0 for a path that reads tokens, whose every change is sent"
            check("threshold", threshold, threshold == 0, rule)
        check_range("threshold", threshold, 0, (1 << self.quantizer.bits) - 1)

    @property
    def units(self) -> int:
        return int(self.weights.shape[1])

    @property
    def columns(self) -> int:
        return int(self.weights.shape[2])

    @property
    def rows(self) -> int:
        """Rows of the matrix: gates times units."""
        return len(self.gates) * self.units

    @property
    def matrix(self) -> Ints:
        """The weights as [rows, columns], gate by gate."""
        return self.weights.reshape(self.rows, self.columns)

    def of_gates(self, chosen: Sequence[int]) -> "Path":
        """What of it feeds these of its gates."""
        rows, scale = list(chosen), self.weight_scale
        return replace(
            self,
            gates=tuple(self.gates[n] for n in rows),
            weights=self.weights[rows],
            mult=self.mult[rows],
            shift=self.shift[rows],
            weight_scale=scale[rows] if len(scale) == len(self.gates) else scale,
        )

    @property
    def most_events(self) -> int:
        """Elements that can fire in one step: all, or of a token the old one and the new one."""
        return min(TOKEN_EVENTS, self.columns) if self.tokens else self.columns

    @property
    def bound(self) -> int:
        """No accumulator of this path ever exceeds this in magnitude (contract: accumulators)."""
        if self.tokens:  # at most one element is on
            return int(np.abs(self.matrix).max(initial=0))
        largest = int(np.abs(self.matrix).sum(axis=1).max(initial=0))
        low, high = code_range(self.quantizer.bits)
        zero = self.quantizer.zero_point
        return largest * max(high - zero, zero - low)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Paths, a cell and its numbers.

    Members
    -------
    name, kind: the layer's own name, and its cell's in `CELLS`.
    paths: a source may have several, which feed different gates.
    bias: [cell gates, units], int20 in the format of the pre-activations.
    c_exponent, h_exponent: state formats Q(e).(15-e); the same where the cell says so. Where the
        cell has no c but a wide gate, c_exponent is how much wider than Q3.12 that is, 0..3.
    vectors: the cell's, by name, [units] int16 codes.
    vector_shift: rshr(v * c, it) is in Q3.12.
    skip_mult, skip_shift: of a cell that reads the input: sat16(rshr(x * mult, shift)) is in the
        format of h.
    reads: names of the earlier layers whose outputs, one after the other, are its input; "frames"
        are the network's; none is the layer before. Such layers share one h_exponent.
    backward: it runs over a sequence from its last frame to its first; what it puts out still
        stands at the frame.
    h_from: the layer whose output of the step before is its source "h": the next one, an LSTM's
        linear projection. "": itself.
    initial: "c" and "h" [units], the state before a sequence's first frame, int16 codes in the
        state's formats; none is zeros. The "h" that an LSTM with a projection reads is that of the
        projection. References start at the code of "h".
    """

    name: str
    kind: str
    paths: tuple[Path, ...]
    bias: Ints
    c_exponent: int = 0
    h_exponent: int = 0
    vectors: Mapping[str, Ints] = field(default_factory=dict)
    vector_shift: int = 0
    skip_mult: int = 0
    skip_shift: int = 0
    reads: tuple[str, ...] = ()
    backward: bool = False
    h_from: str = ""
    initial: Mapping[str, Ints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check("cell", self.kind, self.kind in CELLS, f"one of {', '.join(CELLS)}")
        check_codes("bias", self.bias, BIAS_BITS)
        check_shape("bias", self.bias, (len(self.cell.gates), None))
        for what, exponent in (("c", self.c_exponent), ("h", self.h_exponent)):
            check_range(f"{what} exponent", exponent, 0, MAX_EXPONENT)
        if self.cell.wide:
            check_range(f"c exponent of {self.kind}", self.c_exponent, 0, MOST_WIDE)
        if self.cell.c_like_h:
            rule = f"the c exponent of {self.kind}, {self.c_exponent}"
            check("h exponent", self.h_exponent, self.h_exponent == self.c_exponent, rule)
        self._check_paths()
        self._check_vectors()
        if self.cell.reads_input:
            rule = f"{self.units} like the units, for {self.kind}"
            check("inputs", self.inputs, self.inputs == self.units, rule)
            check_range("skip mult", self.skip_mult, *code_range(MULT_BITS))
        else:
            check("skip mult", self.skip_mult, self.skip_mult == 0, f"0 for {self.kind}")
        check_range("skip shift", self.skip_shift, 0, MAX_SHIFT)
        check("backward", self.backward, isinstance(self.backward, bool), "true or false")
        check("h_from", self.h_from, isinstance(self.h_from, str), "a layer's name or empty")
        check_layer(self)
        for name, state in self.initial.items():
            check_codes(f"initial {name}", state, 16)

    def _check_paths(self) -> None:
        feeds, fed = self.cell.feeds, set()
        for path in self.paths:
            check("source", path.source, path.source in feeds, f"{self.cell.sources}")
            columns: int | None = self.units
            if path.source == "x":
                columns = self.inputs
            elif path.source == "h" and self.h_from:
                columns = self.h_columns
            check_shape(f"{path.source} weights", path.weights, (None, self.units, columns))
            allowed = feeds[path.source]
            rule = f"gates that {path.source} feeds in {self.kind}: {allowed}"
            check("gates", path.gates, {*path.gates} <= {*allowed}, rule)
            for gate in path.gates:
                place = (path.source, gate)
                check("gates", path.gates, place not in fed, f"without {gate!r}, fed twice")
                fed.add(place)
        sources = tuple(path.source for path in self.paths)
        check("sources", sources, "x" in sources, "one with a path from x")
        kinds = {path.tokens for path in self.paths if path.source == "x"}
        check("tokens", kinds, len(kinds) == 1, "the same for all paths from x")

    def _check_vectors(self) -> None:
        names, wanted = tuple(self.vectors), self.cell.vectors
        check("vectors", names, {*names} == {*wanted}, f"those of {self.kind}: {wanted}")
        for name, vector in self.vectors.items():
            check_shape(name, vector, (self.units,))
            check_codes(name, vector, 16)
        check_range("vector shift", self.vector_shift, 0, MAX_VECTOR_SHIFT)

    @property
    def cell(self) -> Cell:
        return CELLS[self.kind]

    @property
    def units(self) -> int:
        return int(self.bias.shape[1])

    @property
    def inputs(self) -> int:
        return next(p.columns for p in self.paths if p.source == "x")

    @property
    def tokens(self) -> bool:
        """Whether its input is a token."""
        return self.paths[[path.source for path in self.paths].index("x")].tokens

    @property
    def h_columns(self) -> int | None:
        """Columns of the paths from h, None where there are none."""
        return next((p.columns for p in self.paths if p.source == "h"), None)

    @property
    def starts_from_zero(self) -> bool:
        """Whether all of its state is zero before a sequence."""
        return not any(state.any() for state in self.initial.values())

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters but the initial state, by their names in a file."""
        arrays: dict[str, np.ndarray] = {"bias": self.bias}
        arrays |= {f"vectors.{name}": vector for name, vector in self.vectors.items()}
        for k, path in enumerate(self.paths):
            for name in ("weights", "mult", "shift", "weight_scale"):
                arrays[f"paths.{k}.{name}"] = getattr(path, name)
        return arrays

    @property
    def signature(self) -> tuple:
        """What besides `arrays` makes two layers compute the same."""
        paths = tuple((p.source, p.gates, p.weight_bits, p.tokens) for p in self.paths)
        return self.kind, paths, self.vector_shift, self.skip_mult, self.skip_shift

    @property
    def gate_exponents(self) -> tuple[int, ...]:
        """Exponent of each gate's pre-activations, which are int16, in the order of the gates."""
        return exponents_of(self.cell, self.c_exponent, self.h_exponent)

    def numbers(self, x: Ints) -> Numbers:
        """What the cell's step needs, with the layer's input words x [.., inputs]."""
        skip = None
        if self.cell.reads_input:
            skip = sat16(rshr(x * self.skip_mult, self.skip_shift))
        return Numbers(
            c_exponent=self.c_exponent,
            vectors=self.vectors,
            vector_shift=self.vector_shift,
            skip=skip,
        )


def exponents_of(cell: Cell, c_exponent: int, h_exponent: int) -> tuple[int, ...]:
    """Exponent of each gate's pre-activations, in the order of the cell's gates."""
    exponents = {"gate": Q3_12, "wide": Q3_12 + c_exponent, "c": c_exponent, "h": h_exponent}
    return tuple(exponents[format] for format in cell.formats.values())


def path_name(layer: Layer, n: int) -> str:
    """Name of the layer's nth path: "LAYER.SOURCE", with ".GATES" where a source has two paths."""
    path = layer.paths[n]
    alone = sum(p.source == path.source for p in layer.paths) == 1
    return f"{layer.name}.{path.source}" + ("" if alone else "." + "".join(path.gates))
