# SPDX-License-Identifier: Apache-2.0
"""How close an integer-only LSTM network is to its float original, path by path."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Ints, Reals
from ..data import Dataset
from ..integer_lstm.constants import lstm_constants
from ..integer_lstm.float_engine import run_float_states
from ..integer_lstm.float_layers import FloatLinear, FloatLstm
from ..integer_lstm.float_network import FloatNetwork
from ..integer_lstm.float_states import first_reals
from ..integer_lstm.layers import CODE_BITS, Affine, IntegerLstm, Layer
from ..integer_lstm.network import IntegerNetwork
from ..quantization.rounding import Moments
from .paths import CodedPath, PathReport

__all__ = ["FRAMES", "coded_lstm_paths", "describe_lstm"]

FRAMES = 1 << 13
"""About how many frames of a data set are run."""


@dataclass(slots=True)
class _Kept:
    """Keeps what it sees."""

    parts: list[np.ndarray] = field(default_factory=list)

    def see(self, what: str, values: np.ndarray) -> None:
        self.parts.append(np.array(values))


class _Dropped:
    """Keeps nothing."""

    def see(self, what: str, values: np.ndarray) -> None: ...


@dataclass(slots=True)
class _Values:
    """What enters a layer's products."""

    x: _Kept = field(default_factory=_Kept)
    y: _Kept = field(default_factory=_Kept)
    m: _Kept = field(default_factory=_Kept)
    c: _Dropped = field(default_factory=_Dropped)
    gates: tuple[_Dropped, ...] = ()


def describe_lstm(
    network: IntegerNetwork, floats: FloatNetwork, data: Dataset
) -> tuple[PathReport, ...]:
    """One report per path of `network`, which was quantized from `floats`."""
    return tuple(path.report() for path in coded_lstm_paths(network, floats, data))


def coded_lstm_paths(
    network: IntegerNetwork, floats: FloatNetwork, data: Dataset
) -> Iterator[CodedPath]:
    """The paths of `network`, which was quantized from `floats`, with the float values of the
    data's first frames.
    """
    values = [_Values() for _ in network.layers]
    some = data.first(FRAMES)
    first = first_reals(floats, some.states, len(some))
    run_float_states(floats, some.features, first, observers=values)
    thresholds = {name: path.threshold for name, path in network.paths()}
    for layer, own, seen in zip(network.layers, floats.layers, values, strict=True):
        for source, matrix, affine, kept in _paths_of(layer, own, seen):
            name = f"{layer.name}.{source}"
            yield _coded(name, thresholds[name], matrix, affine, kept)


_Matrix = tuple[Reals, Ints, Reals]
"""Float weights, their codes, and what a code is, [gates, units, columns]."""


def _paths_of(
    layer: Layer, own: FloatLstm | FloatLinear, seen: _Values
) -> Iterator[tuple[str, _Matrix, Affine, _Kept]]:
    """By source, the matrix, what the activations' codes stand for, and their float values."""
    if not isinstance(layer, IntegerLstm) or isinstance(own, FloatLinear):
        matrix = (own.weights[None], layer.weights[None], layer.weight_scale[None, :, None])
        yield "x", matrix, layer.x, seen.x
        return
    yield "x", (own.weights, layer.weights, layer.weight_scale[:, None, None]), layer.x, seen.x
    matrix = (own.recurrent, layer.recurrent, layer.recurrent_scale[:, None, None])
    yield "h", matrix, layer.y, seen.y
    if layer.projection is not None and own.projection is not None and layer.m is not None:
        matrix = (own.projection[None], layer.projection[None], np.full(1, layer.projection_scale))
        # As the codes are, which LiteRT mirrors.
        yield "m", matrix, Affine(layer.m.scale, lstm_constants(layer).hidden_zero), seen.m


def _coded(
    name: str,
    threshold: int,
    matrix: _Matrix,
    affine: Affine,
    kept: _Kept,
) -> CodedPath:
    real, stored, scale = matrix
    frames = np.concatenate(kept.parts)
    codes = affine.codes(frames)
    farthest = max(127 - affine.zero_point, affine.zero_point + 128)
    return CodedPath(
        name=name,
        threshold=threshold,
        weights=real,
        weight_codes=stored,
        weight_scale=scale,
        weight_bits=CODE_BITS,
        samples=frames,
        codes=codes,
        scale=affine.scale,
        zero_point=affine.zero_point,
        activation_bits=CODE_BITS,
        moments=lambda: Moments.of(frames, affine.real(codes)),
        bound=farthest * int(np.abs(stored).sum(axis=-1).max()),
    )
