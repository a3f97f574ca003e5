# SPDX-License-Identifier: Apache-2.0
"""Parts of an ONNX graph as graphs of their own: what comes before a network, and after it."""

from collections.abc import Sequence
from typing import Any

from .model import Graph, inferred, taken_by


def part(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The model of the nodes that `outputs` need, from `inputs` and the graph's own inputs on."""
    onnx, model = graph.onnx, graph.model
    nodes = graph.makers_of(outputs, stop=inputs)
    needed = {name for node in nodes for name in taken_by(node)} | {*outputs}
    shapes = inferred(graph)
    types = _types(graph)

    def value(name: str) -> Any:
        if name in declared:
            return declared[name]
        kind = types.get(name, onnx.TensorProto.FLOAT)
        return onnx.helper.make_tensor_value_info(name, kind, shapes.get(name))

    declared = {v.name: v for v in model.graph.input}
    taken = [name for name in (*inputs, *graph.inputs) if name in needed]
    made = onnx.helper.make_graph(
        nodes,
        model.graph.name or "graph",
        [value(name) for name in dict.fromkeys(taken)],
        [value(name) for name in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return onnx.helper.make_model(
        made,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=model.functions,
    )


def _types(graph: Graph) -> dict[str, int]:
    """Element types that the file declares, or that follow."""
    try:
        model = graph.onnx.shape_inference.infer_shapes(graph.model)
    except Exception:  # whatever it is: there is nothing to know then
        model = graph.model
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {v.name: v.type.tensor_type.elem_type for v in values if v.type.tensor_type.elem_type}
