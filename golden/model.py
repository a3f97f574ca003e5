# SPDX-License-Identifier: Apache-2.0
"""The canonical float model that every importer makes: a stack of layers of paths, in float32.

On disk it is one safetensors file. Tensors are named `layers.N.bias`, `layers.N.vectors.NAME`,
`layers.N.SOURCE.weights` and `layers.N.SOURCE.scale`, with the path's gates after a SOURCE that has
several paths; the rest is JSON under the metadata key "deltaloom".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path as FilePath

import numpy as np
import numpy.typing as npt

from . import storage
from .arithmetic import Reals
from .cells import CELLS, Cell, Numbers, State
from .errors import UserError

Floats = npt.NDArray[np.float32]
KIND = "float model"


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatPath:
    """One matrix-vector product of `gates`, read from `source`.

    weights: [gates, units, columns].
    scale: [gates, units], applied to the product (BatchNorm's gamma / sqrt(var + eps), which is
        not folded into the weights); None: 1.
    """

    source: str
    gates: tuple[str, ...]
    weights: Floats
    scale: Floats | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatLayer:
    """A cell, its paths and its numbers.

    paths: a source may have several, which feed different gates.
    bias: [cell gates, units]. vectors: the cell's, by name, [units].
    skip_scale: of a cell that reads the input, its factor; 0 for other cells.

    Raises UserError where the cell is unknown or something does not fit it.
    """

    name: str
    kind: str
    paths: tuple[FloatPath, ...]
    bias: Floats
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    skip_scale: float = 0.0

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
        if "x" not in sources or not set(sources) <= {*allowed}:
            raise UserError(
                f"{self.name}: paths from {sources}, expected some from {allowed}, x among them"
            )
        fed: set[tuple[str, str]] = set()
        for path in self.paths:
            self._check_path(path, fed)
        if {*self.vectors} != {*self.cell.vectors}:
            raise UserError(
                f"{self.name} vectors: {[*self.vectors]}, {self.kind} has {[*self.cell.vectors]}"
            )
        for name, vector in self.vectors.items():
            if vector.shape != (self.units,):
                raise UserError(
                    f"{self.name} {name}: shape {vector.shape}, expected [{self.units}]"
                )
        if self.cell.reads_input and self.inputs != self.units:
            raise UserError(
                f"{self.name}: {self.inputs} inputs and {self.units} units, {self.kind} adds its "
                "input to its output, so they must be as many; use sru4 or sru0"
            )
        if not np.isfinite(self.skip_scale) or (self.skip_scale and not self.cell.reads_input):
            rule = "it must be finite" if self.cell.reads_input else f"{self.kind} has none"
            raise UserError(f"{self.name} skip scale: {self.skip_scale} is not possible, {rule}")

    def _check_path(self, path: FloatPath, fed: set[tuple[str, str]]) -> None:
        what, allowed = f"{self.name}.{path.source}", self.cell.feeds[path.source]
        places = [(path.source, gate) for gate in path.gates]
        if not set(path.gates) <= {*allowed} or len({*places} - fed) < len(places):
            raise UserError(
                f"{what} gates: {path.gates} are not some of {allowed}, once each per source"
            )
        fed.update(places)
        columns = "any" if path.source == "x" else self.units
        if path.source == "x" and path.weights.ndim == 3:
            columns = self.inputs
        shape, rows = path.weights.shape, (len(path.gates), self.units)
        if len(shape) != 3 or shape[:2] != rows or columns not in ("any", shape[2]):
            raise UserError(
                f"{what} weights: shape {shape}, expected [{rows[0]}, {rows[1]}, {columns}]"
            )
        if path.scale is not None and path.scale.shape != rows:
            raise UserError(f"{what} scale: shape {path.scale.shape}, expected {[*rows]}")

    @property
    def cell(self) -> Cell:
        return CELLS[self.kind]

    @property
    def units(self) -> int:
        return int(self.bias.shape[1])

    @property
    def inputs(self) -> int:
        return next(int(p.weights.shape[2]) for p in self.paths if p.source == "x")

    def numbers(self, x: Reals) -> Numbers:
        """What the cell's float step needs, with the layer's input x [.., inputs]."""
        skip = x * self.skip_scale if self.cell.reads_input else None
        return Numbers(vectors=self.vectors, skip=skip)

    @property
    def parameters(self) -> int:
        """How many weights, scales, biases and vector elements there are."""
        arrays = [self.bias, *self.vectors.values()]
        for path in self.paths:
            arrays += [path.weights] if path.scale is None else [path.weights, path.scale]
        return sum(int(array.size) for array in arrays)

    def at(self, path: FloatPath) -> str:
        """The path's name in this layer: its source, and its gates where there are several."""
        alone = sum(p.source == path.source for p in self.paths) == 1
        return path.source if alone else f"{path.source}.{''.join(path.gates)}"


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
            for name, vector in layer.vectors.items():
                tensors[f"layers.{n}.vectors.{name}"] = vector
            paths = []
            for path in layer.paths:
                at = layer.at(path)
                tensors[f"layers.{n}.{at}.weights"] = path.weights
                if path.scale is not None:
                    tensors[f"layers.{n}.{at}.scale"] = path.scale
                paths.append({"source": path.source, "gates": list(path.gates), "at": at})
            layers.append(
                {
                    "name": layer.name,
                    "cell": layer.kind,
                    "paths": paths,
                    "vectors": list(layer.vectors),
                    "skip_scale": layer.skip_scale,
                }
            )
        header = {"layers": layers, "labels": list(self.labels), "origin": self.origin}
        storage.save(file, KIND, tensors, header)

    @classmethod
    def load(cls, file: FilePath) -> "FloatModel":
        """Read a model that `save` wrote. Raises UserError where the file is anything else."""
        tensors, header = storage.load(file, KIND, made_by="deltaloom import")
        with storage.reading(file):
            layers = tuple(
                _read_layer(entry, tensors, f"layers.{n}")
                for n, entry in enumerate(header["layers"])
            )
            return cls(layers=layers, labels=tuple(header["labels"]), origin=header["origin"])


def _read_layer(entry: dict, tensors: dict[str, np.ndarray], prefix: str) -> FloatLayer:
    paths = []
    for path in entry["paths"]:
        at = f"{prefix}.{path.get('at', path['source'])}"  # older files have one path per source
        paths.append(
            FloatPath(
                source=path["source"],
                gates=tuple(path["gates"]),
                weights=tensors[f"{at}.weights"],
                scale=tensors.get(f"{at}.scale"),
            )
        )
    return FloatLayer(
        name=entry["name"],
        kind=entry["cell"],
        paths=tuple(paths),
        bias=tensors[f"{prefix}.bias"],
        vectors={name: tensors[f"{prefix}.vectors.{name}"] for name in entry.get("vectors", ())},
        skip_scale=float(entry.get("skip_scale", 0)),
    )


@dataclass(frozen=True, slots=True)
class Trace:
    """What one layer did over a sequence.

    x: its input [steps, inputs]; p: the gates' pre-activations [steps, gates, units];
    c, h [steps, units]; rh: the values of source "rh" [steps, units], None where there is none.
    """

    x: Reals
    p: Reals
    c: Reals
    h: Reals
    rh: Reals | None = None


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
    by_source: dict[str, list[tuple[list[int], Reals, Reals]]] = {"h": [], "rh": []}
    for path in layer.paths:
        rows = [cell.gates.index(g) for g in path.gates]
        weights = path.weights.astype(np.float64)
        scale = np.ones(weights.shape[:2]) if path.scale is None else path.scale.astype(np.float64)
        if path.source == "x":
            p[:, rows] += scale * np.einsum("guc,tc->tgu", weights, x, optimize=True)
        else:
            by_source[path.source].append((rows, weights, scale))
    state = State(np.zeros(units), np.zeros(units))
    c, h, rh = np.zeros((3, steps, units))
    for t in range(steps):
        for rows, weights, scale in by_source["h"]:
            p[t, rows] += scale * (weights @ state.h)
        if cell.float_middle is not None:
            rh[t] = cell.float_middle(dict(zip(cell.gates, p[t], strict=True)), state)
            for rows, weights, scale in by_source["rh"]:
                p[t, rows] += scale * (weights @ rh[t])
        named = dict(zip(cell.gates, p[t], strict=True))
        state = cell.float_step(named, state, layer.numbers(x[t]))
        c[t], h[t] = state
    return Trace(x, p, c, h, rh if cell.float_middle else None)
