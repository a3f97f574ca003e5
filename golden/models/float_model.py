# SPDX-License-Identifier: Apache-2.0
"""The canonical float model that every importer makes: a stack of layers of paths, in float32.

On disk it is one safetensors file. Tensors are named `layers.N.bias`, `layers.N.vectors.NAME`,
`layers.N.initial.STATE`, `layers.N.SOURCE.weights` and `layers.N.SOURCE.scale`, with the path's
gates after a SOURCE that has several paths; the rest is JSON under the metadata key "deltaloom".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals
from ..cells import CELLS, Cell, Numbers, State
from ..cells.stages import ALIKE
from ..checks import check_input_scale, stored_texts
from ..errors import UserError
from ..frames import checked_frames
from ..storage import AnyPath, reading
from . import files, graph
from .files import StoredLayer

Floats = npt.NDArray[np.float32]
KIND = "float model"


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatPath:
    """One matrix-vector product of `gates`, read from `source`.

    Members
    -------
    weights: [gates, units, columns].
    scale: [gates, units], applied to the product (BatchNorm's gamma / sqrt(var + eps), which is not
        folded into the weights); None: 1.
    tokens: the input is an index, read as the vector that is 1 there and 0 elsewhere: the product
        is a column. Only of a path from x.
    """

    source: str
    gates: tuple[str, ...]
    weights: Floats
    scale: Floats | None = None
    tokens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatLayer:
    """A cell, its paths and its numbers.

    Members
    -------
    name, kind: the layer's own name, and its cell's in `CELLS`.
    paths: a source may have several, which feed different gates.
    bias: [cell gates, units].
    vectors: the cell's, by name, [units].
    skip_scale: of a cell that reads the input, its factor; 0 for other cells.
    reads: names of the earlier layers whose outputs, one after the other, are its input; "frames"
        are the network's; none is the layer before.
    backward: it runs over a sequence from its last frame to its first; what it puts out still
        stands at the frame.
    h_from: the layer whose output of the step before is its source "h": the next one, an LSTM's
        linear projection. "": itself.
    initial: "c" and "h" [units], the state before a sequence's first frame; none is zeros. The "h"
        that an LSTM with a projection reads is that of the projection.

    Raises UserError where the cell is unknown or something does not fit it.
    """

    name: str
    kind: str
    paths: tuple[FloatPath, ...]
    bias: Floats
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    skip_scale: float = 0.0
    reads: tuple[str, ...] = ()
    backward: bool = False
    h_from: str = ""
    initial: Mapping[str, Floats] = field(default_factory=dict)

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
        if len({path.tokens for path in self.paths if path.source == "x"}) > 1:
            raise UserError(f"{self.name}: tokens must be the same for all paths from x")
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
        graph.check_layer(self)

    def _check_path(self, path: FloatPath, fed: set[tuple[str, str]]) -> None:
        what, allowed = f"{self.name}.{path.source}", self.cell.feeds[path.source]
        if path.tokens and path.source != "x":
            raise UserError(f"{what} tokens: only a path from x reads tokens")
        places = [(path.source, gate) for gate in path.gates]
        if not set(path.gates) <= {*allowed} or len({*places} - fed) < len(places):
            raise UserError(
                f"{what} gates: {path.gates} are not some of {allowed}, once each per source"
            )
        fed.update(places)
        columns: int | str | None = self.units
        if path.source == "x" or self.h_from:
            columns = "any"
            if path.weights.ndim == 3:
                columns = self.inputs if path.source == "x" else self.h_columns
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

    @property
    def tokens(self) -> bool:
        """Whether its input is a token."""
        return next(p.tokens for p in self.paths if p.source == "x")

    @property
    def words(self) -> int:
        """Values of its input: 1 of a token."""
        return 1 if self.tokens else self.inputs

    def numbers(self, x: Reals) -> Numbers:
        """What the cell's float step needs, with the layer's input x [.., inputs]."""
        skip = x * self.skip_scale if self.cell.reads_input else None
        return Numbers(vectors=self.vectors, skip=skip)

    @property
    def h_columns(self) -> int | None:
        """Columns of the paths from h, None where there are none."""
        return next((int(p.weights.shape[2]) for p in self.paths if p.source == "h"), None)

    @property
    def arrays(self) -> dict[str, Floats]:
        """All parameters but the initial state, by their names in a file."""
        arrays = {"bias": self.bias}
        arrays |= {f"vectors.{name}": vector for name, vector in self.vectors.items()}
        for path in self.paths:
            arrays[f"{self.at(path)}.weights"] = path.weights
            if path.scale is not None:
                arrays[f"{self.at(path)}.scale"] = path.scale
        return arrays

    @property
    def signature(self) -> tuple:
        """What besides `arrays` makes two layers compute the same."""
        paths = tuple((p.source, p.gates, p.scale is None, p.tokens) for p in self.paths)
        return self.kind, paths, self.skip_scale

    @property
    def parameters(self) -> int:
        """How many weights, scales, biases, vector elements and initial values there are.

        Without what nobody trained: epsilons, and a norm's own matrix of 1 and bias of 0.
        """
        arrays = {**self.arrays, **self.initial}
        return sum(int(array.size) for name, array in arrays.items() if not self._is_given(name))

    def _is_given(self, name: str) -> bool:
        """Whether an array of `arrays` holds what follows from the cell."""
        if self.kind != "layer_norm" or name.startswith("vectors."):
            return name.startswith(f"vectors.{ALIKE}")
        weights = self.paths[0].weights[0]
        return not self.bias.any() and np.array_equal(weights, np.eye(*weights.shape))

    def at(self, path: FloatPath) -> str:
        """The path's name in this layer: its source, and its gates where there are several."""
        alone = sum(p.source == path.source for p in self.paths) == 1
        return path.source if alone else f"{path.source}.{''.join(path.gates)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatModel:
    """Layers, in an order in which they can run.

    Members
    -------
    layers: see `FloatLayer`.
    labels: names of the outputs, or empty.
    puts_out: names of the layers whose outputs, one after the other, are the model's; none is the
        last.
    input_scale: [inputs], what each feature is divided by before the layers see it; None: 1.
    origin: the checkpoint's name, for reports; it does not count for equality.
    notes: how it was imported, in sentences: what was left off, and what it was checked against.

    Raises UserError where a layer does not take what those that it reads put out.
    """

    layers: tuple[FloatLayer, ...]
    labels: tuple[str, ...] = ()
    puts_out: tuple[str, ...] = ()
    input_scale: Floats | None = None
    origin: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise UserError("a model needs at least one layer")
        graph.check_graph(self.layers, self.puts_out)
        check_input_scale(self.input_scale, self.inputs, tokens=self.tokens)

    @property
    def inputs(self) -> int:
        """Features of a frame; of tokens, how many there are."""
        return self.layers[0].inputs

    @property
    def tokens(self) -> bool:
        """Whether a frame is a token: an index 0..inputs-1."""
        return self.layers[0].tokens

    def scaled(self, features: Reals) -> Reals:
        """Features [.., inputs] as the layers see them."""
        return features if self.input_scale is None else features / self.input_scale

    @property
    def outputs(self) -> int:
        return graph.width_of(self.layers, graph.outputs_of(self.layers, self.puts_out))

    @property
    def parameters(self) -> int:
        """How many weights, biases and so on there are; those that layers share count once."""
        return sum(
            layer.parameters
            for n, layer in enumerate(self.layers)
            if graph.shared_with(self.layers, n) is None
        )

    def save(self, file: AnyPath) -> None:
        """Write the model to one safetensors file."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        files.save(file, KIND, self, _pack, **notes)

    @classmethod
    def load(cls, file: AnyPath) -> "FloatModel":
        """Read a model that `save` wrote. Raises UserError where the file is anything else."""
        fields, header = files.load(file, KIND, "deltaloom import", _unpack)
        with reading(file):
            return cls(**fields, notes=stored_texts("notes", header.get("notes", [])))


def _pack(layer: FloatLayer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file's header says of a layer, and its arrays."""
    paths = [
        {"source": path.source, "gates": list(path.gates), "at": layer.at(path)}
        | ({"tokens": True} if path.tokens else {})
        for path in layer.paths
    ]
    states = {f"initial.{name}": state for name, state in layer.initial.items()}
    return {"paths": paths, "skip_scale": layer.skip_scale}, {**layer.arrays, **states}


def _unpack(stored: StoredLayer) -> FloatLayer:
    """A layer of a file."""
    tensors = stored.tensors
    paths = []
    for path in stored.entry["paths"]:
        at = stored.at(path.get("at", path["source"]))  # older files have one path per source
        paths.append(
            FloatPath(
                source=path["source"],
                gates=stored_texts("gates", path["gates"]),
                weights=tensors[f"{at}.weights"],
                scale=tensors.get(f"{at}.scale"),
                tokens=path.get("tokens", False),
            )
        )
    return FloatLayer(
        **stored.place,
        paths=tuple(paths),
        bias=tensors[stored.at("bias")],
        vectors={name: tensors[at] for name, at in stored.vectors},
        skip_scale=float(stored.entry.get("skip_scale", 0)),
        initial={name: tensors[at] for name, at in stored.initial},
    )


@dataclass(frozen=True, slots=True)
class Trace:
    """What one layer did over a sequence.

    Members
    -------
    x: its input [steps, inputs]; of tokens [steps, 1].
    p: the gates' pre-activations [steps, gates, units].
    c, h: its state after each step, [steps, units].
    rh: the values of source "rh" [steps, units], None where there is none.
    """

    x: Reals
    p: Reals
    c: Reals
    h: Reals
    rh: Reals | None = None


def run_float(
    model: FloatModel, sequence: npt.ArrayLike, *, first: Sequence[State] | None = None
) -> tuple[Reals, list[Trace]]:
    """Run the float model over one sequence, in float64.

    Returns its output [steps, outputs] and one `Trace` per layer, by frame whatever its direction.

    Parameters
    ----------
    model: what runs.
    sequence: real features [steps, inputs], or tokens [steps].
    first: by layer, the state [units] before the first step; None: the model's.

    Raises UserError for another shape, and for a value that is not finite.
    """
    x = model.scaled(checked_frames(sequence, model.inputs, tokens=model.tokens))
    model = widened(model)
    traces = [_empty_trace(layer, len(x)) for layer in model.layers]
    for group in graph.lockstep(model.layers):
        last = model.layers[group[-1]]
        begin = [first_state(layer) for layer in model.layers] if first is None else first
        h = begin[group[-1]].h
        states = {n: begin[n] for n in group}
        for t in reversed(range(len(x))) if last.backward else range(len(x)):
            for n in group:
                indices = graph.inputs_of(model.layers, n)
                read = [x[t] if m == graph.FRAMES else traces[m].h[t] for m in indices]
                traces[n].x[t] = np.concatenate(read)
                states[n] = _step(model.layers[n], traces[n], t, states[n], h)
            h = states[group[-1]].h
    outputs = graph.outputs_of(model.layers, model.puts_out)
    return np.concatenate([traces[n].h for n in outputs], axis=1), traces


def first_state(layer: FloatLayer) -> State:
    """The state [units] before a sequence's first step."""
    zeros = np.zeros(layer.units)
    return State(*(layer.initial.get(name, zeros).astype(np.float64) for name in ("c", "h")))


def widened(model: FloatModel) -> FloatModel:
    """The model with weights in float64, so that no step has to convert them."""

    def wide(path: FloatPath) -> FloatPath:
        return replace(path, weights=cast(Any, path.weights.astype(np.float64, copy=False)))

    layers = [replace(layer, paths=tuple(map(wide, layer.paths))) for layer in model.layers]
    return replace(model, layers=tuple(layers))


def _empty_trace(layer: FloatLayer, steps: int) -> Trace:
    bias = np.broadcast_to(layer.bias.astype(np.float64), (steps, *layer.bias.shape))
    c, h, rh = np.zeros((3, steps, layer.units))
    x = np.zeros((steps, layer.words))
    return Trace(x, bias.copy(), c, h, rh if layer.cell.float_middle else None)


def _step(layer: FloatLayer, trace: Trace, t: int, state: State, h: Reals) -> State:
    """Frame t, whose input is in the trace, from the h that the layer's paths read."""
    cell, p = layer.cell, trace.p[t]
    sources = {"x": trace.x[t], "h": h}
    _add(layer, sources, p)
    if cell.float_middle is not None and trace.rh is not None:
        early = dict(zip(cell.gates, p, strict=True))
        trace.rh[t] = cell.float_middle(early, state, layer.numbers(trace.x[t]))
        _add(layer, {"rh": trace.rh[t]}, p)
    named = dict(zip(cell.gates, p, strict=True))
    state = cell.float_step(named, state, layer.numbers(trace.x[t]))
    trace.c[t], trace.h[t] = state
    return state


def _add(layer: FloatLayer, sources: Mapping[str, Reals], p: Reals) -> None:
    """Add the products with these sources to p [gates, units]."""
    for path in layer.paths:
        if path.source in sources:
            x = sources[path.source]
            product = path.weights[..., int(x[0])] if path.tokens else path.weights @ x
            rows = [layer.cell.gates.index(gate) for gate in path.gates]
            p[rows] += product if path.scale is None else path.scale * product
