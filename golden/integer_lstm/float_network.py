# SPDX-License-Identifier: Apache-2.0
"""A float network of LSTM and linear layers, its file, and the way from and to float models."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np

from .. import storage
from ..arithmetic import Reals
from ..cells.norm import LEAST
from ..cells.stages import ALIKE
from ..checks import check
from ..errors import UserError
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel, FloatPath, Floats
from ..storage import AnyPath, reading
from . import files
from .float_layers import FloatAny, FloatLinear, FloatLstm
from .shape import COUPLED

KIND = storage.FLOAT_LSTM
_CELLS = (FloatLstm, FloatLinear)
LSTMS = ("lstm", "lstm_cifg", "lstm_peephole", "lstm_clip", "lstm_norm")
LINEAR = {"linear": "none", "linear_relu": "relu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatNetwork:
    """Layers, each of which reads the one before.

    Members
    -------
    kind: of files that hold one.
    layers: see `FloatLstm` and `FloatLinear`.
    labels: names of the outputs, or empty.
    origin, notes: the checkpoint's name, and how it was imported; they do not count for equality.

    Raises UserError where a layer does not take what the one before puts out.
    """

    kind: ClassVar[str] = KIND
    layers: tuple[FloatAny, ...]
    labels: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        check("layers", len(self.layers), len(self.layers) > 0, "at least one layer")
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            rule = f"{before.outputs}, the outputs of {before.name}"
            check(f"{layer.name} inputs", layer.inputs, layer.inputs == before.outputs, rule)
        count = len(self.labels)
        check("labels", count, count in (0, self.outputs), f"0 or {self.outputs}, one per output")

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def tokens(self) -> bool:
        """Never: its frames are features."""
        return False

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs

    @property
    def parameters(self) -> int:
        """How many weights, biases and so on there are."""
        return sum(a.size for layer in self.layers for a in files.arrays_of(layer).values())

    def save(self, file: AnyPath) -> None:
        """Write the network to one safetensors file, in float32."""
        files.save(file, KIND, self, lambda name: np.dtype(np.float32))

    @classmethod
    def load(cls, file: AnyPath) -> "FloatNetwork":
        """Read a network that `save` wrote. Raises UserError where the file is anything else."""
        found, _ = files.load(file, KIND, "deltaloom import", _CELLS)
        with reading(file):
            return cls(**found)


def floats_of(model: FloatModel | FloatNetwork) -> FloatNetwork:
    """A float model of either kind as integer-only LSTMs are made of it; raises as `from_model`."""
    return model if isinstance(model, FloatNetwork) else from_model(model)


def from_model(model: FloatModel) -> FloatNetwork:
    """The same network. Raises UserError, which names the layer, for one that integer-only LSTMs
    do not have.

    Factors of a path's products, and those of the input's features, go into the weights.
    """
    layers: list[FloatAny] = []
    projections = {layer.h_from for layer in model.layers if layer.h_from}
    places = range(len(model.layers))
    if model.puts_out not in ((), (model.layers[-1].name,)):
        raise UserError(f"outputs of {', '.join(model.puts_out)}: only the last layer's can be")
    for n, layer in enumerate(model.layers):
        if layer.name in projections:
            continue
        read = graph.inputs_of(model.layers, n)
        if layer.backward or read != (n - 1,):
            raise UserError(
                f"{layer.name}: is backward, or does not read the layer before alone; "
                "integer-lstm is for forward layers in one chain: choose another scheme"
            )
        if layer.kind in LSTMS:
            after = model.layers[n + 1] if layer.h_from and n + 1 in places else None
            layers.append(_lstm(layer, after))
        elif layer.kind in LINEAR:
            layers.append(_linear(layer))
        else:
            raise UserError(
                f"{layer.name}: cell {layer.kind!r} is none that integer-only LSTMs have, these "
                f"are {', '.join((*LSTMS, *LINEAR))}; choose another scheme"
            )
    if model.input_scale is not None:
        first = layers[0]
        layers[0] = replace(first, weights=first.weights / model.input_scale.astype(np.float64))
    if not any(isinstance(layer, FloatLstm) for layer in layers):
        raise UserError("integer-lstm: there is no LSTM layer; choose another scheme")
    return FloatNetwork(
        layers=tuple(layers), labels=model.labels, origin=model.origin, notes=model.notes
    )


def _matrices(layer: FloatLayer, source: str) -> Reals:
    """The source's weights [gates, units, columns], in the order of the cell's gates."""
    found: dict[str, Reals] = {}
    columns = 0
    for path in layer.paths:
        if path.source == source:
            weights = path.weights.astype(np.float64)
            if path.scale is not None:
                weights = weights * path.scale[..., None]
            found |= dict(zip(path.gates, weights, strict=True))
            columns = weights.shape[2]
    nothing = np.zeros((layer.units, columns or layer.units))
    return np.stack([found.get(gate, nothing) for gate in layer.cell.gates])


def _lstm(layer: FloatLayer, projection: FloatLayer | None) -> FloatLstm:
    initial = dict(layer.initial)
    given: dict[str, Any] = {}
    recurrent = _matrices(layer, "h")
    if projection is not None:
        given["projection"] = _matrices(projection, "x")[0]
        if projection.bias.any():  # a linear layer always has one
            given["projection_bias"] = projection.bias[0].astype(np.float64)
        initial = {k: v for k, v in initial.items() if k == "c"} | dict(projection.initial)
        if layer.h_columns is None:
            recurrent = np.zeros((*layer.bias.shape, projection.units))
    if layer.kind == "lstm_peephole":
        gates = [gate for gate in layer.cell.gates if gate != "g"]
        given["peephole"] = np.stack([layer.vectors[f"v_{g}"] for g in gates]).astype(np.float64)
    if layer.kind == "lstm_clip":
        clips = layer.vectors["clip"]
        if (clips != clips[0]).any() or clips[0] <= 0:
            raise UserError(f"{layer.name} clip: integer-lstm has one above 0 for all cells")
        given["cell_clip"] = float(clips[0])
    bias = layer.bias
    if layer.kind == "lstm_norm":
        if bias.any():
            raise UserError(
                f"{layer.name}: has a bias before its layer normalization, which integer-lstm has "
                "after it alone; train it without, or choose another scheme"
            )
        given["norm"], bias = (
            np.stack([layer.vectors[f"{what}_{gate}"] for gate in layer.cell.gates])
            for what in ("gain", "bias")
        )
        given["norm"] = given["norm"].astype(np.float64)
        given["epsilons"] = tuple(
            max(float(layer.vectors[f"{ALIKE}{gate}"].max()), 0.0) + LEAST
            for gate in layer.cell.gates
        )
    return FloatLstm(
        name=layer.name,
        gates=layer.cell.gates,
        weights=_matrices(layer, "x"),
        recurrent=recurrent,
        bias=bias.astype(np.float64),
        initial={name: state.astype(np.float64) for name, state in initial.items()},
        **given,
    )


def _linear(layer: FloatLayer) -> FloatLinear:
    return FloatLinear(
        name=layer.name,
        weights=_matrices(layer, "x")[0],
        bias=layer.bias[0].astype(np.float64),
        activation=LINEAR[layer.kind],
    )


def to_model(network: FloatNetwork) -> FloatModel | None:
    """The float model of the same network, None where no cell has what a layer has."""
    layers: list[FloatLayer] = []
    for layer in network.layers:
        found = _layers_of(layer)
        if found is None:
            return None
        layers += found
    return FloatModel(
        layers=tuple(layers), labels=network.labels, origin=network.origin, notes=network.notes
    )


def _layers_of(layer: FloatAny) -> Sequence[FloatLayer] | None:
    if isinstance(layer, FloatLinear):
        kinds = {activation: kind for kind, activation in LINEAR.items()}
        if layer.activation not in kinds:
            return None
        return [_float_linear(layer.name, kinds[layer.activation], layer.weights, layer.bias)]
    extras = {
        "lstm_cifg": layer.gates == COUPLED,
        "lstm_peephole": layer.peephole is not None,
        "lstm_clip": layer.cell_clip > 0,
    }
    own = [kind for kind, there in extras.items() if there]
    if len(own) > 1 or layer.norm is not None or layer.projection_clip > 0:
        return None
    vectors: dict[str, Floats] = {}
    if layer.peephole is not None:
        rows = zip(layer.peephole_gates, layer.peephole, strict=True)
        vectors = {f"v_{gate}": _f32(row) for gate, row in rows}
    if layer.cell_clip > 0:
        vectors = {"clip": np.full(layer.cells, layer.cell_clip, np.float32)}
    projected = layer.projection is not None
    states = {k: _f32(v) for k, v in layer.initial.items()}
    after = f"{layer.name}.projection" if projected else ""
    lstm = FloatLayer(
        name=layer.name,
        kind=own[0] if own else "lstm",
        paths=(
            FloatPath(source="x", gates=layer.gates, weights=_f32(layer.weights)),
            FloatPath(source="h", gates=layer.gates, weights=_f32(layer.recurrent)),
        ),
        bias=_f32(layer.bias),
        vectors=vectors,
        h_from=after,
        initial={k: v for k, v in states.items() if k == "c" or not projected},
    )
    if layer.projection is None:
        return [lstm]
    bias = np.zeros(layer.outputs) if layer.projection_bias is None else layer.projection_bias
    second = _float_linear(after, "linear", layer.projection, bias)
    return [lstm, replace(second, initial={k: v for k, v in states.items() if k == "h"})]


def _float_linear(name: str, kind: str, weights: Reals, bias: Reals) -> FloatLayer:
    path = FloatPath(source="x", gates=("y",), weights=_f32(weights[None]))
    return FloatLayer(name=name, kind=kind, paths=(path,), bias=_f32(bias[None]))


def _f32(values: Reals) -> Floats:
    return cast(Floats, values.astype(np.float32))
