# SPDX-License-Identifier: Apache-2.0
"""The canonical float model that every importer makes: a stack of layers of paths, in float32.

On disk it is one safetensors file. Tensors are named `layers.N.bias` and
`layers.N.SOURCE.weights`; the rest is JSON under the metadata key "deltaloom".
"""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path as FilePath

import numpy as np
import numpy.typing as npt

from . import storage
from .arithmetic import Reals
from .cells import CELLS, Cell, State
from .errors import UserError

Floats = npt.NDArray[np.float32]
KIND = "float model"


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatPath:
    """One matrix-vector product: weights [gates, units, columns] of `gates`, read from `source`."""

    source: str
    gates: tuple[str, ...]
    weights: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatLayer:
    """A cell and at most one path per source. bias: [cell gates, units].

    Raises UserError where the cell is unknown or a path does not fit it.
    """

    name: str
    kind: str
    paths: tuple[FloatPath, ...]
    bias: Floats

    def __post_init__(self) -> None:
        if self.kind not in CELLS:
            raise UserError(
                f"{self.name}: cell {self.kind!r} is unknown, there is {', '.join(CELLS)}"
            )
        if self.bias.ndim != 2 or len(self.bias) != len(self.cell.gates):
            raise UserError(
                f"{self.name} bias: shape {self.bias.shape}, expected [{len(self.cell.gates)}, any]"
            )
        sources = [path.source for path in self.paths]
        allowed = self.cell.sources
        if "x" not in sources or len(set(sources)) < len(sources) or not set(sources) <= {*allowed}:
            raise UserError(f"{self.name}: paths from {sources}, expected one each from {allowed}")
        for path in self.paths:
            if len(set(path.gates)) < len(path.gates) or not set(path.gates) <= {*self.cell.gates}:
                raise UserError(
                    f"{self.name}.{path.source} gates: {path.gates} are not some of "
                    f"{self.cell.gates}, once each"
                )
            columns = self.units if path.source == "h" else "any"
            shape = path.weights.shape
            if (
                len(shape) != 3
                or shape[:2] != (len(path.gates), self.units)
                or columns not in ("any", shape[2])
            ):
                raise UserError(
                    f"{self.name}.{path.source} weights: shape {shape}, "
                    f"expected [{len(path.gates)}, {self.units}, {columns}]"
                )

    @property
    def cell(self) -> Cell:
        return CELLS[self.kind]

    @property
    def units(self) -> int:
        return int(self.bias.shape[1])

    @property
    def inputs(self) -> int:
        return next(int(p.weights.shape[2]) for p in self.paths if p.source == "x")

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return int(self.bias.size + sum(p.weights.size for p in self.paths))


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatModel:
    """A stack of layers, first to last. labels: names of the outputs, or empty.

    Raises UserError where a layer does not take what the one before puts out.
    """

    layers: tuple[FloatLayer, ...]
    labels: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("a model needs at least one layer")
        for first, second in pairwise(self.layers):
            if first.units != second.inputs:
                raise UserError(
                    f"{second.name} takes {second.inputs} values, but {first.name} before it puts "
                    f"out {first.units}"
                )

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].units

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(layer.parameters for layer in self.layers)

    def save(self, file: FilePath) -> None:
        """Write the model to one safetensors file."""
        tensors: dict[str, np.ndarray] = {}
        layers = []
        for n, layer in enumerate(self.layers):
            tensors[f"layers.{n}.bias"] = layer.bias
            for path in layer.paths:
                tensors[f"layers.{n}.{path.source}.weights"] = path.weights
            paths = [{"source": p.source, "gates": list(p.gates)} for p in layer.paths]
            layers.append({"name": layer.name, "cell": layer.kind, "paths": paths})
        header = {"layers": layers, "labels": list(self.labels), "origin": self.origin}
        storage.save(file, KIND, tensors, header)

    @classmethod
    def load(cls, file: FilePath) -> "FloatModel":
        """Read a model that `save` wrote. Raises UserError where the file is anything else."""
        tensors, header = storage.load(file, KIND, made_by="deltaloom import")
        layers = []
        with storage.reading(file):
            for n, entry in enumerate(header["layers"]):
                paths = tuple(
                    FloatPath(
                        source=p["source"],
                        gates=tuple(p["gates"]),
                        weights=tensors[f"layers.{n}.{p['source']}.weights"],
                    )
                    for p in entry["paths"]
                )
                layers.append(
                    FloatLayer(
                        name=entry["name"],
                        kind=entry["cell"],
                        paths=paths,
                        bias=tensors[f"layers.{n}.bias"],
                    )
                )
            return cls(
                layers=tuple(layers), labels=tuple(header["labels"]), origin=header["origin"]
            )


@dataclass(frozen=True, slots=True)
class Trace:
    """What one layer did over a sequence: gates' pre-activations [steps, gates, units], c and h."""

    x: Reals
    p: Reals
    c: Reals
    h: Reals


def run_float(model: FloatModel, sequence: npt.ArrayLike) -> tuple[Reals, list[Trace]]:
    """Run the float model over one sequence [steps, inputs] from zero state, in float64.

    Returns the last layer's output [steps, outputs] and one `Trace` per layer.
    """
    x = np.asarray(sequence, np.float64)
    if x.ndim != 2 or x.shape[1] != model.inputs:
        raise UserError(f"features: shape {x.shape}, the network takes [steps, {model.inputs}]")
    if not np.isfinite(x).all():
        raise UserError("features: a value is NaN or infinite; clean the data first")
    traces = []
    for layer in model.layers:
        trace = _run_layer(layer, x)
        traces.append(trace)
        x = trace.h
    return x, traces


def _run_layer(layer: FloatLayer, x: Reals) -> Trace:
    cell, units = layer.cell, layer.units
    steps = len(x)
    p = np.broadcast_to(layer.bias.astype(np.float64), (steps, *layer.bias.shape)).copy()
    recurrent = []
    for path in layer.paths:
        rows = [cell.gates.index(g) for g in path.gates]
        weights = path.weights.astype(np.float64)
        if path.source == "x":
            p[:, rows] += np.einsum("guc,tc->tgu", weights, x, optimize=True)
        else:
            recurrent.append((rows, weights))
    state = State(np.zeros(units), np.zeros(units))
    c, h = np.zeros((steps, units)), np.zeros((steps, units))
    for t in range(steps):
        for rows, weights in recurrent:
            p[t, rows] += weights @ state.h
        state = cell.float_step(dict(zip(cell.gates, p[t], strict=True)), state)
        c[t], h[t] = state
    return Trace(x, p, c, h)
