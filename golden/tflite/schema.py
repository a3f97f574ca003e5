# SPDX-License-Identifier: Apache-2.0
"""What a .tflite file holds, as far as LSTM networks need it: version 3 of the schema.

Field numbers are those of the public schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from ..errors import UserError, printable
from .flatbuffer import Content, Number, Reader, Table, Vector, write
from .operators import DENSE, DEQUANTIZE, LSTM, QUANTIZE, STRIDED_SLICE, name_of

IDENTIFIER = b"TFL3"
VERSION = 3
MOST_NAME, MOST_AXES = 120, 8
"""What is shown of a name, and axes of a tensor."""
TYPES = {0: "f4", 2: "i4", 3: "u1", 4: "i8", 7: "i2", 9: "i1"}
TYPE_NAMES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
FLOAT32, INT32, INT16, INT8 = 0, 2, 7, 9
_OPTIONS = {LSTM: 71, DENSE: 8, QUANTIZE: 89, DEQUANTIZE: 38, STRIDED_SLICE: 32}
"""Which of the schema's kinds of options an operator has."""
_FIELDS: dict[int, dict[str, tuple[int, str, Any]]] = {
    LSTM: {
        "activation": (0, "i8", 0),
        "cell_clip": (1, "f32", 0.0),
        "projection_clip": (2, "f32", 0.0),
        "time_major": (3, "bool", False),
        "hybrid_asymmetric": (4, "bool", False),
        "diagonal": (5, "bool", False),
    },
    DENSE: {
        "activation": (0, "i8", 0),
        "weights_format": (1, "i8", 0),
        "keep_axes": (2, "bool", False),
    },
    STRIDED_SLICE: {
        name: (n, "i32", 0)
        for n, name in enumerate(
            ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_mask")
        )
    },
}
"""Of operators that are read: each option's field, kind and default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """A tensor.

    Members
    -------
    type: a number of `TYPES`. shape: as declared; an axis of any size is 1.
    data: its constant values, None where it is computed.
    scale, zero_point: [n], empty where it is not quantized; n is 1, or the size of `axis`.
    variable: a state that stays from run to run.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    data: np.ndarray | None = None
    scale: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    zero_point: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    axis: int = 0
    variable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """An operator; inputs, outputs and intermediates are places of tensors, -1 for none."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: str = ""

    @property
    def title(self) -> str:
        return f"{name_of(self.code)} {self.custom}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The one graph of a file; inputs and outputs are places of tensors."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str = ""


def read(content: bytes) -> Graph:
    """The graph of a file's content. Raises UserError where it is damaged, or something else.

    No memory is taken for values: they are views of the content.
    """
    root = Reader(content, IDENTIFIER).root()
    version = root.number(0, "u32")
    if version != VERSION:
        raise UserError(f"its schema's version is {version}, {VERSION} is read; export it anew")
    codes = [
        (max(code.number(0, "i8"), code.number(3, "i32")), _name(code.text(1)))
        for code in root.tables(1)
    ]
    graphs = root.tables(2)
    if len(graphs) != 1:
        raise UserError(
            f"holds {len(graphs)} graphs, a file of one is read: control flow (WHILE, IF) is not "
            "supported; export the LSTM as UNIDIRECTIONAL_SEQUENCE_LSTM"
        )
    buffers = root.tables(4)
    tensors = [_tensor(table, buffers) for table in graphs[0].tables(0)]
    return Graph(
        tensors=tensors,
        operators=[_operator(table, codes, len(tensors)) for table in graphs[0].tables(3)],
        inputs=_places("inputs", graphs[0].array(1, "i4"), len(tensors)),
        outputs=_places("outputs", graphs[0].array(2, "i4"), len(tensors)),
        description=_name(root.text(3)),
    )


def _places(what: str, values: np.ndarray, count: int) -> tuple[int, ...]:
    if values.size and not -1 <= int(values.min()) <= int(values.max()) < count:
        raise UserError(f"{what}: names a tensor that is not there, it is damaged; export it anew")
    return tuple(values.tolist())


def _tensor(table: Table, buffers: Sequence[Table]) -> Tensor:
    name, kind = _name(table.text(3)), table.number(1, "i8")
    axes = table.array(0, "i4")
    if axes.size > MOST_AXES or (axes < 0).any():
        shown = axes.tolist() if axes.size <= MOST_AXES else f"of {axes.size} axes"
        raise UserError(f"{name}: shape {shown} is not possible, it is damaged; export it anew")
    shape = tuple(axes.tolist())
    number = table.number(2, "u32")
    if number >= max(len(buffers), 1):
        raise UserError(f"{name}: its values are not there, it is damaged; export it anew")
    quantization = table.table(4)
    found: dict[str, Any] = {}
    if quantization is not None:
        found = {
            "scale": quantization.array(2, "f4"),
            "zero_point": quantization.array(3, "i8"),
            "axis": quantization.number(6, "i32"),
        }
    return Tensor(
        name=name,
        type=kind,
        shape=shape,
        data=_values(name, kind, shape, buffers[number]) if number else None,
        variable=table.number(5, "bool", False),
        **found,
    )


def _name(text: str) -> str:
    """As it can be shown."""
    return printable(text[:MOST_NAME])


def _values(name: str, kind: int, shape: tuple[int, ...], buffer: Table) -> np.ndarray | None:
    if buffer.has(1):
        raise UserError(f"{name}: its values lie behind the graph (a file of 2 GB and more)")
    if not buffer.has(0) or kind not in TYPES:
        return None
    values = buffer.array(0, "u1")
    if values.size == 0:
        return None
    if values.size != prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise UserError(
            f"{name}: {values.size} bytes for shape {[*shape]}, it is damaged; export it anew"
        )
    return np.frombuffer(values, np.dtype(TYPES[kind]).newbyteorder("<")).reshape(shape)


def _operator(table: Table, codes: Sequence[tuple[int, str]], tensors: int) -> Operator:
    index = table.number(0, "u32")
    if index >= len(codes):
        raise UserError("an operator has no kind, it is damaged; export it anew")
    code, custom = codes[index]
    fields = _FIELDS.get(code, {})
    options: dict[str, Any] = {name: default for name, (_, _, default) in fields.items()}
    given = table.table(4) if table.number(3, "u8") == _OPTIONS.get(code) else None
    if given is not None:
        options = {name: given.number(*place) for name, place in fields.items()}
    title = name_of(code)
    return Operator(
        code=code,
        inputs=_places(title, table.array(1, "i4"), tensors),
        outputs=_places(title, table.array(2, "i4"), tensors),
        intermediates=_places(title, table.array(8, "i4"), tensors),
        options=options,
        custom=custom,
    )


def packed(graph: Graph) -> bytes:
    """The file's content. Operators have version 1, or 4 where that is needed for int8."""
    kinds = sorted({operator.code for operator in graph.operators})
    buffers: list[Content] = [{}]
    tensors = []
    for tensor in graph.tensors:
        if tensor.data is not None:
            data = np.ascontiguousarray(tensor.data.astype(TYPES[tensor.type]))
            buffers.append({0: Vector(np.frombuffer(data.tobytes(), np.uint8), align=16)})
        tensors.append(_packed_tensor(tensor, len(buffers) - 1 if tensor.data is not None else 0))
    main: Content = {
        0: tensors,
        1: _ints(graph.inputs),
        2: _ints(graph.outputs),
        3: [_packed_operator(operator, kinds) for operator in graph.operators],
        4: "main",
    }
    root: Content = {
        0: Number("u32", VERSION),
        1: [_code(kind) for kind in kinds],
        2: [main],
        3: graph.description,
        4: buffers,
    }
    return write(root, IDENTIFIER)


def _code(kind: int) -> Content:
    return {0: Number("i8", kind), 2: Number("i32", _VERSIONS.get(kind, 1)), 3: Number("i32", kind)}


_VERSIONS = {DENSE: 4, DEQUANTIZE: 2}
"""Of operators with int8; others are 1."""


def _packed_tensor(tensor: Tensor, buffer: int) -> Content:
    content = {
        0: _ints(tensor.shape),
        1: Number("i8", tensor.type),
        2: Number("u32", buffer),
        3: tensor.name,
    }
    if tensor.scale.size:
        content[4] = {
            2: Vector(tensor.scale.astype(np.float32)),
            3: Vector(tensor.zero_point.astype(np.int64), align=8),
            6: Number("i32", tensor.axis),
        }
    if tensor.variable:
        content[5] = Number("bool", True)
    return content


def _packed_operator(operator: Operator, kinds: Sequence[int]) -> Content:
    content: dict[int, Any] = {
        0: Number("u32", kinds.index(operator.code)),
        1: _ints(operator.inputs),
        2: _ints(operator.outputs),
    }
    if operator.code in _OPTIONS:
        fields = _FIELDS.get(operator.code, {})
        content[3] = Number("u8", _OPTIONS[operator.code])
        content[4] = {
            place: Number(kind, operator.options.get(name, default))
            for name, (place, kind, default) in fields.items()
        }
    if operator.intermediates:
        content[8] = _ints(operator.intermediates)
    return content


def _ints(values: Sequence[int]) -> Vector:
    return Vector(np.array(values, np.int32))
