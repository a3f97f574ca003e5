# SPDX-License-Identifier: Apache-2.0
"""ONNX files in: the part of the graph that hardware can do, and what comes before and after it.

Layers are LSTM, GRU, Gemm, and MatMul with or without an Add of a bias. Scales and offsets of
features (BatchNormalization, input normalization) are folded into them. Between them nodes may move
axes, as long as the features are together when a layer takes them, and as all recurrent layers run
over the same axis.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...models.float_model import FloatModel
from ..aside import Ended, aside
from ..embedding import Embedding
from ..limits import Budget
from ..options import ImportOptions
from ..tensors.directions import Stage
from .axes import DIRECTIONS, Axes, Axis
from .check import check
from .cut import part
from .front import AXES_KEY
from .model import Graph, read_graph, title
from .region import Region, find_region, trace_of
from .tokens import embedding_at

SUFFIX = ".onnx"
CHECK_SECONDS = 120
"""Of a processor, that a runtime has for the graph and a few random frames."""


@dataclass(frozen=True)
class Part:
    """What was read of a graph.

    before, after: ONNX models of what is left on either side of the network; None for nothing.
    embedding: what makes the region's input of tokens; None where the network takes features.
    """

    region: Region
    before: Any = None
    after: Any = None
    embedding: Embedding | None = None

    @property
    def stages(self) -> list[Stage]:
        return list(self.region.flow.stages)

    @property
    def notes(self) -> list[str]:
        """What changed on the way, in sentences."""
        flow, notes = self.region.flow, list(dict.fromkeys(self.region.trace.scope.notes))
        if flow.softmax:
            notes.append(f"{flow.softmax} is left off: the same class wins")
        if flow.last:
            notes.append("the graph takes the last step; the network gives every step")
        return notes

    def where(self) -> list[tuple[str, str]]:
        """(node, "before" | "network" | "after") for every node that computes something."""
        graph = self.region.trace.graph
        before = {id(node) for node in graph.makers_of([self.region.entry])}
        taken = before if self.embedding is not None else set()
        after = {id(n) for n in graph.makers_of(self.region.outputs, stop=[self.region.exit])}
        network = {id(node) for node in graph.makers_of([self.region.exit], [self.region.entry])}
        found = []
        for node in graph.nodes:
            if node.op_type != "Constant":
                if id(node) in taken or (id(node) in network and id(node) not in before):
                    found.append((title(node), "network"))
                elif id(node) in before:
                    found.append((title(node), "before"))
                elif id(node) in after:
                    found.append((title(node), "after"))
        return found

    def check(self, model: FloatModel) -> str:
        """`check.check` of the model that was made of this."""
        try:
            return aside(lambda: check(model, self.region, self.embedding), CHECK_SECONDS)
        except Ended as error:
            return f"not checked: the runtime cannot run this graph ({error})"


def read_part(file: Path, options: ImportOptions, *, cut: bool) -> Part:
    """The layers of the graph in `file`. Raises UserError naming all nodes that are in the way.

    cut: what comes before and after what can be done is left off, and not in the way.
    """
    graph = read_graph(file, Budget(options.most_bytes))
    try:
        region = find_region(graph, options, cut=cut)
        _check_sizes(graph, options, region)
        embedding = None
        if region.features == len(region.shape) - 1:  # what is looked up stands there
            embedding = embedding_at(graph, region.entry)
        before, after = _sides(graph, region)
        return Part(region, None if embedding else before, after, embedding)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _sides(graph: Graph, region: Region) -> tuple[Any, Any]:
    """What comes before and after, each with what the axes at the cut hold."""
    flow, before, after = region.flow, None, None
    if region.entry not in graph.inputs:
        before = part(graph, [], [region.entry])
        entry = region.trace.flows[region.entry]
        _note_axes(before, _held(entry.axes, entry.features, flow.time))
    if region.outputs != (region.exit,):
        after = part(graph, [region.exit], region.outputs)
        _note_axes(after, _held(flow.axes, flow.features, flow.time))
    return before, after


def _held(axes: Axes, features: Axis, time: Axis | None) -> list[str]:
    """What each axis holds, in a word."""
    words = dict.fromkeys(features, "features") | dict.fromkeys(time or (), "time")
    words[DIRECTIONS] = words.get(DIRECTIONS, "features")
    return [
        "+".join(dict.fromkeys(words.get(atom, "batch") for atom in atoms)) or "one"
        for atoms in axes.axes
    ]


def _note_axes(model: Any, axes: list[str]) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = AXES_KEY, ",".join(axes)


def _check_sizes(graph: Graph, options: ImportOptions, region: Region) -> None:
    """Raise UserError where layers depend on how many steps or sequences there are."""
    if all(isinstance(n, int) for n in region.shape):
        return
    again = trace_of(graph, options, region.entry, region.shape, region.features, 1)
    flow = again.flows.get(region.exit)
    same = flow is not None and _same(flow.finished().stages, region.flow.stages)
    if not same:
        problem = again.problems[0] if again.problems else "its weights change with them"
        raise UserError(
            f"the graph depends on how many steps or sequences it is given ({problem}); export it "
            "with open axes"
        )


def _same(a: tuple[Stage, ...], b: tuple[Stage, ...]) -> bool:
    """Whether stages have the same numbers."""
    ours, theirs = ([layer for stage in stages for layer in stage.layers] for stages in (a, b))
    if len(ours) != len(theirs):
        return False
    for one, other in zip(ours, theirs, strict=True):
        arrays, others = one.arrays, other.arrays
        if one.kind != other.kind or one.backward != other.backward or {*arrays} != {*others}:
            return False
        states = {f"initial {name}": state for name, state in one.initial.items()}
        other_states = {f"initial {name}": state for name, state in other.initial.items()}
        if {*states} != {*other_states}:
            return False
        pairs = {**arrays, **states}, {**others, **other_states}
        if any(not np.array_equal(pairs[0][name], pairs[1][name]) for name in pairs[0]):
            return False
    return True
