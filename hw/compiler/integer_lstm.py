# SPDX-License-Identifier: Apache-2.0
"""Integer-only LSTM networks as the compiler takes networks: docs/integer-lstm.md.

Words are the codes themselves, int8. A path's references start at the code of zero, so that M is
W (x̂ - zero point), and no bias takes the zero point in. `integer_lowering` makes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.cells.stages import Stage
from ...golden.delta import EXACT
from ...golden.integer_lstm.layers import CODE_BITS
from ...golden.integer_lstm.network import IntegerNetwork
from ...golden.models.graph import width_of
from ..words import INTEGER_LSTM
from .integer_norm import Norm

PRE_BITS = 18
"""Of a part of a pre-activation: one that is saturated to this leaves the same int16 sum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codes:
    """What a path reads is its code."""

    zero_point: int
    bits: int = CODE_BITS
    mult: int = 1
    shift: int = 0

    def __call__(self, values: Ints, /) -> Ints:
        return values


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """One product, see `networks.Path`.

    Members
    -------
    bias: [gates, units], added to the sums before they are rescaled.
    mult: [gates, 1], or [gates, units] for one a row. shift: [gates]. A part is (M + bias) * mult *
        2**-shift, rounded at 2**-31 first.
    saturates: a part is saturated to int16 before it is added to another.
    floats: the part is a float32 product, which is rounded to an integer, halves to even.
    """

    source: str
    gates: tuple[str, ...]
    weights: Ints
    quantizer: Codes
    threshold: int
    bias: Ints
    mult: Ints
    shift: Ints
    saturates: bool
    floats: bool = False
    weight_bits: int = CODE_BITS

    @property
    def units(self) -> int:
        return int(self.weights.shape[1])

    @property
    def tokens(self) -> bool:
        return False

    @property
    def most_events(self) -> int:
        return self.columns

    @property
    def columns(self) -> int:
        return int(self.weights.shape[2])

    @property
    def rows(self) -> int:
        return len(self.gates) * self.units

    @property
    def matrix(self) -> Ints:
        return self.weights.reshape(self.rows, self.columns)

    @property
    def bound(self) -> int:
        zero = self.quantizer.zero_point
        sums = np.abs(self.weights).sum(axis=2) * max(127 - zero, zero + 128)
        return int((sums + np.abs(self.bias)).max())

    def of_gates(self, chosen: Sequence[int]) -> "Path":
        rows = list(chosen)
        return replace(
            self,
            gates=tuple(self.gates[n] for n in rows),
            weights=self.weights[rows],
            bias=self.bias[rows],
            mult=self.mult[rows],
            shift=self.shift[rows],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell of one stage or two, see `networks.Cell`."""

    gates: tuple[str, ...]
    stages: tuple[Stage, ...]

    @property
    def vectors(self) -> tuple[str, ...]:
        return self.stages[0].vectors

    @property
    def has_c(self) -> bool:
        return "c" in self.stages[0].outputs

    @property
    def reads_input(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer, see `networks.Layer`.

    Members
    -------
    constants: by the names that the cell has for them.
    zero: codes of c and h that stand for zero.
    norm: of its gates; None: they are not normalised.
    """

    name: str
    cell: Cell
    paths: tuple[Path, ...]
    constants: Mapping[str, int]
    zero: Mapping[str, int]
    c_exponent: int = 0
    norm: Norm | None = None
    vectors: Mapping[str, Ints] = field(default_factory=dict)
    vector_shift: int = 0
    skip_mult: int = 0
    skip_shift: int = 0
    initial: Mapping[str, Ints] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    backward: bool = False
    tokens: bool = False
    h_from: str = ""

    @property
    def kind(self) -> str:
        return self.cell.stages[-1].name

    @property
    def units(self) -> int:
        return self.paths[0].units

    @property
    def inputs(self) -> int:
        return next(path.columns for path in self.paths if path.source == "x")

    @property
    def starts_from_zero(self) -> bool:
        return all((codes == self.zero[name]).all() for name, codes in self.initial.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Lowered:
    """A network, see `networks.Network`; original: what it was made of."""

    original: IntegerNetwork
    layers: tuple[Layer, ...]
    names: tuple[tuple[str, ...], ...]
    arithmetic: str = INTEGER_LSTM
    delta_mode: str = EXACT
    puts_out: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        return self.original.inputs

    @property
    def tokens(self) -> bool:
        return self.original.tokens

    @property
    def frame_words(self) -> int:
        return self.original.frame_words

    @property
    def outputs(self) -> int:
        return self.original.outputs

    @property
    def macs(self) -> int:
        return self.original.macs

    def words_of(self, indices: Sequence[int], /) -> int:
        return width_of(self.layers, indices)

    def paths(self) -> Iterator[tuple[str, Path]]:
        for layer, names in zip(self.layers, self.names, strict=True):
            yield from zip(names, layer.paths, strict=True)
