# SPDX-License-Identifier: Apache-2.0
"""Walks a graph from a region's input on, and turns its nodes into layers.

Sizes of axes that a graph leaves open are chosen here, so that every shape in it is a number; a
graph is walked with two choices, and what depends on them is refused (`graph`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import UserError, printable
from ...models.float_model import FloatLayer
from ..folding import Affine, identity
from ..tensors.directions import one
from ..tensors.layers import shown
from .axes import DIRECTIONS, Axes, Axis, Moved, axis
from .flow import Flow
from .model import RECURRENT, Graph, input_of, taken_by, title
from .moves import MOVERS, torn
from .nodes import ACTIVATIONS, NODES, activation, linear, recurrent
from .norms import Parts, of_node, of_part
from .scope import MOVES, PICKS, Scope

LAYERS = (*RECURRENT, "Gemm", "MatMul")
AFFINE = ("Add", "Sub", "Mul", "Div", "BatchNormalization")
KNOWN = (*LAYERS, *ACTIVATIONS, *AFFINE, *MOVES, "Dropout", "Softmax", "LogSoftmax")
KNOWN += ("LayerNormalization", "Gather", "Slice")
_CHAIN = "only a single chain of layers can be imported"


@dataclass(frozen=True)
class Opaque:
    """A value that no layer makes. state: it is a state that a node puts out.

    problem: why, where one says so.
    """

    problem: str = ""
    state: bool = False


class Trace:
    """The walk.

    entry: name of the region's input, axes: its own. features: the one that holds them. end: the
    node after which nothing more is taken. flows: values that the network can make, in order.
    problems: why it does not go on, one for each place. doubts: those that look like mistakes.
    """

    def __init__(
        self,
        graph: Graph,
        entry: str,
        axes: Axes,
        *,
        features: Axis,
        end: Any = None,
        zero_state: bool = False,
    ) -> None:
        self.graph, self.entry, self.end = graph, entry, end
        self.scope = Scope(graph, zero_state=zero_state)
        self.flows: dict[str, Flow] = {entry: Flow(axes, features)}
        self.opaque: dict[str, Opaque] = {}
        self.parts = Parts(self.scope)
        self.problems: list[str] = []
        self.doubts: list[str] = []
        self._names: set[str] = set()
        for node in graph.nodes:
            if entry not in node.output:
                self._walk(node)

    def _walk(self, node: Any) -> None:
        taken = taken_by(node)
        walked = (self.flows, self.opaque, self.parts.found)
        if not any(name in values for name in taken for values in walked):
            self.scope.fold(node)
            return
        if node.op_type in ("Shape", "Size") and self._measures(node):
            return
        problem, made = "", None
        flows = [name for name in taken if name in self.flows]
        parts = [name for name in taken if name in self.parts.found]
        if (flows or parts) and not self._is_behind(flows):
            try:
                if self.parts.takes(node):
                    made = self._of_parts(node)
                    if made is None:
                        return
                else:
                    made = self._made(node, flows)
            except UserError as error:
                problem = str(error)
            except Moved:
                problem = torn(self.scope, node, self.flows.get(input_of(node, 0)))
            except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
                problem = f"{title(node)}: is not understood ({error}); export the graph anew"
        elif not flows:
            problem = self._behind_state(node)
        if problem:
            self.problems.append(problem)
        if made is not None and node.output[0]:
            self.flows[node.output[0]] = made
        if not flows and self.graph.is_known(node, (*MOVES, *PICKS, "Concat")):
            known = [self.opaque[name] for name in taken if name in self.opaque]
            state = next((a for a in known if not a.state), known[0])
        else:
            state = Opaque(problem)
        for name in filter(None, node.output):
            if name not in self.flows:
                self.opaque.setdefault(name, state)

    def _behind_state(self, node: Any) -> str:
        """What is wrong with a node that takes no flow: an unknown one, or one of a state."""
        if self.graph.is_known(node, (*MOVES, *PICKS, "Concat")):
            return ""
        if not self.graph.is_known(node, KNOWN):
            return self._unknown(node)
        states = [self.opaque[name] for name in taken_by(node) if name in self.opaque]
        return next((state.problem for state in states if state.state), "")

    def _is_behind(self, flows: list[str]) -> bool:
        """Whether these are what the last node of the network makes."""
        return self.end is not None and any(name in self.end.output for name in flows)

    def _unknown(self, node: Any) -> str:
        return f"{title(node)} is not supported; {NODES}"

    def _measures(self, node: Any) -> bool:
        """Shape and Size of a flow are constants."""
        flow = self.flows.get(input_of(node, 0))
        if flow is None or node.domain:
            return False
        given, shape = self.graph.attributes(node), np.array(flow.axes.shape, np.int64)
        part = shape[given.get("start", 0) : given.get("end")]
        size = np.array(shape.prod()) if node.op_type == "Size" else part
        self.scope.constants[node.output[0]] = size
        return True

    def _made(self, node: Any, flows: list[str]) -> Flow | None:
        """The flow that a node makes; None where it makes a state."""
        if not self.graph.is_known(node, KNOWN):
            if self.graph.is_known(node, ("Concat",)) and all(
                name in self.flows and self.flows[name].state for name in flows
            ):
                self.opaque[node.output[0]] = Opaque(state=True)
                return None
            raise UserError(self._unknown(node))
        self.graph.check_form(node)
        kind = node.op_type
        data = [name for name in node.input if name and name not in self.scope.constants]
        if kind in ("MatMul", "Add", "Sub", "Mul", "Div") and len(data) > 1:
            raise UserError(
                f"{title(node)}: takes {data[0]!r} and {data[1]!r}, both computed; {_CHAIN}"
            )
        if kind not in ("Add", "Mul", "Sub", "Div") and input_of(node, 0) in self.scope.constants:
            raise UserError(f"{title(node)}: its first input is a constant; only its others can be")
        name = flows[0] if kind in ("Add", "Mul", "Sub", "Div") else input_of(node, 0)
        if name not in self.flows:
            raise UserError(f"{title(node)}: takes {flows[0]!r} beside its data; {_CHAIN}")
        flow = self.flows[name]
        if flow.softmax and kind not in MOVES:
            raise UserError(f"{flow.softmax} is not at the end; {NODES}")
        if kind in MOVERS:
            return MOVERS[kind](self.scope, node, flow)
        make: Callable[[Any, Flow], Flow] = {
            **dict.fromkeys(RECURRENT, self._recurrent),
            **dict.fromkeys(ACTIVATIONS, self._activation),
            **dict.fromkeys(("Gemm", "MatMul"), self._linear),
            **dict.fromkeys(("Add", "Sub", "Mul", "Div"), self._affine),
            **dict.fromkeys(("Softmax", "LogSoftmax"), self._softmax),
            "LayerNormalization": self._layer_norm,
            "BatchNormalization": self._batch_norm,
        }[kind]
        return make(node, flow)

    def _name(self, node: Any) -> str:
        name = printable((node.name or node.op_type.lower()).strip("/").replace("/", "."))
        candidate, n = name, 2
        while candidate in self._names:
            candidate, n = f"{name}_{n}", n + 1
        self._names.add(candidate)
        return candidate

    # Layers

    def _recurrent(self, node: Any, flow: Flow) -> Flow:
        what = title(node)
        if flow.last:
            raise UserError(
                f"{what}: takes a last step only; only linear layers can follow a last step, as "
                "deltaloom gives every step"
            )
        flow.check_taken(node)
        if len(flow.axes) != 3:
            raise UserError(f"{what}: takes {len(flow.axes)} axes, expected 3")
        stage = recurrent(self.scope, node, self._name(node))
        if stage.inputs != flow.width:
            raise UserError(_width(stage.first.name, stage.inputs, flow))
        time, batch = flow.axes.axes[:2]
        if flow.time is None:
            self._check_time(node, time)
        elif (time, batch) != (flow.time, flow.batch):
            raise UserError(
                f"{what}: runs over another axis than the recurrent layer before it; all must run "
                "over time: put a Transpose before it (or say batch_first alike)"
            )
        stage = stage.change(flow.fold_into)
        directions = len(stage.chains)
        units = axis(("features", len(flow.stages), node.output[0]), stage.first.units)
        two = (DIRECTIONS,) if directions == 2 else ()
        flow = replace(flow, time=time, batch=batch)
        made = flow.becomes(stage, node, Axes((time, two, batch, units)), two + units)
        self._put_states(node, flow, made, Axes((two, batch, units)))
        return made

    def _check_time(self, node: Any, time: Any) -> None:
        if len(time) > 1:
            raise UserError(
                f"{title(node)}: runs over two axes in a row, which mixes sequences; only a graph "
                "that keeps time and batch apart is supported"
            )
        states = [name for name in node.input[5:7] if name]
        wanted = 2 if node.op_type == "LSTM" else 1
        kept = sum(self.scope.state_input(name) is not None for name in states)
        if not time and kept < wanted:
            raise UserError(
                f"{title(node)}: runs over one step, from the same state for every frame; export "
                "the graph with more steps or with an open axis, or with its states as inputs"
            )

    def _put_states(self, node: Any, before: Flow, made: Flow, axes: Axes) -> None:
        """Y_h and Y_c: the first may lead on as a last step."""
        _, h, c = (*node.output, "", "")[:3]
        what = title(node)
        if c:
            self.opaque[c] = Opaque(f"{what}: its output Y_c is used; use its output Y", True)
        if h and any(layer.backward for layer in made.stages[-1].layers):
            self.opaque[h] = Opaque(
                f"{what}: its output Y_h is used, which holds a backward direction's output at "
                "the first frame; use its output Y",
                True,
            )
        elif h:
            self.flows[h] = replace(made, axes=axes, last=True, state=True)

    def _linear(self, node: Any, flow: Flow) -> Flow:
        flow.check_taken(node)
        layer = linear(self.scope, node, self._name(node))
        if node.op_type == "Gemm" and len(flow.axes) != 2:
            raise UserError(f"{title(node)}: takes {len(flow.axes)} axes, expected 2")
        if layer.inputs != flow.width:
            raise UserError(_width(layer.name, layer.inputs, flow))
        layer = flow.fold_into(layer)
        units = axis(("features", len(flow.stages), node.output[0]), layer.units)
        axes = flow.axes.with_axis(len(flow.axes) - 1, units)
        return flow.becomes(one(layer), node, axes, units, last=flow.last)

    def _of_parts(self, node: Any) -> Flow | None:
        """The flow of a norm that comes together in a node; None for a part of one."""
        flow = self.flows[self.parts.of(node)]
        part = self.parts.part(node, len(flow.axes))
        if part.what != "norm":
            return None
        del self.parts.found[node.output[0]]
        return self._normed(node, flow, of_part(node, part, flow.width, self._name(node)))

    def _layer_norm(self, node: Any, flow: Flow) -> Flow:
        layer = of_node(self.scope, node, len(flow.axes), flow.width, self._name(node))
        return self._normed(node, flow, layer)

    def _normed(self, node: Any, flow: Flow, layer: FloatLayer) -> Flow:
        flow.check_taken(node)
        layer = flow.fold_into(layer)
        units = axis(("features", len(flow.stages), node.output[0]), layer.units)
        axes = flow.axes.with_axis(len(flow.axes) - 1, units)
        return flow.becomes(one(layer), node, axes, units, last=flow.last)

    def _activation(self, node: Any, flow: Flow) -> Flow:
        if flow.ends_scalable and not flow.ends_linear:  # a norm, which has none of its own
            layer = identity(self._name(node), flow.width)
            flow = flow.becomes(one(layer), node, flow.axes, flow.features, last=flow.last)
        if not flow.ends_linear:
            raise UserError(
                f"{title(node)}: follows {'a layer' if flow.stages else 'no layer'} that takes no "
                f"activation; only Gemm and MatMul do; {NODES}"
            )
        stages = flow.settled_stages()
        stages = (*stages[:-1], stages[-1].change(activation(self.scope, node)))
        return replace(flow, stages=stages, affine=None, state=False)

    # Scales and offsets

    def _affine(self, node: Any, flow: Flow) -> Flow:
        place = next(n for n, name in enumerate(node.input) if name in self.scope.constants)
        array, kind = self.scope.constant(node, place, "its other input"), node.op_type
        if array.dtype.kind != "f" or (kind == "Div" and place == 0):
            raise UserError(f"{title(node)}: {shown('its constant', array)} cannot be folded")
        flow.check_joined(node)
        what = "bias" if kind in ("Add", "Sub") else "scale"
        if array.size not in (1, flow.width) or (array.ndim and array.shape[-1] != array.size):
            raise UserError(f"{title(node)}: {shown(what, array)}; expected [{flow.width}] or [1]")
        if array.ndim > len(flow.axes):
            raise UserError(f"{title(node)}: {shown(what, array)} has more axes than its data")
        values = np.broadcast_to(array.astype(np.float64).ravel(), flow.width)
        ones, zeros = np.ones(flow.width), np.zeros(flow.width)
        scale, offset = {
            "Add": (ones, values),
            "Sub": (ones, -values) if place else (-ones, values),
            "Mul": (values, zeros),
            "Div": (1 / values if values.all() else zeros * np.nan, zeros),
        }[kind]
        return self._scaled(node, flow, scale, offset)

    def _scaled(self, node: Any, flow: Flow, scale: Any, offset: Any) -> Flow:
        if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            raise UserError(f"{title(node)}: a scale or an offset is not finite; mend the graph")
        made = Affine(scale, offset, title(node), adds=node.op_type in ("Add", "Sub"))
        return replace(flow, affine=flow.affine.then(made) if flow.affine else made, state=False)

    def _batch_norm(self, node: Any, flow: Flow) -> Flow:
        given = self.graph.attributes(node)
        parts = [self.scope.constant(node, n, "a parameter") for n in range(1, 5)]
        gamma, beta, mean, variance = (part.astype(np.float64).ravel() for part in parts)
        if given.get("training_mode", 0) or any(given.get(k, 1) != 1 for k in ("spatial",)):
            raise UserError(f"{title(node)}: is in training mode; export the graph for inference")
        if len(flow.axes) < 2 or flow.axes.axes[1] != flow.features or len(gamma) != flow.width:
            raise UserError(f"{title(node)}: normalizes another axis than that of the features")
        if (variance < 0).any():
            raise UserError(f"{title(node)}: a variance is below 0; mend the graph")
        scale = gamma / np.sqrt(variance + given.get("epsilon", 1e-5))
        return self._scaled(node, flow, scale, beta - mean * scale)

    def _softmax(self, node: Any, flow: Flow) -> Flow:
        number = self.graph.attributes(node).get("axis", -1 if self.graph.opset >= 13 else 1)
        if flow.axes.at(number) != len(flow.axes) - 1 or not flow.joined:
            self.doubts.append(
                f"{title(node)}: runs over axis {number}, not over the classes in the last one; "
                "only that keeps the winning class; --to NODE, the node before it, leaves it out"
            )
            raise UserError(self.doubts[-1])
        return replace(flow, softmax=title(node), state=False)


def _width(name: str, inputs: int, flow: Flow) -> str:
    before = flow.stages[-1].chains[0][-1].name if flow.stages else "the graph's input"
    place = f"{before} before it puts out" if flow.stages else f"{before} has"
    return f"{name} takes {inputs} values, but {place} {flow.width}"
