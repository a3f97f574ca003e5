# SPDX-License-Identifier: Apache-2.0
"""Embeddings in ONNX graphs: a Gather of rows of a stored table, by integers that come in."""

from typing import Any

import numpy as np

from ..embedding import Embedding, embedding_of
from .model import Graph, input_of

_SAME = ("Cast", "Identity")
"""Nodes that may stand between the tokens and the table."""


def embedding_at(graph: Graph, name: str) -> Embedding | None:
    """The embedding that makes the value `name`, of tokens that are an input; None for others."""
    node, _ = graph.makers.get(name, (None, 0))
    if node is None or not graph.is_known(node, ("Gather",)):
        return None
    table = _stored(graph, input_of(node, 0))
    if table is None or table.ndim != 2 or graph.attributes(node).get("axis", 0) not in (0, -2):
        return None
    if tokens_of(graph, node) is None:
        return None
    return embedding_of(
        (node.name or "embedding").strip("/").split("/")[0], input_of(node, 0), table
    )


def tokens_of(graph: Graph, node: Any) -> str | None:
    """The graph's input whose integers a Gather takes as they are; None where it takes others."""
    name = input_of(node, 1)
    while (maker := graph.makers.get(name, (None, 0))[0]) is not None:
        if not graph.is_known(maker, _SAME):
            return None
        name = input_of(maker, 0)
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.model.graph.input}
    whole = (graph.onnx.TensorProto.INT32, graph.onnx.TensorProto.INT64)
    return name if name in graph.inputs and kinds.get(name) in whole else None


def _stored(graph: Graph, name: str) -> np.ndarray | None:
    """A constant of the file."""
    if name in graph.constants:
        return graph.constants[name]
    node, _ = graph.makers.get(name, (None, 0))
    if node is not None and graph.is_known(node, ("Constant",)):
        return graph.value_of(node)
    return None
