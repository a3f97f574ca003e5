# SPDX-License-Identifier: Apache-2.0
"""The layers of an integer-only LSTM network: what a .tflite file holds of them.

Scales are float32 values, as in the file: every multiplier of the integer step follows from them
(`constants.py`). A code stands for the real value (code - zero point) * scale.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Ints, Reals
from ..checks import check, check_codes, check_range, check_shape
from ..models.graph import check_name
from ..tflite import operators
from .shape import COUPLED, GATES, LstmShape

ACTIVATIONS = tuple(operators.ACTIVATIONS.values())
CODE_BITS = 8
MOST_CODE = 255
"""Of a delta threshold: the largest difference of two codes."""
LEAST_CELL, MOST_CELL = -15, -9
"""log2 of the cell state's scale; LiteRT has no tanh of coarser ones."""


@dataclass(frozen=True, slots=True)
class Affine:
    """What an int8 code of a tensor stands for: (code - zero_point) * scale."""

    scale: float
    zero_point: int

    def check(self, what: str) -> None:
        """Raise UserError unless it is one that LiteRT can have."""
        check_scales(f"{what} scale", np.array([self.scale]))
        check_range(f"{what} zero point", self.zero_point, -128, 127)

    def codes(self, real: np.ndarray) -> Ints:
        """The codes of real values, as LiteRT's QUANTIZE makes them by default (by XNNPACK): a
        float32 product with 1 / scale, halves to even.
        """
        product = np.asarray(real, np.float32) * (np.float32(1) / np.float32(self.scale))
        whole = np.rint(np.clip(product, -512, 512)).astype(np.int64)
        codes: Ints = np.clip(whole + self.zero_point, -128, 127)
        return codes

    def real(self, codes: np.ndarray) -> Reals:
        """What codes stand for."""
        values: Reals = (np.asarray(codes, np.float64) - self.zero_point) * self.scale
        return values


@dataclass(frozen=True, slots=True)
class Path:
    """One matrix-vector product, for counts and thresholds.

    threshold: a code is taken over iff it differs by more from the one that was taken before.
    """

    rows: int
    columns: int
    threshold: int
    weight_bits: int = CODE_BITS
    activation_bits: int = CODE_BITS

    @property
    def most_events(self) -> int:
        """Elements that can fire in one step: all."""
        return self.columns

    @property
    def tokens(self) -> bool:
        """Never: what it reads are features."""
        return False

    def check_threshold(self, threshold: int) -> None:
        """Raise UserError where the path cannot have it."""
        check_range("threshold", threshold, 0, MOST_CODE)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegerLstm(LstmShape):
    """An LSTM layer; G gates in the order of `gates`, N cells, K outputs, which are N without a
    projection.

    Members
    -------
    name: the layer's own.
    gates: `GATES`, or `COUPLED`.
    x, y: of the input, and of the output, which is also h.
    cell_log2: log2 of the cell state's scale; c is int16.
    weights, recurrent: int8 [G, N, inputs], int8 [G, N, K].
    weight_scale, recurrent_scale: [G].
    bias: int32 [G, N], in x.scale * weight_scale, or with `norm` in norm_scale / 1024.
    peephole, peephole_scale: int16 [P, N] and [P], of the gates i, f, o that there are; or None.
    norm, norm_scale, gate_scale: layer normalisation's coefficients int16 [G, N], their scales [G],
        and those of the gates before it [G]; or None.
    m: of what is projected; None where nothing is.
    projection, projection_scale, projection_bias: int8 [K, N], and int32 [K] in
        m.scale * projection_scale; or None.
    cell_clip, projection_clip: real, 0 for none.
    initial: "c" int16 [N] and "h" int8 [K], codes before a sequence's first step; none: 0.
    thresholds: of the paths "x", "h" and "m", in codes; none: 0.
    corrected: without what LiteRT does amiss, see docs/integer-lstm.md; then it is not equal to it.
    """

    name: str
    gates: tuple[str, ...]
    x: Affine
    y: Affine
    cell_log2: int
    weights: Ints
    weight_scale: Reals
    recurrent: Ints
    recurrent_scale: Reals
    bias: Ints
    peephole: Ints | None = None
    peephole_scale: Reals | None = None
    norm: Ints | None = None
    norm_scale: Reals | None = None
    gate_scale: Reals | None = None
    m: Affine | None = None
    projection: Ints | None = None
    projection_scale: float = 0.0
    projection_bias: Ints | None = None
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    initial: Mapping[str, Ints] = field(default_factory=dict)
    thresholds: Mapping[str, int] = field(default_factory=dict)
    corrected: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        check("gates", self.gates, self.gates in (GATES, COUPLED), f"{GATES} or {COUPLED}")
        self.x.check(f"{self.name} x")
        self.y.check(f"{self.name} y")
        check_range(f"{self.name} cell scale's log2", self.cell_log2, LEAST_CELL, MOST_CELL)
        for what, clip in (("cell", self.cell_clip), ("projection", self.projection_clip)):
            check_clip(f"{self.name} {what} clip", clip)
        count = len(self.gates)
        check_shape(f"{self.name} weights", self.weights, (count, None, None))
        check("cells, inputs", self.weights.shape[1:], self.weights.size > 0, "1 and more")
        self._check_arrays(count)
        self._check_parts()
        self._check_states()

    def _check_arrays(self, count: int) -> None:
        wide = (count, self.cells)
        for what, values, bits, shape in (
            ("weights", self.weights, 8, (*wide, self.inputs)),
            ("recurrent weights", self.recurrent, 8, (*wide, self.outputs)),
            ("bias", self.bias, 32, wide),
            ("peephole", self.peephole, 16, (len(self.peephole_gates), self.cells)),
            ("norm", self.norm, 16, wide),
            ("projection", self.projection, 8, (self.outputs, self.cells)),
            ("projection bias", self.projection_bias, 32, (self.outputs,)),
        ):
            if values is not None:
                check_shape(f"{self.name} {what}", values, shape)
                check_codes(f"{self.name} {what}", values, bits)
        for what, scales, needed, length in (
            ("weight", self.weight_scale, True, count),
            ("recurrent", self.recurrent_scale, True, count),
            ("peephole", self.peephole_scale, self.peephole is not None, count - 1),
            ("norm", self.norm_scale, self.norm is not None, count),
            ("gate", self.gate_scale, self.norm is not None, count),
        ):
            given = np.zeros(0) if scales is None else scales
            check_shape(f"{self.name} {what} scale", given, (length if needed else 0,))
            check_scales(f"{self.name} {what} scale", given)

    def _check_parts(self) -> None:
        whole = (self.projection is None) == (self.m is None)
        check(f"{self.name} m", self.m, whole, "there with a projection, and only then")
        if self.m is None:
            rule = "none without a projection"
            check(f"{self.name} projection bias", "some", self.projection_bias is None, rule)
            rule = f"{self.cells}, the cells, without a projection"
            check(f"{self.name} outputs", self.outputs, self.outputs == self.cells, rule)
        else:
            self.m.check(f"{self.name} m")
            check_scales(f"{self.name} projection scale", np.array([self.projection_scale]))

    def _check_states(self) -> None:
        sizes = {"c": (16, self.cells), "h": (8, self.outputs)}
        for name, codes in self.initial.items():
            check("initial", name, name in sizes, "c or h")
            bits, size = sizes[name]
            check_shape(f"{self.name} initial {name}", codes, (size,))
            check_codes(f"{self.name} initial {name}", codes, bits)
        for name, threshold in self.thresholds.items():
            check("threshold of path", name, name in self.sources, f"one of {self.sources}")
            check_range(f"{self.name}.{name} threshold", threshold, 0, MOST_CODE)

    @property
    def sources(self) -> tuple[str, ...]:
        return ("x", "h", "m") if self.m is not None else ("x", "h")

    def paths(self) -> Iterator[tuple[str, Path]]:
        """By the source's name."""
        rows = len(self.gates) * self.cells
        columns = {"x": self.inputs, "h": self.outputs, "m": self.cells}
        for name in self.sources:
            threshold = self.thresholds.get(name, 0)
            yield name, Path(self.outputs if name == "m" else rows, columns[name], threshold)

    @property
    def elementwise(self) -> int:
        """Products of a step that are no matrix's: two for c, one for m or h, one a peephole."""
        norms = 0 if self.norm is None else 2 * len(self.gates)
        peepholes = 0 if self.peephole is None else len(self.peephole_gates)
        return self.cells * (3 + peepholes + norms)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegerLinear:
    """A fully connected layer.

    Members
    -------
    x, y: of input and output.
    weights: int8 [outputs, inputs]. weight_scale: [1], or [outputs] for a scale a row.
    bias: int32 [outputs], in x.scale * weight_scale.
    activation: one of `ACTIVATIONS`.
    thresholds: of the path "x", in codes; none: 0.
    """

    name: str
    x: Affine
    y: Affine
    weights: Ints
    weight_scale: Reals
    bias: Ints
    activation: str = "none"
    thresholds: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        self.x.check(f"{self.name} x")
        self.y.check(f"{self.name} y")
        check_shape(f"{self.name} weights", self.weights, (None, None))
        check("outputs, inputs", self.weights.shape, self.weights.size > 0, "1 and more")
        check_codes(f"{self.name} weights", self.weights, CODE_BITS)
        check_shape(f"{self.name} bias", self.bias, (self.outputs,))
        check_codes(f"{self.name} bias", self.bias, 32)
        scales = self.weight_scale.shape
        rule = f"(1,) or ({self.outputs},)"
        check(f"{self.name} weight scale", scales, scales in ((1,), (self.outputs,)), rule)
        check_scales(f"{self.name} weight scale", self.weight_scale)
        known = self.activation in ACTIVATIONS
        check("activation", self.activation, known, f"one of {', '.join(ACTIVATIONS)}")
        for name, threshold in self.thresholds.items():
            check("threshold of path", name, name == "x", "x")
            check_range(f"{self.name}.x threshold", threshold, 0, MOST_CODE)

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def sources(self) -> tuple[str, ...]:
        return ("x",)

    @property
    def variant(self) -> str:
        rows = ", a scale a row" if self.weight_scale.size > 1 else ""
        return ("plain" if self.activation == "none" else self.activation) + rows

    def paths(self) -> Iterator[tuple[str, Path]]:
        """By the source's name."""
        yield "x", Path(self.outputs, self.inputs, self.thresholds.get("x", 0))

    @property
    def elementwise(self) -> int:
        return 0


Layer = IntegerLstm | IntegerLinear


def check_scales(what: str, scales: np.ndarray) -> None:
    """Raise UserError unless all are finite float32 values above 0."""
    for scale in scales.tolist():
        good = np.isfinite(scale) and scale > 0 and float(np.float32(scale)) == scale
        check(what, scale, bool(good), "a float32 above 0")


def check_clip(what: str, clip: float) -> None:
    """Raise UserError unless it is a finite number of at least 0."""
    check(what, clip, bool(np.isfinite(clip)) and clip >= 0, "at least 0, and 0 for none")
