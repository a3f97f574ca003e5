# SPDX-License-Identifier: Apache-2.0
"""Integer-only LSTM networks as the compiler takes networks: docs/integer-lstm.md.

Words are the codes themselves, int8. A path's references start at the code of zero, so that M is
W (x̂ - zero point), and no bias takes the zero point in. What a network has that the hardware has
not is refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.cells.stages import Stage
from ...golden.delta import EXACT
from ...golden.errors import UserError
from ...golden.integer_lstm.cells import MOST_SHIFT, lstm_stage
from ...golden.integer_lstm.constants import LstmConstants, Scaling, lstm_constants
from ...golden.integer_lstm.layers import CODE_BITS, LEAST_CELL, IntegerLinear, IntegerLstm
from ...golden.integer_lstm.network import IntegerNetwork
from ..words import INTEGER_LSTM
from .networks import AnyNetwork, Network

PRE_BITS = 18
"""Of a part of a pre-activation: one that is saturated to this leaves the same int16 sum."""
MOST_SUM = (1 << 31) - (1 << 16)
"""Of what is rescaled: golden's wraps beyond 32 bits, the hardware's must not come so far."""


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
    mult, shift: [gates]: a part is (M + bias) * mult * 2**-shift, rounded at 2**-31 first.
    saturates: a part is saturated to int16 before it is added to another.
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
    weight_bits: int = CODE_BITS

    @property
    def units(self) -> int:
        return int(self.weights.shape[1])

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
    """A cell of one stage, see `networks.Cell`."""

    stage: Stage

    @property
    def gates(self) -> tuple[str, ...]:
        return self.stage.gates

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (self.stage,)

    @property
    def vectors(self) -> tuple[str, ...]:
        return self.stage.vectors

    @property
    def has_c(self) -> bool:
        return "c" in self.stage.outputs

    @property
    def reads_input(self) -> bool:
        return False

    @property
    def takes_means(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer, see `networks.Layer`.

    Members
    -------
    constants: by the names that the cell has for them.
    zero: codes of c and h that stand for zero.
    """

    name: str
    cell: Cell
    paths: tuple[Path, ...]
    constants: Mapping[str, int]
    zero: Mapping[str, int]
    c_exponent: int = 0
    vectors: Mapping[str, Ints] = field(default_factory=dict)
    vector_shift: int = 0
    skip_mult: int = 0
    skip_shift: int = 0
    initial: Mapping[str, Ints] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    backward: bool = False
    h_from: str = ""

    @property
    def kind(self) -> str:
        return self.cell.stage.name

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
    def outputs(self) -> int:
        return self.original.outputs

    @property
    def macs(self) -> int:
        return self.original.macs

    def paths(self) -> Iterator[tuple[str, Path]]:
        for layer, names in zip(self.layers, self.names, strict=True):
            yield from zip(names, layer.paths, strict=True)


def runnable(network: AnyNetwork) -> Network:
    """The network as the compiler takes it; for errors see `lower`."""
    return lower(network) if isinstance(network, IntegerNetwork) else network


def lower(network: IntegerNetwork) -> Lowered:
    """A network's layers as the compiler takes them.

    Raises UserError for a layer that only golden has, and where sums could wrap.
    """
    for layer in network.layers:
        _check_parts(layer)
    lstms = [layer for layer in network.layers if isinstance(layer, IntegerLstm)]
    layers = tuple(_lstm(layer, lstms) for layer in lstms)
    for lowered in layers:
        for path in lowered.paths:
            _check_sums(lowered, path)
    names = tuple(tuple(f"{lay.name}.{path.source}" for path in lay.paths) for lay in layers)
    return Lowered(original=network, layers=layers, names=names)


def _check_parts(layer: IntegerLstm | IntegerLinear) -> None:
    """Raise UserError for what the hardware has not."""
    if isinstance(layer, IntegerLinear):
        _refuse(layer.name, "a linear layer, whose float32 rescaling", "leave it to the host")
        return
    for what, there in (
        ("peepholes, whose rescaling", layer.peephole is not None),
        ("layer normalisation, which", layer.norm is not None),
        ("a projection, whose rescaling", layer.projection is not None),
    ):
        if there:
            _refuse(layer.name, what, "use a network without")


def _refuse(name: str, what: str, way_out: str) -> None:
    raise UserError(
        f"{name}: {what} golden has and the accelerator does not yet; {way_out}, or quantize the "
        "float model with another scheme"
    )


def _lstm(layer: IntegerLstm, alike: Sequence[IntegerLstm]) -> Layer:
    """alike: all LSTMs of the network; those of one variant share a cell."""
    k = lstm_constants(layer)
    variant = _variant(layer, k)
    exponents = {_c_exponent(o) for o in alike if _variant(o, lstm_constants(o)) == variant}
    stage = lstm_stage(layer.gates, clip=k.cell_clip > 0, exponents=sorted(exponents))
    h = np.full(layer.outputs, layer.y.zero_point)
    zeros = np.zeros_like(layer.bias)
    return Layer(
        name=layer.name,
        cell=Cell(stage=stage),
        paths=(
            _path("x", layer, layer.weights, layer.bias, k.x, layer.x.zero_point),
            _path("h", layer, layer.recurrent, zeros, k.h, layer.y.zero_point),
        ),
        constants={
            **_rescaling(f"{layer.name} o * tanh(c)", "hidden", k.hidden),
            "layer_zero": k.hidden_zero,
            "layer_clip": k.cell_clip,
        },
        zero={"c": 0, "h": layer.y.zero_point},
        c_exponent=_c_exponent(layer),
        initial={"h": h, **layer.initial} if layer.initial else {},
    )


def _variant(layer: IntegerLstm, k: LstmConstants) -> object:
    return layer.gates, k.cell_clip > 0


def _c_exponent(layer: IntegerLstm) -> int:
    """e_c: c is Q(e_c).(15-e_c)."""
    return layer.cell_log2 - LEAST_CELL


def _path(
    source: str, layer: IntegerLstm, weights: Ints, bias: Ints, scaling: Scaling, zero_point: int
) -> Path:
    return Path(
        source=source,
        gates=layer.gates,
        weights=weights,
        quantizer=Codes(zero_point=zero_point),
        threshold=layer.thresholds.get(source, 0),
        bias=bias,
        mult=scaling.mult.reshape(-1),
        shift=31 - scaling.shift.reshape(-1),
        saturates=source == "x",
    )


def _rescaling(what: str, name: str, scaling: Scaling) -> dict[str, int]:
    """A layer's own multiplier and shift, for its cell."""
    mult, shift = int(scaling.mult.item()), -int(scaling.shift.item())
    if not 0 <= shift <= MOST_SHIFT:
        raise UserError(
            f"{what}: a rescale factor of 2**{-shift} and more is not possible in the accelerator, "
            "it must be below 1; quantize anew with other scales"
        )
    return {f"layer_{name}_mult": mult, f"layer_{name}_shift": shift}


def _check_sums(layer: Layer, path: Path) -> None:
    """Raise UserError where golden's sums might wrap."""
    shifted = path.bound << max(31 - int(path.shift.min()), 0)
    if shifted > MOST_SUM:
        raise UserError(
            f"{layer.name}.{path.source}: its sums may reach {shifted:,}, where LiteRT's wrap and "
            f"the accelerator's do not, it takes {MOST_SUM:,}; quantize anew with other scales"
        )
