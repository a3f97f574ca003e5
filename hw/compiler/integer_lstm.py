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
from ...golden.integer_lstm.cells import MOST_SHIFT, linear_stage, lstm_stages
from ...golden.integer_lstm.constants import (
    LstmConstants,
    Scaling,
    linear_constants,
    lstm_constants,
)
from ...golden.integer_lstm.layers import CODE_BITS, LEAST_CELL, IntegerLinear, IntegerLstm
from ...golden.integer_lstm.network import IntegerNetwork
from ...golden.models.graph import width_of
from ..words import INTEGER_LSTM
from .integer_norm import Norm, norm_of, peepholes_of
from .networks import AnyNetwork, Network

PRE_BITS = 18
"""Of a part of a pre-activation: one that is saturated to this leaves the same int16 sum."""
EXACT_FLOAT = 1 << 24
"""Below it all integers are float32 values."""
MOST_FLOAT_SHIFT = 6
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


def runnable(network: AnyNetwork) -> Network:
    """The network as the compiler takes it; for errors see `lower`."""
    return lower(network) if isinstance(network, IntegerNetwork) else network


def lower(network: IntegerNetwork) -> Lowered:
    """A network's layers as the compiler takes them; a projection is one of its own.

    Raises UserError for a layer that only golden has, and where sums could wrap.
    """
    lstms = [layer for layer in network.layers if isinstance(layer, IntegerLstm)]
    layers: list[Layer] = []
    names: list[tuple[str, ...]] = []
    for layer in network.layers:
        if isinstance(layer, IntegerLinear):
            layers.append(_linear(layer))
            names.append((f"{layer.name}.x",))
            continue
        _check_hidden(layer)
        layers.append(_lstm(layer, lstms))
        names.append((f"{layer.name}.x", f"{layer.name}.h"))
        if layer.projection is not None:
            layers.append(_projection(layer))
            names.append((f"{layer.name}.m",))
    for lowered in layers:
        for path in lowered.paths:
            _check_sums(lowered, path)
    return Lowered(original=network, layers=tuple(layers), names=tuple(names))


def _check_hidden(layer: IntegerLstm) -> None:
    """Raise UserError for a zero point that the hardware has not."""
    if layer.m is not None and not -128 <= lstm_constants(layer).hidden_zero <= 127:
        raise UserError(
            f"{layer.name} m zero point: {layer.m.zero_point} is not possible in the accelerator, "
            f"since LiteRT mirrors m's range and no code is {-layer.m.zero_point}; quantize anew "
            "with --corrected, or with other data"
        )


def _lstm(layer: IntegerLstm, alike: Sequence[IntegerLstm]) -> Layer:
    """alike: all LSTMs of the network; those of one variant share a cell."""
    k = lstm_constants(layer)
    variant = _variant(layer, k)
    exponents = {_c_exponent(o) for o in alike if _variant(o, lstm_constants(o)) == variant}
    gates, parts = variant
    stages = lstm_stages(gates, exponents=sorted(exponents), **dict(parts))
    projects = layer.projection is not None
    constants = {
        **_rescaling(f"{layer.name} o * tanh(c)", "hidden", k.hidden),
        "layer_zero": k.hidden_zero,
        "layer_clip": k.cell_clip,
    }
    peepholes = peepholes_of(layer, k)
    for gate, (_, scaling) in peepholes.items():
        constants |= _rescaling(f"{layer.name} peephole of {gate}", gate, scaling)
    bias = layer.bias if layer.norm is None else _no_bias(layer)  # which is the norm's then
    own_initial = {name: codes for name, codes in layer.initial.items() if name == "c"}
    return Layer(
        name=layer.name,
        cell=Cell(gates=gates, stages=stages),
        paths=(
            _path("x", layer, layer.weights, bias, k.x, layer.x.zero_point),
            _path("h", layer, layer.recurrent, _no_bias(layer), k.h, layer.y.zero_point),
        ),
        constants=constants,
        zero={"c": 0, "h": layer.y.zero_point},
        c_exponent=_c_exponent(layer),
        norm=norm_of(layer, k, constants, peepholes),
        vectors={f"v_{gate}": codes for gate, (codes, _) in peepholes.items()},
        initial=own_initial if projects else _initial_h(layer) | own_initial,
        h_from=_projection_name(layer) if projects else "",
    )


def _no_bias(layer: IntegerLstm) -> Ints:
    return np.zeros_like(layer.bias)


def _initial_h(layer: IntegerLstm) -> dict[str, Ints]:
    """The codes of h before a sequence, where the layer has an initial state."""
    if not layer.initial:
        return {}
    return {"h": layer.initial.get("h", np.full(layer.outputs, layer.y.zero_point))}


def _projection_name(layer: IntegerLstm) -> str:
    return f"{layer.name}.projection"


def _projection(layer: IntegerLstm) -> Layer:
    """What makes h of the codes that its LSTM puts out."""
    k = lstm_constants(layer)
    assert layer.projection is not None and k.projection is not None
    bias = layer.projection_bias
    zero = layer.y.zero_point if layer.corrected else 0  # which the clip is about
    clip = k.projection_clip or 255
    path = _codes_path(
        layer.projection,
        np.zeros(layer.outputs, np.int64) if bias is None else bias,
        k.projection.mult.reshape(1, 1),
        k.projection.shift.reshape(1),
        zero_point=k.hidden_zero,
        threshold=layer.thresholds.get("m", 0),
    )
    low, high = max(zero - clip, -128), min(zero + clip, 127)
    return _linear_layer(
        _projection_name(layer), path, layer.y.zero_point, (low, high), _initial_h(layer)
    )


def _linear(layer: IntegerLinear) -> Layer:
    k = linear_constants(layer)
    mult, shift = _float_factors(layer)
    path = _codes_path(
        layer.weights,
        layer.bias,
        mult[None],
        np.array([shift]),
        zero_point=layer.x.zero_point,
        threshold=layer.thresholds.get("x", 0),
        floats=True,
    )
    return _linear_layer(layer.name, path, layer.y.zero_point, (k.low, k.high), {})


def _float_factors(layer: IntegerLinear) -> tuple[Ints, int]:
    """(mult, shift) that are the float32 factors: mult * 2**(shift - 31), mult [1] or [outputs].

    Raises UserError where the accelerator would not round as float32 does.
    """
    factors = linear_constants(layer).factor.astype(np.float64)
    shift = int(np.frexp(factors.max())[1])
    mults = factors * 2.0 ** (31 - shift)
    if (mults != np.floor(mults)).any():
        raise UserError(
            f"{layer.name}: scales of its rows are too far apart for the accelerator, they must be "
            "within 2**7 of each other; quantize anew"
        )
    if shift > MOST_FLOAT_SHIFT or shift < -MOST_SHIFT:
        raise UserError(
            f"{layer.name}: a rescale factor of {factors.max():g} is not possible in the "
            f"accelerator, it must be within 2**-31..2**{MOST_FLOAT_SHIFT}; quantize anew"
        )
    return mults.astype(np.int64), shift


def _codes_path(
    weights: Ints,
    bias: Ints,
    mult: Ints,
    shift: Ints,
    *,
    zero_point: int,
    threshold: int,
    floats: bool = False,
) -> Path:
    """The path of a layer that is linear; mult, shift: as `rescale` takes them."""
    return Path(
        source="x",
        gates=("y",),
        weights=weights[None],
        quantizer=Codes(zero_point=zero_point),
        threshold=threshold,
        bias=bias[None],
        mult=mult,
        shift=31 - shift,
        saturates=True,
        floats=floats,
    )


def _linear_layer(
    name: str, path: Path, zero: int, ends: tuple[int, int], initial: Mapping[str, Ints]
) -> Layer:
    return Layer(
        name=name,
        cell=Cell(gates=linear_stage().gates, stages=(linear_stage(),)),
        paths=(path,),
        constants={"layer_zero": zero, "layer_low": ends[0], "layer_high": ends[1]},
        zero={"h": zero},
        initial=initial,
    )


def _variant(
    layer: IntegerLstm, k: LstmConstants
) -> tuple[tuple[str, ...], tuple[tuple[str, bool], ...]]:
    """Gates, and what `lstm_stages` is told of the parts."""
    parts = {
        "peephole": layer.peephole is not None,
        "norm": layer.norm is not None,
        "clip": k.cell_clip > 0,
    }
    return layer.gates, tuple(parts.items())


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
        mult=scaling.mult,
        shift=31 - scaling.shift.reshape(-1),
        saturates=source == "x",
    )


def _rescaling(what: str, name: str, scaling: Scaling) -> dict[str, int]:
    """A layer's own multiplier and shift, for its cell."""
    mult, shift = int(scaling.mult.item()), -int(scaling.shift.item())
    if not 0 <= shift <= MOST_SHIFT:
        raise UserError(
            f"{what}: a rescale factor of 1 and more is not possible in the accelerator; quantize "
            "anew with other scales"
        )
    return {f"layer_{name}_mult": mult, f"layer_{name}_shift": shift}


def _check_sums(layer: Layer, path: Path) -> None:
    """Raise UserError where golden's sums might wrap."""
    if path.floats and path.bound >= EXACT_FLOAT:
        raise UserError(
            f"{layer.name}: its sums may reach {path.bound:,}, which float32 rounds from "
            f"{EXACT_FLOAT:,} on and the accelerator does not; use fewer inputs, or leave the "
            "layer to the host"
        )
    shifted = 0 if path.floats else path.bound << max(31 - int(path.shift.min()), 0)
    if shifted > MOST_SUM:
        raise UserError(
            f"{layer.name}.{path.source}: its sums may reach {shifted:,}, where LiteRT's wrap and "
            f"the accelerator's do not, it takes {MOST_SUM:,}; quantize anew with other scales"
        )
