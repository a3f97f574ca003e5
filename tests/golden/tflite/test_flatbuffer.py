# SPDX-License-Identifier: Apache-2.0
"""What is written is read again; with ai-edge-litert, its own reader finds the same."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaloom.golden.errors import UserError
from deltaloom.golden.tflite import operators, schema
from deltaloom.golden.tflite.flatbuffer import Number, Reader, Vector, write
from deltaloom.golden.tflite.operators import DENSE, LSTM
from deltaloom.golden.tflite.schema import Graph, Operator, Tensor

LITERT = find_spec("ai_edge_litert") is not None


def longs(values):
    return Vector(np.array(values, np.int64), align=8)


@given(
    st.dictionaries(
        st.integers(0, 12),
        st.one_of(
            st.integers(-128, 127).map(lambda v: Number("i8", v)),
            st.integers(0, 2**32 - 1).map(lambda v: Number("u32", v)),
            st.integers(0, 2**64 - 1).map(lambda v: Number("u64", v)),
            st.booleans().map(lambda v: Number("bool", v)),
            st.text(max_size=9),
            st.lists(st.integers(-9, 9), max_size=5).map(
                lambda v: Vector(np.array(v, np.int64), 8)
            ),
        ),
    )
)
def test_a_table_is_what_was_written(content):
    root = Reader(write({1: content, 0: [content, {}]}, b"TEST"), b"TEST").root()
    first, second = root.tables(0)
    for table in (root.table(1), first):
        for n in range(14):
            value = content.get(n)
            assert table.has(n) == (value is not None)
            if isinstance(value, Number):
                assert table.number(n, value.kind) == value.value
            elif isinstance(value, str):
                assert table.text(n) == value
            elif value is not None:
                assert table.array(n, "i8").tolist() == value.values.tolist()
    assert not any(second.has(n) for n in range(14))
    assert (second.number(3, "i32", 7), second.text(3), second.tables(3)) == (7, "", [])
    assert second.table(0) is None and second.array(1, "f4").size == 0


@pytest.mark.parametrize("align", [4, 8, 16])
def test_vectors_are_aligned(align):
    content = write({0: "x", 1: Vector(np.arange(3, dtype=np.int64), align)}, b"TEST")
    at = content.index(np.arange(3, dtype="<i8").tobytes())
    assert at % align == 0


def test_offsets_that_lead_out():
    reader = Reader(write({0: Number("u32", 5)}, b"TEST"), b"TEST")
    for at in (-1, len(reader.content) - 3, 1 << 40):
        with pytest.raises(UserError, match="damaged or cut off, an offset leads out of it"):
            reader.number("u32", at)
    with pytest.raises(UserError, match="does not say that it is NONE"):
        Reader(reader.content, b"NONE")


def graph():
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (3, 4)).astype(np.int8)
    tensors = [
        Tensor(name="x", type=9, shape=(1, 2, 4), scale=np.ones(1), zero_point=np.array([-3])),
        Tensor(
            name="W",
            type=9,
            shape=(3, 4),
            data=weights,
            scale=np.array([0.5, 0.25, 2.0], np.float32),
            zero_point=np.zeros(3, np.int64),
        ),
        Tensor(name="h", type=9, shape=(1, 3), variable=True),
        Tensor(name="y", type=9, shape=(1, 2, 3), scale=np.ones(1), zero_point=np.array([5])),
    ]
    options = {"activation": 3, "weights_format": 0, "keep_axes": True}
    dense = Operator(code=DENSE, inputs=(0, 1, -1), outputs=(3,), options=options)
    other = Operator(code=LSTM, inputs=(0, -1), outputs=(3,), intermediates=(2, 1))
    return Graph(
        tensors=tensors, operators=[other, dense], inputs=(0,), outputs=(3,), description="d"
    )


def test_a_graph_is_what_was_written():
    before, after = graph(), schema.read(schema.packed(graph()))
    assert (after.inputs, after.outputs, after.description) == ((0,), (3,), "d")
    for a, b in zip(before.tensors, after.tensors, strict=True):
        assert (a.name, a.type, a.shape, a.variable) == (b.name, b.type, b.shape, b.variable)
        np.testing.assert_array_equal(a.scale, b.scale)
        np.testing.assert_array_equal(a.zero_point, b.zero_point)
        np.testing.assert_array_equal(a.data, b.data)
    lstm, dense = after.operators
    assert (lstm.inputs, lstm.intermediates) == ((0, -1), (2, 1))
    assert lstm.options["time_major"] is False and lstm.options["cell_clip"] == 0
    assert dense.options == before.operators[1].options
    assert (lstm.title, dense.title) == ("UNIDIRECTIONAL_SEQUENCE_LSTM", "FULLY_CONNECTED")


@pytest.mark.skipif(not LITERT, reason="ai-edge-litert is not installed")
def test_their_own_reader_finds_the_same():
    from ai_edge_litert import schema_py_generated as theirs

    model = theirs.ModelT.InitFromPackedBuf(schema.packed(graph()), 0)
    (main,) = model.subgraphs
    assert [t.name for t in main.tensors] == [b"x", b"W", b"h", b"y"]
    assert main.tensors[1].quantization.scale.tolist() == [0.5, 0.25, 2.0]
    assert model.buffers[main.tensors[1].buffer].data.tobytes() == graph().tensors[1].data.tobytes()
    assert main.tensors[2].isVariable
    lstm, dense = main.operators
    assert dense.builtinOptions.keepNumDims and dense.builtinOptions.fusedActivationFunction == 3
    assert lstm.intermediates.tolist() == [2, 1]
    codes = [code.builtinCode for code in model.operatorCodes]
    assert [codes[op.opcodeIndex] for op in (lstm, dense)] == [LSTM, DENSE]


@pytest.mark.skipif(not LITERT, reason="ai-edge-litert is not installed")
def test_names_and_numbers_are_those_of_the_schema():
    from ai_edge_litert import schema_py_generated as theirs

    for code, name in operators.NAMES.items():
        assert getattr(theirs.BuiltinOperator, name) == code
    kinds = theirs.ActivationFunctionType
    for code, name in operators.ACTIVATIONS.items():
        assert getattr(kinds, name.upper()) == code
    assert operators.TANH == kinds.TANH
