# SPDX-License-Identifier: Apache-2.0
"""An ONNX file: read within limits, checked, its nodes in order and by what they make."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from ... import storage
from ...arrays import check_shape
from ...errors import UserError
from ..limits import Budget
from ..tensors.files import first_line

OLDEST_OPSET = 7
MOST_NODES = 100_000
RECURRENT = ("LSTM", "GRU", "RNN")


def read_graph(file: Path, budget: Budget) -> "Graph":
    """The graph in `file`. Raises UserError where it is damaged, or more than is allowed."""
    storage.check_file(file)
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise UserError(
            f"{file}: reading it needs onnx: `pip install 'deltaloom[onnx]'`"
        ) from error
    try:
        budget.take("the file", file.stat().st_size)
        model = onnx.load(str(file), load_external_data=False)
        _load_outside(onnx, model, file, budget)
        graph = Graph(onnx, model, budget)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except Exception as error:  # protobuf's and onnx's own errors have no common base
        raise UserError(
            f"{file}: not a whole ONNX file ({first_line(error)}); export it anew"
        ) from error
    return graph


def _load_outside(onnx: Any, model: Any, file: Path, budget: Budget) -> None:
    """Read values that lie in files beside `file`, and in no others."""
    helper = importlib.import_module("onnx.external_data_helper")
    for tensor in model.graph.initializer:
        if not helper.uses_external_data(tensor):
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        beside = file.parent / location
        if Path(location).name != location or beside.is_symlink() or not beside.is_file():
            raise UserError(
                f"{tensor.name!r} lies in {location!r}; only files beside the graph are read: put "
                "it there"
            )
        budget.take(tensor.name, int(entries.get("length", beside.stat().st_size)))
        helper.load_external_data_for_tensor(tensor, str(file.parent))


class Graph:
    """A graph's nodes in order, by what they make and what takes it, and its stored constants.

    folding: what may be computed of constants. inputs, outputs: names, without those of constants;
    of inputs with their declared shapes.
    """

    def __init__(self, onnx: Any, model: Any, budget: Budget) -> None:
        self.onnx, self.model = onnx, model
        self.folding = Budget(budget.most // 4)
        graph = model.graph
        self.opsets = {entry.domain or "": entry.version for entry in model.opset_import}
        self._check_opset()
        if len(graph.node) > MOST_NODES:
            raise UserError(f"{len(graph.node):,} nodes, at most {MOST_NODES:,} are read")
        if graph.sparse_initializer:
            raise UserError("holds sparse constants, which are not supported; export it anew")
        self.constants = {t.name: self._array(t) for t in graph.initializer}
        self.inputs = {v.name: _shape(v) for v in graph.input if v.name not in self.constants}
        for name, shape in self.inputs.items():
            check_sizes(name, shape or ())
        self.outputs = [value.name for value in graph.output]
        self.nodes = list(graph.node)
        self.makers: dict[str, tuple[Any, int]] = {}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for k, name in enumerate(node.output):
                if name in self.makers or name in self.constants or name in self.inputs:
                    raise UserError(f"{title(node)}: makes {name!r}, which is there already")
                if name:
                    self.makers[name] = (node, k)
            for name in dict.fromkeys(taken_by(node)):
                self.readers.setdefault(name, []).append(node)
        self.nodes = self._sorted()
        kinds = onnx.TensorProto
        self.floats = (kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE)

    @property
    def opset(self) -> int:
        return int(self.opsets.get("", 0))

    def _check_opset(self) -> None:
        newest = self.onnx.defs.onnx_opset_version()
        self.opsets.setdefault("", self.opsets.get("ai.onnx", 1))
        if not OLDEST_OPSET <= self.opset <= newest:
            raise UserError(
                f"its opset is {self.opset}, {OLDEST_OPSET} to {newest} are read; export it anew"
                + (", or install a newer onnx" if self.opset > newest else "")
            )

    def _array(self, tensor: Any) -> np.ndarray:
        check_shape(repr(tensor.name), tensor.dims)
        array: np.ndarray = self.onnx.numpy_helper.to_array(tensor)
        # ml_dtypes' bfloat16 is no float to NumPy
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array

    def _sorted(self) -> list[Any]:
        """The nodes, each after those that it takes from, else in the file's order.

        Raises UserError where a node takes what follows from it.
        """
        places = {id(node): n for n, node in enumerate(self.nodes)}
        waits = [len({n for n in taken_by(node) if n in self.makers}) for node in self.nodes]
        ready = [n for n, count in enumerate(waits) if not count]
        done = []
        while ready:
            node = self.nodes[heappop(ready)]
            done.append(node)
            for name in filter(None, node.output):
                for reader in self.readers.get(name, ()):
                    place = places[id(reader)]
                    waits[place] -= 1
                    if not waits[place]:
                        heappush(ready, place)
        if len(done) < len(self.nodes):
            stuck = next(node for node, count in zip(self.nodes, waits, strict=True) if count)
            raise UserError(
                f"{title(stuck)}: is part of a circle or behind one, where a node takes what "
                "follows from it; export it anew"
            )
        return done

    def check_form(self, node: Any) -> None:
        """Raise UserError for attributes and inputs that the node's opset does not have."""
        schema = self.onnx.defs.get_schema(node.op_type, self.opset, "")
        for attribute in node.attribute:
            known = schema.attributes.get(attribute.name)
            if known is None or known.type.value != attribute.type:
                raise UserError(
                    f"{title(node)}: its attribute {attribute.name!r} is none that {node.op_type} "
                    f"of opset {self.opset} has; export it anew"
                )
        if len(node.input) > schema.max_input or len(node.output) > schema.max_output:
            raise UserError(f"{title(node)}: takes or makes more than {node.op_type} does")
        if len(node.input) < schema.min_input and node.op_type not in RECURRENT:
            raise UserError(
                f"{title(node)}: takes {len(node.input)} inputs, at least {schema.min_input} are "
                "needed; export it anew"
            )

    def attributes(self, node: Any) -> dict[str, Any]:
        found = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value
            for name, value in found.items()
        }

    def value_of(self, node: Any) -> np.ndarray | None:
        """What a Constant node holds, None where that is no numbers."""
        if len(node.attribute) != 1:
            raise UserError(
                f"{title(node)}: has {len(node.attribute)} attributes, one is needed; export it "
                "anew"
            )
        (attribute,) = node.attribute
        value = self.onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return self._array(value)
        return (
            np.asarray(value) if attribute.name.startswith(("value_int", "value_float")) else None
        )

    def origin(self, name: str) -> str:
        """What makes a value, in words."""
        if name in self.inputs:
            return f"is the graph's input {name!r}"
        node, _ = self.makers.get(name, (None, 0))
        return f"is {name!r}, made by {title(node)}" if node is not None else f"is {name!r}"

    def makers_of(self, names: Iterable[str], stop: Iterable[str] = ()) -> list[Any]:
        """The nodes, in order, that `names` need, without what makes the values `stop`."""
        seen, wanted, left = set(stop), set(), [*names]
        while left:
            name = left.pop()
            if name in seen or name not in self.makers:
                continue
            seen.add(name)
            node = self.makers[name][0]
            if id(node) not in wanted:
                wanted.add(id(node))
                left += taken_by(node)
        return [node for node in self.nodes if id(node) in wanted]

    def is_known(self, node: Any, kinds: Iterable[str]) -> bool:
        return node.domain in ("", "ai.onnx") and node.op_type in kinds


def title(node: Any) -> str:
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    return f"{kind} node {node.name or next(filter(None, node.output), '')!r}"


def input_of(node: Any, place: int) -> str:
    """The name of a node's input; "" where it is left out, whether it may be or not."""
    return str(node.input[place]) if place < len(node.input) else ""


def check_sizes(name: str, shape: Iterable[int | str | None]) -> None:
    """Raise UserError where a value has an axis of size 0: there is nothing to compute."""
    for k, size in enumerate(shape):
        if size == 0:
            raise UserError(
                f"{name!r}: its axis {k} has size 0, at least 1 is needed; export it anew"
            )


def taken_by(node: Any) -> list[str]:
    """All values that a node takes, those that its inner graphs take from outside among them."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs) if attribute.HasField("name") else ():
            names += _free(inner)
    return names


def _free(graph: Any) -> Iterator[str]:
    """Names that a subgraph takes from the graph around it."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in taken_by(node) if name not in own)
    yield from (value.name for value in graph.output if value.name not in own)


def _shape(value: Any) -> list[int | str | None] | None:
    """A declared shape: a size, a symbol or None for each axis; None where there is none.

    A size below 0 is open, as runtimes take it.
    """
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else (d.dim_param or None)
        for d in tensor.shape.dim
    ]


def inferred(graph: Graph) -> Mapping[str, list[int | str | None] | None]:
    """Shapes of values by onnx's own inference, as far as it gets."""
    try:
        model = graph.onnx.shape_inference.infer_shapes(graph.model)
    except Exception:  # whatever it is: there is nothing to know then
        return {}
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {value.name: _shape(value) for value in values}
