# SPDX-License-Identifier: Apache-2.0
"""A float model against the graph that it was read from: the same sequences through both."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...arithmetic import Reals
from ...errors import UserError
from ...models.float_model import FloatModel
from ..compare import BATCH, STEPS, outputs_of, softmax, verdict
from ..embedding import Embedding
from .axes import Axes
from .cut import part
from .model import RECURRENT
from .region import Region, sized
from .tokens import tokens_of

Run = Callable[[Any, Mapping[str, np.ndarray], list[str]], list[np.ndarray]]


def check(model: FloatModel, region: Region, embedding: Embedding | None = None) -> str:
    """What was compared, in words. Raises UserError where the two differ.

    With an embedding, the graph gets tokens at its own input.

    Where no runtime can run the graph, the words say so.
    """
    name, run = _runtime()
    problem = ""
    for batch in (BATCH, 1):  # a graph with states often takes a batch of one only
        try:
            feeds, axes = _feeds(region, batch)
            cut = [region.entry]
            if embedding is not None:
                _feed_tokens(region, feeds, embedding)
                cut = []
            started = _started(model, region, feeds, run)
            pieces = part(region.trace.graph, cut, [region.exit])
            taken = {value.name for value in pieces.graph.input}
            given = {key: value for key, value in feeds.items() if key in taken}
            (expected,) = run(pieces, given, [region.exit])
        except UserError:
            raise
        except Exception as error:  # a runtime's own errors have no common base
            problem = problem or next(iter(str(error).splitlines()), type(error).__name__)
            continue
        return _compare(started, region, axes, feeds[region.entry], expected, name)
    return f"not checked: {name} cannot run this graph ({problem[:120]})"


def _runtime() -> tuple[str, Run]:
    """onnxruntime where it is installed, else onnx's own evaluator."""
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
        return "onnx's evaluator", lambda m, feeds, names: evaluator(m).run(names, dict(feeds))

    def run(model: Any, feeds: Mapping[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found: list[np.ndarray] = session.run(names, dict(feeds))
        return found

    return "onnxruntime", run


def _feeds(region: Region, batch: int) -> tuple[dict[str, np.ndarray], Axes]:
    """Random values for the region's input and the states that it takes, and the input's axes."""
    rng = np.random.default_rng(0)
    graph, flow = region.trace.graph, region.flow
    time = {name for name, _ in flow.time or ()}
    sizes = [STEPS if ("entry", k) in time else batch for k in range(len(region.shape))]
    axes = sized(region.shape, region.features, sizes)
    kinds = {v.name: v.type.tensor_type.elem_type for v in graph.model.graph.input}
    dtype = np.float32
    if region.entry in kinds:
        dtype = graph.onnx.helper.tensor_dtype_to_np_dtype(kinds[region.entry])
    feeds = {region.entry: rng.normal(size=axes.shape).astype(dtype)}
    for name, shape in graph.inputs.items():
        if name != region.entry and shape is not None:
            given = [n if isinstance(n, int) else batch for n in shape]
            kind = graph.onnx.helper.tensor_dtype_to_np_dtype(kinds[name])
            feeds[name] = rng.uniform(-0.5, 0.5, given).astype(kind)
    return feeds, axes


def _feed_tokens(region: Region, feeds: dict[str, np.ndarray], embedding: Embedding) -> None:
    """Random tokens for the graph's input; in place of what they become, each `width` times."""
    graph, entry = region.trace.graph, feeds[region.entry]
    node, _ = graph.makers[region.entry]
    name = tokens_of(graph, node) or ""
    kinds = {v.name: v.type.tensor_type.elem_type for v in graph.model.graph.input}
    tokens = np.random.default_rng(0).integers(0, len(embedding.table), entry.shape[:-1])
    feeds[name] = tokens.astype(graph.onnx.helper.tensor_dtype_to_np_dtype(kinds[name]))
    feeds[region.entry] = np.repeat(tokens[..., None], entry.shape[-1], -1).astype(np.float32)


def _started(
    model: FloatModel, region: Region, feeds: dict[str, np.ndarray], run: Run
) -> FloatModel:
    """The model with the first states that are fed; all sequences of the batch have the same."""
    scope, graph = region.trace.scope, region.trace.graph
    states: dict[str, dict[str, np.ndarray]] = {}
    for stage, node in zip(region.flow.stages, region.flow.nodes, strict=True):
        for place, key in ((5, "h"), (6, "c")):
            name = node.input[place] if place < len(node.input) else ""
            fed = scope.state_input(name) if name and name not in scope.constants else None
            if fed is None or node.op_type not in RECURRENT or scope.is_zero(name):
                continue
            if scope.zero_state and not scope.is_put_out(fed):
                feeds[fed] = np.zeros_like(feeds[fed])
            if feeds[fed].ndim == 3:
                feeds[fed] = np.repeat(feeds[fed][:, :1], feeds[fed].shape[1], axis=1)
            if name == fed:
                value = feeds[fed]
            else:
                (value,) = run(part(graph, [], [name]), {fed: feeds[fed]}, [name])
            for d, layer in enumerate(stage.layers):
                states.setdefault(layer.name, {})[key] = value[d, 0].astype(np.float32)
    layers = tuple(
        replace(layer, initial={**layer.initial, **states[layer.name]})
        if layer.name in states
        else layer
        for layer in model.layers
    )
    return replace(model, layers=layers)


def _compare(
    model: FloatModel,
    region: Region,
    axes: Axes,
    given: np.ndarray,
    expected: np.ndarray,
    runtime: str,
) -> str:
    flow = region.flow
    time = flow.time or ()
    sequences = _as_sequences(given, axes, axes.axes[region.features], time)
    if model.tokens:
        sequences = sequences[..., 0].astype(np.int64)
    own = outputs_of(model, sequences)
    if flow.softmax:
        own = softmax(own, log=flow.softmax.startswith("Log"))
    made = _sizes(flow.axes, axes)
    theirs = _as_sequences(expected.reshape(made.shape), made, _sizes_of(flow.features, axes), time)
    return verdict(own[:, -1:] if flow.last else own, theirs, runtime, str(given.dtype))


def _sizes_of(atoms: Any, axes: Axes) -> Any:
    """Atoms with the sizes that the entry's axes have here."""
    sizes = {atom[0]: atom for axis_ in axes.axes for atom in axis_}
    there = (atom for atom in atoms if atom[0] in sizes or atom[0][0] != "entry")  # else of size 1
    return tuple(sizes.get(name, (name, size)) for name, size in there)


def _sizes(made: Axes, axes: Axes) -> Axes:
    return Axes(tuple(_sizes_of(atoms, axes) for atoms in made.axes))


def _as_sequences(values: np.ndarray, axes: Axes, features: Any, time: Any) -> Reals:
    """[sequences, steps, features] of a value, whatever the order of its axes.

    Sequences stand in the order of the entry's axes.
    """
    atoms = [atom for atoms in axes.axes for atom in atoms]
    spread = values.astype(np.float64).reshape([size for _, size in atoms])
    names = [name for name, _ in atoms]
    inner = [names.index(name) for name, _ in (*time, *features) if name in names]
    outer = sorted((n for n in range(len(names)) if n not in inner), key=lambda n: repr(names[n]))
    steps = int(np.prod([atoms[names.index(n)][1] for n, _ in time if n in names]))
    width = int(np.prod([size for _, size in features]))
    result: Reals = spread.transpose(outer + inner).reshape(-1, steps, width)
    return result
