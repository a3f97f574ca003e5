# SPDX-License-Identifier: Apache-2.0
"""What saturates when a network runs over data: input words, pre-activations and states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..delta import EXACT
from ..engines.batch_engine import run_batch
from ..engines.engine import quantize_frames
from ..engines.watch import Watch
from ..errors import UserError
from ..integer_lstm import engine as integer_engine
from ..integer_lstm import states as integer_states
from ..integer_lstm.layers import IntegerLinear
from ..integer_lstm.layers import Layer as IntegerLayer
from ..integer_lstm.network import IntegerNetwork
from ..integer_lstm.watch import Watch as IntegerWatch
from ..models.network import Network
from ..models.states import first_codes
from .networks import AnyNetwork
from .result import columns

__all__ = ["FRAMES", "LayerSaturation", "Saturation", "saturation"]

FRAMES = 1 << 12
"""About how many frames of a data set are run."""


@dataclass(frozen=True, slots=True)
class LayerSaturation:
    """Percent of a layer's words, of all steps, that saturate.

    Of integer-only LSTMs, gates are as they enter sigmoid or tanh, or the layer normalisation, and
    a projection is a layer of its own.

    Members
    -------
    name: the layer's.
    gates: by gate, pre-activations [units]. Those that enter sigmoid or tanh do so harmlessly.
    c: [units] of the cell state at an end of its format; 0 where there is none.
    h: [units] of outputs likewise; 0 where the cell keeps them within +-1. Of integer-only LSTMs,
        those beyond int8.
    """

    name: str
    gates: Mapping[str, Reals]
    c: Reals
    h: Reals


@dataclass(frozen=True, slots=True)
class Saturation:
    """What saturates on some frames.

    Members
    -------
    frames: how many were run.
    features: [inputs] percent of each feature's words that saturate; none of tokens.
    reach: [inputs] the largest magnitude of each feature, divided by its input scale.
    layers: one by one.
    """

    frames: int
    features: Reals
    reach: Reals
    layers: tuple[LayerSaturation, ...]

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A table: in all, percent of each layer's words; the input's first."""
        rows = [("saturated, % of", "words", "worst gate", "c", "h")]
        if self.features.size:
            rows.append(("input", f"{self.features.mean():.2f}", "", "", ""))
        for layer in self.layers:
            means = {gate: float(share.mean()) for gate, share in layer.gates.items()}
            worst = max(means, key=lambda gate: means[gate])
            gates = f"{np.mean([*means.values()]):.2f}"
            states = (f"{layer.c.mean():.2f}", f"{layer.h.mean():.2f}")
            rows.append((layer.name, gates, f"{worst} {means[worst]:.2f}", *states))
        return rows

    def __str__(self) -> str:
        return columns(self.rows())


def saturation(network: AnyNetwork, dataset: Dataset, frames: int = FRAMES) -> Saturation:
    """Run the dense network over the first sequences and count.

    Parameters
    ----------
    network, dataset: what runs, over what.
    frames: about how many; the last sequence is cut.

    Raises UserError where the data does not fit the network or has no frame.
    """
    dataset.check_width(network.inputs, tokens=network.tokens)
    some = dataset.first(frames)
    if not some.features:
        raise UserError("data set: no frames; give at least one")
    return _of_codes(network, some) if isinstance(network, IntegerNetwork) else _of(network, some)


def _of(network: Network, some: Dataset) -> Saturation:
    features = some.features
    watch = Watch(network)
    words = [quantize_frames(network, x) for x in features]
    zero = {name: 0 for name, _ in network.paths()}
    first = first_codes(network, some.states, len(some))
    for _ in run_batch([network], words, [zero], EXACT, watch=watch, first=first):
        pass
    real = np.concatenate(features).astype(np.float64)
    if network.tokens:
        real = np.zeros((len(real), 0))
    if network.input_scale is not None:
        real /= network.input_scale
    rounded = np.floor(real * 2.0 ** (15 - network.x_exponent) + 0.5)
    outside = (rounded < -32768) | (rounded > 32767)
    return Saturation(
        frames=len(real),
        features=100 * outside.mean(axis=0),
        reach=np.abs(real).max(axis=0),
        layers=tuple(_layer(network, watch, n) for n in range(len(network.layers))),
    )


def _of_codes(network: IntegerNetwork, some: Dataset) -> Saturation:
    """Of an integer-only LSTM network."""
    watches = [IntegerWatch(layer) for layer in network.layers]
    codes = [network.x.codes(x) for x in some.features]
    start = integer_states.first_codes(network, some.states, len(some))
    integer_engine.run(network.dense(), codes, start, [watch.see for watch in watches])
    real = np.concatenate(some.features).astype(np.float64)
    low, high = network.x.real(np.array([-128, 127]))
    half = network.x.scale / 2
    outside = (real < low - half) | (real > high + half)
    pairs = zip(network.layers, watches, strict=True)
    return Saturation(
        frames=len(real),
        features=100 * outside.mean(axis=0),
        reach=np.abs(real).max(axis=0),
        layers=tuple(found for layer, watch in pairs for found in _integer_layer(layer, watch)),
    )


def _integer_layer(layer: IntegerLayer, watch: IntegerWatch) -> Iterator[LayerSaturation]:
    """One, or two of a layer with a projection."""
    y = watch.share("h", layer.outputs)
    if isinstance(layer, IntegerLinear):
        yield LayerSaturation(layer.name, {"y": y}, np.zeros(layer.outputs), y)
        return
    gates = {gate: watch.share(gate, layer.cells) for gate in layer.gates}
    hidden = y if layer.m is None else watch.share("m", layer.cells)
    yield LayerSaturation(layer.name, gates, watch.share("c", layer.cells), hidden)
    if layer.m is not None:
        yield LayerSaturation(f"{layer.name}.projection", {"y": y}, np.zeros(layer.outputs), y)


def _layer(network: Network, watch: Watch, n: int) -> LayerSaturation:
    layer, share = network.layers[n], 100 / max(watch.steps[n], 1)
    counts = watch.pre_activations[n] * share
    return LayerSaturation(
        name=layer.name,
        gates=dict(zip(layer.cell.gates, counts, strict=True)),
        c=np.asarray(watch.c[n] * share, np.float64),
        h=np.asarray(watch.h[n] * share, np.float64),
    )
