# SPDX-License-Identifier: Apache-2.0
"""A quantized network as a torch module: golden's integers forward, gradients straight through.

Parameters are real copies of what a network holds as integers; each forward pass rounds them again,
and the gradient of an integer is that of its copy (BinaryConnect, Courbariaux et al. 2015).
Formats, bits, activations' scales and thresholds stay.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..golden.arithmetic import Ints, code_range
from ..golden.cells import State
from ..golden.cells.stages import ALIKE
from ..golden.errors import UserError
from ..golden.models import graph
from ..golden.models.float_model import FloatLayer, FloatModel
from ..golden.models.network import BIAS_BITS, MULT_BITS, Layer, Network, Path
from .checks import check_trainable
from .gradients import run_group
from .layers import Tensors, group_of
from .packed import Packed

__all__ = ["DeltaNetwork", "PathParameters", "check_layers"]

MARGIN = 0.01
"""Of a code, between a copy and the next code, where a network's code is not the copy's own."""
MOST_GAIN = 3.0
"""Of a row's step, the natural logarithm: a factor of 20."""


class DeltaNetwork(nn.Module):
    """A quantized network that learns.

    Parameters
    ----------
    network: what it is at first: the forward pass gives the same words.
    model: the float model that it was quantized from, whose weights are the copies, as far as they
        round to the network's codes; None: the codes themselves are.

    Raises UserError where the two are no pair, and where frames are tokens.
    """

    def __init__(self, network: Network, model: FloatModel | None = None) -> None:
        super().__init__()
        check_trainable(network)
        if model is not None:
            check_layers(network, model)
        self._network = network
        self._groups = group_of(network)
        shared = [graph.shared_with(network.layers, n) for n in range(len(network.layers))]
        self._own = [n if m is None else m for n, m in enumerate(shared)]
        floats: Sequence[FloatLayer | None] = model.layers if model else [None] * len(shared)
        self._layers = nn.ModuleDict(
            {
                f"{n}": LayerParameters(layer, floats[n])
                for n, layer in enumerate(network.layers)
                if shared[n] is None
            }
        )

    def forward(
        self, packed: Packed, frames: Tensor, first: Sequence[State]
    ) -> tuple[Tensor, list[Tensor]]:
        """The network's outputs [frames, outputs], and those of every layer [frames, units].

        All are int16 words in float32, in packed order.

        Parameters
        ----------
        packed: of the sequences.
        frames: words [frames, inputs].
        first: by layer, words [sequences, units] before the first steps, as
            `golden.models.states.first_codes` makes them.
        """
        layers = self._network.layers
        tensors = {n: own.integers() for n, own in self._parameters_of()}
        state = [State(*(part[packed.packing.order] for part in one)) for one in first]
        values = {graph.FRAMES: frames}
        for group in self._groups:
            members = group.members
            x = _beside(values, graph.inputs_of(layers, members[0]))
            backward = layers[members[0]].backward
            found = run_group(
                group,
                packed,
                [state[n] for n in members],
                x[packed.flipped] if backward else x,
                [tensors[self._own[n]] for n in members],
            )
            for n, h in zip(members, found, strict=True):
                values[n] = h[packed.flipped] if backward else h
        outputs = graph.outputs_of(layers, self._network.puts_out)
        return _beside(values, outputs), [values[n] for n in range(len(layers))]

    def clip(self) -> None:
        """Bring copies of weights back to where they round to the outermost codes."""
        for _, own in self._parameters_of():
            for path in own.paths:
                path.clip()

    @torch.no_grad()
    def quantized(self) -> Network:
        """The network that it is now."""
        found = {n: own.layer() for n, own in self._parameters_of()}
        layers = [
            self._placed(found[self._own[n]], layer) for n, layer in enumerate(self._network.layers)
        ]
        return replace(self._network, layers=tuple(layers))

    def _parameters_of(self) -> list[tuple[int, "LayerParameters"]]:
        return [(int(n), own) for n, own in self._layers.items()]

    def _placed(self, trained: Layer, layer: Layer) -> Layer:
        """What was trained, in the place of a layer."""
        paths = tuple(
            replace(own, threshold=path.threshold, quantizer=path.quantizer)
            for own, path in zip(trained.paths, layer.paths, strict=True)
        )
        return replace(layer, paths=paths, bias=trained.bias, vectors=trained.vectors)


class LayerParameters(nn.Module):
    """The parameters of one layer.

    layer: at first. real: its float original; None: none.
    """

    def __init__(self, layer: Layer, real: FloatLayer | None) -> None:
        super().__init__()
        self._layer = layer
        exponents = torch.tensor(layer.gate_exponents)[:, None]
        self.register_buffer("unit", torch.exp2(exponents.float() - 15))
        self.bias = nn.Parameter(_floats(layer.bias) * self.unit)
        self._vector_unit = 2.0 ** (3 - layer.vector_shift - layer.c_exponent)
        self.vectors = nn.ParameterDict(
            {
                name: nn.Parameter(
                    _floats(v) * self._vector_unit, requires_grad=not name.startswith(ALIKE)
                )
                for name, v in layer.vectors.items()
            }
        )
        self.paths = nn.ModuleList(PathParameters(path, real) for path in layer.paths)

    def integers(self) -> Tensors:
        """All as integers, with gradients."""
        bias = _rounded(self.bias / self.unit, BIAS_BITS)
        names = self._layer.vectors  # a ParameterDict has an order of its own
        vectors = {n: _rounded(self.vectors[n] / self._vector_unit, 16) for n in names}
        paths = [path.integers() for path in self.paths]
        weights, mult = zip(*paths, strict=True)
        return Tensors(bias, vectors, weights, mult)

    def layer(self) -> Layer:
        """The layer that it is now."""
        now = self.integers()
        paths = [
            path.path(weights, mult)
            for path, weights, mult in zip(self.paths, now.weights, now.mult, strict=True)
        ]
        vectors = {name: _ints(v) for name, v in now.vectors.items()}
        return replace(self._layer, paths=tuple(paths), bias=_ints(now.bias), vectors=vectors)


class PathParameters(nn.Module):
    """The weights of one path, and a gain of each row's step, or of all of a gate's.

    The gain is learned, too (as in Esser et al. 2020, by its logarithm): it moves the points at
    which weights round, and the multiplier that takes their products back.
    """

    def __init__(self, path: Path, real: FloatLayer | None) -> None:
        super().__init__()
        self._path, self.source, self.gates = path, path.source, path.gates
        low, high = code_range(path.weight_bits)
        step = np.broadcast_to(path.weight_scale, path.mult.shape).astype(np.float32)
        codes = path.weights.astype(np.float32)
        if real is not None:
            own = _weights_of(real, path) / step[..., None]
            inside = 0.5 - MARGIN
            codes = np.clip(own, codes - inside, codes + inside)
        self._ends = low - 0.5 + MARGIN, high + 0.5 - MARGIN
        self.register_buffer("step", torch.from_numpy(step.copy()))
        self.register_buffer("mult", _floats(path.mult))
        self.weights = nn.Parameter(torch.from_numpy(codes) * self.step[..., None])
        one = bool((path.mult == path.mult[:, :1]).all())
        self.gain = nn.Parameter(torch.zeros(len(path.gates), 1 if one else path.units))

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weights and multipliers."""
        codes = self.weights / self._steps[..., None]
        mult = self.mult * torch.exp(self.gain)
        return _rounded(codes, self._path.weight_bits), _rounded(mult, MULT_BITS)

    @torch.no_grad()
    def clip(self) -> None:
        """Keep each copy within half a code of the range, and each gain within `MOST_GAIN`."""
        self.gain.clamp_(-MOST_GAIN, MOST_GAIN)
        low, high = self._ends
        steps = self._steps[..., None]
        self.weights.copy_(torch.minimum(torch.maximum(self.weights, low * steps), high * steps))

    def path(self, weights: Tensor, mult: Tensor) -> Path:
        """The path with these integers."""
        gain = np.exp(self.gain.detach().numpy().astype(np.float64))
        scale = self._path.weight_scale * np.broadcast_to(gain, self._path.mult.shape)
        return replace(self._path, weights=_ints(weights), mult=_ints(mult), weight_scale=scale)

    @property
    def _steps(self) -> Tensor:
        return self.step * torch.exp(self.gain)


class _Round(torch.autograd.Function):
    """Half rounded up and saturated; straight through, within the range."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, bits: int) -> Tensor:
        low, high = code_range(bits)
        ctx.save_for_backward((v >= low - 0.5) & (v <= high + 0.5))
        return (v + 0.5).floor().clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return above[0] * inside, None


def _rounded(v: Tensor, bits: int) -> Tensor:
    return _Round.apply(v, bits)


def check_layers(network: Network, model: FloatModel) -> None:
    """Raise UserError unless the network may have been quantized from the model."""
    names = [[layer.name for layer in one.layers] for one in (network, model)]
    if names[0] != names[1]:
        raise UserError(
            f"model: layers {', '.join(names[1])}, the network has {', '.join(names[0])}; give the "
            "model it was quantized from"
        )
    for layer, real in zip(network.layers, model.layers, strict=True):
        same = (layer.kind, layer.units, layer.inputs) == (real.kind, real.units, real.inputs)
        if not same:
            raise UserError(
                f"model: {real.name} is {real.kind} of {real.inputs} inputs and {real.units} "
                f"units, in the network {layer.kind} of {layer.inputs} and {layer.units}; give the "
                "model it was quantized from"
            )
        for path in layer.paths:
            fed = {gate for own in real.paths if own.source == path.source for gate in own.gates}
            if not {*path.gates} <= fed:
                gates = ", ".join(path.gates)
                raise UserError(
                    f"model: {real.name} has no path from {path.source} to {gates}, as the network "
                    "has; give the model it was quantized from"
                )


def _weights_of(real: FloatLayer, path: Path) -> np.ndarray:
    """The float weights [gates, units, columns] of a path's gates."""
    rows = {
        gate: own.weights[g]
        for own in real.paths
        if own.source == path.source
        for g, gate in enumerate(own.gates)
    }
    return np.stack([rows[gate] for gate in path.gates]).astype(np.float32)


def _floats(values: Ints) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _ints(values: Tensor) -> Ints:
    result: Ints = values.detach().numpy().astype(np.int64)
    return result


def _beside(values: dict[int, Tensor], indices: Sequence[int]) -> Tensor:
    parts = [values[n] for n in indices]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
