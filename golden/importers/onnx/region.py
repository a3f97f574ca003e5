# SPDX-License-Identifier: Apache-2.0
"""Which part of a graph becomes the network: where it begins, and where it ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from ..options import ImportOptions
from .axes import Axes, axis
from .flow import Flow
from .model import RECURRENT, Graph, check_sizes, inferred, input_of, title
from .nodes import NODES
from .tokens import embedding_at
from .trace import KNOWN, LAYERS, Trace

SIZES = ((3, 7, 11, 13, 17), (5, 11, 13, 17, 19))
"""Two choices of sizes for the axes that a graph leaves open."""
_MOST_TRIED = 30
_CHOOSE = "--from NODE and --to NODE choose a part, the rest goes to before.onnx and after.onnx"
Shape = list[int | str | None]


@dataclass(frozen=True)
class Region:
    """A part of a graph. entry, exit: names of the values that it takes and makes.

    axes: the entry's. features: which of them holds the features. flow: what the exit is.
    states: outputs of the graph that are states; outputs: the others.
    """

    trace: Trace
    entry: str
    shape: Shape
    features: int
    exit: str
    flow: Flow
    outputs: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing comes before or after it."""
        return self.entry in self.trace.graph.inputs and (self.exit,) == self.outputs


def find_region(graph: Graph, options: ImportOptions, *, cut: bool) -> Region:
    """The largest part that can become a network. Raises UserError, with all that is in the way.

    cut: something may come before and after it.
    """
    first: list[str] = []
    open_axes: list[str] = []
    for name, declared in _entries(graph, options, cut=cut):
        try:
            axes = _feature_axes(graph, name, declared)
        except UserError as error:
            open_axes.append(str(error))
            continue
        for features, shape in axes:
            region, problems = _try(graph, options, name, shape, features, cut=cut)
            if region is not None:
                return region
            first = first or problems or [f"the graph's outputs come from no layer; {NODES}"]
    first = first or open_axes[:1]
    raise UserError(_joined(first) or f"there is no layer in it; {NODES}")


def _joined(problems: Sequence[str]) -> str:
    """All of them, each once, and what is supported behind the first that says it."""
    text = "; ".join(dict.fromkeys(problems))
    rule = f"; {NODES}"
    at = text.find(rule) + len(rule)
    return text[:at] + text[at:].replace(rule, "") if rule in text else text


def sized(shape: Sequence[int | str | None], features: int, sizes: Sequence[int]) -> Axes:
    """Axes of an entry: its own sizes, and `sizes` where it leaves them open; features last."""
    axes = [
        axis(("entry", k), n if isinstance(n, int) else sizes[k % len(sizes)])
        for k, n in enumerate(shape)
    ]
    return Axes(tuple(axes))


def trace_of(
    graph: Graph, options: ImportOptions, name: str, shape: Shape, features: int, choice: int
) -> Trace:
    """The walk from an entry on, with one choice of open sizes."""
    axes = sized(shape, features, SIZES[choice])
    end = named(graph, options.end) if options.end else None
    return Trace(
        graph,
        name,
        axes,
        features=axes.axes[features],
        end=end,
        zero_state=options.zero_state,
    )


def named(graph: Graph, name: str) -> Any:
    """The node called `name`, or that makes the value `name`."""
    found = [node for node in graph.nodes if node.name == name]
    found = found or [node for node in graph.nodes if name in node.output]
    if len(found) != 1:
        how = "several nodes have that name" if found else "no node has that name"
        raise UserError(f"node {name!r}: {how}; give the name of one, or of a value that it makes")
    return found[0]


def _try(
    graph: Graph, options: ImportOptions, name: str, shape: Shape, features: int, *, cut: bool
) -> tuple[Region | None, list[str]]:
    """The region from one entry on, or what is in its way."""
    trace = trace_of(graph, options, name, shape, features, 0)
    outputs = main_outputs(trace)
    found = _exit(trace, outputs, options, cut=cut)
    if found is None or (trace.doubts and not options.end):
        return None, _problems(trace, outputs)
    left = _left(graph, found[1], name)
    if left and not (options.end or options.start):
        ways = (
            "--from NODE and --to NODE choose a part, the rest goes to before.onnx and after.onnx"
        )
        lost = ", ".join(map(title, left))
        return None, [*trace.problems, f"{lost}: not in one chain with the rest; {ways}"]
    return Region(trace, name, shape, features, *found, tuple(outputs)), []


def _left(graph: Graph, flow: Flow, entry: str) -> list[Any]:
    """Recurrent nodes that the network leaves out."""
    taken = {id(node) for node in flow.nodes}
    return [n for n in graph.nodes if graph.is_known(n, RECURRENT) and id(n) not in taken]


def main_outputs(trace: Trace) -> list[str]:
    """The graph's outputs without those that are states."""
    states = {
        name
        for name in trace.graph.outputs
        if (name in trace.flows and trace.flows[name].state)
        or (name in trace.opaque and trace.opaque[name].state)
    }
    return [name for name in trace.graph.outputs if name not in states] or trace.graph.outputs


def _exit(
    trace: Trace, outputs: Sequence[str], options: ImportOptions, *, cut: bool
) -> tuple[str, Flow] | None:
    """The last value that the network can make and from which everything else follows."""
    graph = trace.graph
    places = {name: n for n, name in enumerate(trace.flows)}
    order = sorted(
        trace.flows, key=lambda name: (len(trace.flows[name].stages), places[name]), reverse=True
    )
    for name in order:
        flow = trace.flows[name]
        if not flow.stages or (not cut and [name] != list(outputs)):
            continue
        if flow.softmax and (name not in outputs or graph.readers.get(name)):
            continue
        if options.end and name not in named(graph, options.end).output:
            continue
        try:
            flow = flow.finished()
        except UserError:
            continue
        after = {id(node) for node in graph.makers_of(outputs, stop=[name])}
        if not any(id(node) in after for node in flow.nodes):
            return name, flow
    return None


def _problems(trace: Trace, outputs: Sequence[str]) -> list[str]:
    """All that keeps the graph's outputs from being a network's."""
    problems = list(trace.problems)
    chain: set[int] = set()
    for n, name in enumerate(outputs):
        flow, opaque = trace.flows.get(name), trace.opaque.get(name)
        if flow is None:
            if opaque is not None and opaque.problem and not problems:
                problems.append(opaque.problem)
            elif (opaque is None and name in trace.graph.inputs) or (
                opaque is None and not problems
            ):
                problems.append(f"the graph's output {name!r} comes from no layer; {NODES}")
            continue
        if not flow.stages:
            problems.append(f"the graph's output {name!r} comes from no layer; {NODES}")
            continue
        try:
            flow.finished()
        except UserError as error:
            problems.append(str(error))
        if n:
            head = next((a for a in flow.nodes if id(a) not in chain), flow.nodes[-1])
            problems.append(
                f"{title(head)}: leads to a second output {name!r}; only a single chain of layers "
                "can be imported"
            )
        chain |= {id(node) for node in flow.nodes}
    return problems


def _entries(graph: Graph, options: ImportOptions, *, cut: bool) -> Iterator[tuple[str, Shape]]:
    """Where the network may begin, the best first, with shapes."""
    if not graph.outputs:
        raise UserError("the graph has no output; export it anew")
    recurrent = [node for node in graph.nodes if graph.is_known(node, RECURRENT)]
    rank = 3 if recurrent else 2
    if options.start:
        node = named(graph, options.start)
        token = [name for name in node.output if embedding_at(graph, name) is not None]
        path = token or [_data(graph, node)]
    else:
        last = input_of(recurrent[0], 0) if recurrent else graph.outputs[0]
        path = _path(graph, last)
    shapes = inferred(graph)
    tried = 0
    for name in path:
        embedding = embedding_at(graph, name)
        if embedding is not None:
            known = shapes.get(name) or [None] * rank
            yield name, [*known[:-1], embedding.width]
    for n, name in enumerate(path):
        maker, _ = graph.makers.get(name, (None, 0))
        behind = n == 0 or maker is None or not graph.is_known(maker, KNOWN)
        near = tried and n >= len(path) - 5
        if (behind or near) and tried < _MOST_TRIED and (cut or n == 0):
            tried += 1
            shape = graph.inputs.get(name) or shapes.get(name)
            yield name, list(shape) if shape else [None] * rank


def _data(graph: Graph, node: Any) -> str:
    """The value that a node works on: its first one that depends on the graph's input."""
    depends = _dependents(graph)
    return next((str(name) for name in node.input if name in depends), input_of(node, 0))


def _path(graph: Graph, name: str) -> list[str]:
    """Values from the graph's input to `name`."""
    depends = _dependents(graph)
    path = [name]
    while name in graph.makers:
        node = graph.makers[name][0]
        name = next((n for n in node.input if n in depends), "")
        if not name:
            break
        path.append(name)
    return path[::-1]


def _dependents(graph: Graph) -> set[str]:
    """Values that depend on an input of the graph."""
    found, left = set(graph.inputs), [*graph.inputs]
    while left:
        for node in graph.readers.get(left.pop(), ()):
            new = [name for name in node.output if name and name not in found]
            found.update(new)
            left += new
    return found


def _feature_axes(graph: Graph, name: str, shape: Shape) -> list[tuple[int, Shape]]:
    """Axes of an entry that may hold the features, with its shape.

    First the last one, whose size may follow from the first layer, then others of known size.
    """
    if not shape:
        return []
    check_sizes(name, shape)
    found = [(k, shape) for k, n in enumerate(shape) if isinstance(n, int)][::-1]
    if not isinstance(shape[-1], int):
        width = _width_behind(graph, name)
        found = ([(len(shape) - 1, [*shape[:-1], width])] if width else []) + found
    if not found:
        raise UserError(
            f"{name!r}: its number of features is open, and no layer tells it; export the graph "
            "with its size"
        )
    return found


def _width_behind(graph: Graph, name: str) -> int | None:
    """The number of features that the first layer behind a value takes."""
    for _ in range(_MOST_TRIED):
        readers = graph.readers.get(name, ())
        node = next((n for n in readers if graph.is_known(n, KNOWN)), None)
        if node is None:
            return None
        if node.op_type in LAYERS:
            weights = graph.constants.get(input_of(node, 1))
            if weights is None or weights.ndim < 2:
                return None
            flipped = node.op_type == "Gemm" and graph.attributes(node).get("transB", 0)
            columns = node.op_type in RECURRENT or flipped
            return int(weights.shape[-1] if columns else weights.shape[0])
        name = node.output[0]
    return None
