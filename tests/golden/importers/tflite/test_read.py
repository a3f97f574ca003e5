# SPDX-License-Identifier: Apache-2.0
"""Which part of a .tflite file becomes the network, and what is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint, read_checkpoint
from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.importers.tflite.read import read_tflite
from deltaloom.golden.integer_lstm.export import float_to_tflite, to_tflite
from deltaloom.golden.integer_lstm.float_network import FloatNetwork
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.tflite import schema
from deltaloom.golden.tflite.operators import DENSE, DEQUANTIZE, QUANTIZE, RESHAPE, STRIDED_SLICE
from deltaloom.golden.tflite.schema import FLOAT32, INT8, INT32, Graph, Operator, Tensor

SOFTMAX, LSTM_OF_ONE_STEP, WHILE, CUSTOM = 25, 16, 119, 32
H, C = 18, 19
"""Places of an LSTM's states among its inputs."""


@pytest.fixture(scope="module")
def floats():
    return make_lstm_network("plain", (4, 6, 5), classes=3)


@pytest.fixture(scope="module")
def integers(floats):
    return quantize(floats, Dataset(tuple(make_frames(4, [20] * 3))))


@pytest.fixture(scope="module")
def normed():
    network = make_lstm_network("all", (4, 6))
    return quantize(network, Dataset(tuple(make_frames(4, [20] * 3))))


@pytest.fixture
def read(tmp_path):
    """read(graph or content, **options): what is imported, not checked against LiteRT."""

    def of(given, labels=(), **options):
        content = schema.packed(given) if isinstance(given, Graph) else given
        file = tmp_path / "net.tflite"
        file.write_bytes(content)
        return read_tflite(file, labels, ImportOptions(**{"check": False} | options))

    return of


@pytest.fixture
def refused(read, tmp_path):
    """refused(graph): the line with which it is not imported."""

    def of(given, *labels, **options):
        with pytest.raises(UserError) as caught:
            read(given, *labels, **options)
        line = str(caught.value)
        assert "\n" not in line
        return line.partition(f"{tmp_path / 'net.tflite'}: ")[2]

    return of


def graph_of(network, frames=4):
    make = to_tflite if isinstance(network, IntegerNetwork) else float_to_tflite
    return schema.read(make(network, frames))


def with_tensor(graph, place, **changes):
    tensors = list(graph.tensors)
    tensors[place] = replace(tensors[place], **changes)
    return replace(graph, tensors=tensors)


def with_operator(graph, n, **changes):
    operators = list(graph.operators)
    operators[n] = replace(operators[n], **changes)
    return replace(graph, operators=operators)


def without(values, k):
    return tuple(-1 if n == k else value for n, value in enumerate(values))


def behind(graph, code, kind=FLOAT32, shape=None):
    """The graph with an operator behind its output."""
    last = graph.tensors[graph.outputs[0]]
    made = Tensor(name="made", type=kind, shape=shape or last.shape)
    operator = Operator(code=code, inputs=graph.outputs, outputs=(len(graph.tensors),))
    return Graph(
        tensors=[*graph.tensors, made],
        operators=[*graph.operators, operator],
        inputs=graph.inputs,
        outputs=(len(graph.tensors),),
    )


def before(graph, code, kind=FLOAT32):
    """The graph with an operator before its input."""
    first = graph.tensors[graph.inputs[0]]
    given = Tensor(name="given", type=kind, shape=first.shape)
    operator = Operator(code=code, inputs=(len(graph.tensors),), outputs=graph.inputs)
    return Graph(
        tensors=[*graph.tensors, given],
        operators=[operator, *graph.operators],
        inputs=(len(graph.tensors),),
        outputs=graph.outputs,
    )


# What becomes the network


def test_layers_have_the_names_of_their_kinds(read, integers):
    found = read(graph_of(integers), labels=("a", "b", "c"))
    assert [layer.name for layer in found.network.layers] == ["lstm.0", "lstm.1", "linear.0"]
    assert (found.network.labels, found.network.origin) == (("a", "b", "c"), "net.tflite")
    assert found.notes == ("not checked against LiteRT (--no-check)",)
    assert found.network.notes == found.notes


def test_float_files_become_float_models_where_a_cell_has_all(read, floats):
    assert isinstance(read(graph_of(floats)).network, FloatModel)
    other = make_lstm_network("norm", (4, 6))
    assert isinstance(read(graph_of(other)).network, FloatNetwork)


def test_quantize_and_dequantize_at_the_ends_belong_to_it(read, integers):
    graph = behind(before(graph_of(integers), QUANTIZE), DEQUANTIZE)
    found = read(graph)
    assert {place for _, place in found.where} == {"network"}
    assert len(found.network.layers) == 3


def test_a_change_of_codes_before_it_is_cut_off(read, integers):
    """From uint8, as a converter that is told so puts it there."""
    found = read(before(graph_of(integers), QUANTIZE, kind=3))
    assert found.where[0] == ("QUANTIZE 'input'", "before")


def test_what_stands_around_is_cut_off_by_name(read, integers):
    graph = behind(behind(graph_of(integers), DEQUANTIZE), SOFTMAX)
    found = read(before(before(graph, QUANTIZE), 18))
    assert found.where[0] == ("MUL 'given'", "before")
    assert found.where[-1] == ("SOFTMAX 'made'", "after")
    assert found.notes[0] == "cut off: MUL 'given', SOFTMAX 'made'"


@pytest.mark.parametrize("shape", [(4, 5), (1, 1, 4, 5)])
def test_a_reshape_that_leaves_frames_as_they_are_is_passed(read, integers, shape):
    graph = graph_of(integers)
    middle = graph.operators[1].outputs[0]
    place = len(graph.tensors)
    tensors = [*graph.tensors, replace(graph.tensors[middle], shape=shape)]
    reshape = Operator(code=RESHAPE, inputs=(middle,), outputs=(place,))
    dense = replace(graph.operators[2], inputs=(place, *graph.operators[2].inputs[1:]))
    operators = [*graph.operators[:2], reshape, dense]
    found = read(replace(graph, tensors=tensors, operators=operators))
    assert len(found.network.layers) == 3
    flat = with_tensor(replace(graph, tensors=tensors, operators=operators), place, shape=(20,))
    cut = read(flat)
    assert len(cut.network.layers) == 2
    assert [where for _, where in cut.where] == ["network", "network", "after", "after"]


def test_a_dense_layer_before_the_lstm_belongs_to_the_chain(read, integers):
    graph = graph_of(integers)
    place = len(graph.tensors)
    lstm = graph.operators[0]
    first = graph.tensors[lstm.inputs[0]]
    weights = np.eye(4, dtype=np.int8)
    tensors = [
        *graph.tensors,
        replace(first, name="given"),
        Tensor(
            name="W",
            type=INT8,
            shape=(4, 4),
            data=weights,
            scale=np.ones(1),
            zero_point=np.zeros(1),
        ),
    ]
    dense = Operator(code=DENSE, inputs=(place, place + 1, -1), outputs=(lstm.inputs[0],))
    made = replace(graph, tensors=tensors, operators=[dense, *graph.operators], inputs=(place,))
    names = [layer.name for layer in read(made).network.layers]
    assert names == ["linear.0", "lstm.0", "lstm.1", "linear.1"]


def test_time_major_files_are_read(read, integers):
    graph = graph_of(integers)
    options = dict(graph.operators[0].options) | {"time_major": True}
    both = with_operator(with_operator(graph, 0, options=options), 1, options=options)
    assert len(read(both).network.layers) == 3


def test_layers_of_older_files_have_20_inputs(read, integers):
    graph = graph_of(integers)
    graph = with_operator(graph, 0, inputs=graph.operators[0].inputs[:20])
    assert len(read(graph).network.layers) == 3


# What is refused


def test_files_without_an_lstm(refused, integers):
    graph = graph_of(integers)
    dense = replace(graph, operators=graph.operators[2:])
    assert refused(dense).startswith("no UNIDIRECTIONAL_SEQUENCE_LSTM; it has FULLY_CONNECTED,")
    assert "the LSTM operator of one step" in refused(
        with_operator(dense, 0, code=LSTM_OF_ONE_STEP, inputs=(0,))
    )
    assert "a WHILE loop" in refused(with_operator(dense, 0, code=WHILE, inputs=(0,)))
    nothing = replace(graph, operators=[])
    assert refused(nothing).startswith("no UNIDIRECTIONAL_SEQUENCE_LSTM; it has nothing")


def test_lstms_over_different_axes(refused, integers):
    """Time first in one of two, or frames put elsewhere between them: they are no chain."""
    graph = graph_of(integers)
    options = dict(graph.operators[0].options) | {"time_major": True}
    assert "is not in one chain" in refused(with_operator(graph, 0, options=options))
    middle = graph.operators[0].outputs[0]
    place = len(graph.tensors)
    turned = replace(graph.tensors[middle], shape=(4, 1, 6))
    reshape = Operator(code=RESHAPE, inputs=(middle,), outputs=(place,))
    second = replace(graph.operators[1], inputs=(place, *graph.operators[1].inputs[1:]))
    operators = [graph.operators[0], reshape, second, graph.operators[2]]
    moved = replace(graph, tensors=[*graph.tensors, turned], operators=operators)
    assert "is not in one chain" in refused(moved)


def sliced(graph, begin, **masks):
    """The graph with a STRIDED_SLICE between its last LSTM and what follows."""
    middle = graph.operators[1].outputs[0]
    count = len(graph.tensors)
    numbers = {"begin": begin, "end": [0, 0, 0], "strides": [1, 1, 1]}
    numbers |= {name: masks.pop(name) for name in numbers.keys() & masks.keys()}
    constants = [
        Tensor(name=name, type=INT32, shape=(3,), data=np.array(values, np.int32))
        for name, values in numbers.items()
    ]
    options = {"begin_mask": 5, "end_mask": 5, "shrink_mask": 2} | masks
    slice_ = Operator(
        code=STRIDED_SLICE,
        inputs=(middle, *range(count, count + 3)),
        outputs=(count + 3,),
        options=options,
    )
    dense = replace(graph.operators[2], inputs=(count + 3, *graph.operators[2].inputs[1:]))
    tensors = [*graph.tensors, *constants, replace(graph.tensors[middle], shape=(1, 5))]
    return replace(graph, tensors=tensors, operators=[*graph.operators[:2], slice_, dense])


@pytest.mark.parametrize("begin", [[0, -1, 0], [0, 3, 0]])
def test_the_last_frame_is_passed_on(read, integers, begin):
    found = read(sliced(graph_of(integers), begin))
    assert len(found.network.layers) == 3
    assert found.notes[0] == "the file gives its last frame's outputs, the network every frame's"


@pytest.mark.parametrize(
    ("begin", "masks"),
    [
        ([0, 0, 0], {}),
        ([0, -2, 0], {}),
        ([0, -1, 0], {"begin_mask": 7}),
        ([0, -1, 0], {"shrink_mask": 1}),
        ([0, -1, 0], {"shrink_mask": 0}),
        ([0, -1, 1], {"begin_mask": 1}),
        ([0, -1, 0], {"end_mask": 1}),
        ([0, -1, 0], {"ellipsis_mask": 1}),
        ([0, -1, 0], {"new_axis_mask": 1}),
        ([0, -1, 0], {"strides": [1, -1, 1]}),
    ],
)
def test_other_slices_are_cut_off(read, integers, begin, masks):
    found = read(sliced(graph_of(integers), begin, **masks))
    assert len(found.network.layers) == 2
    assert found.notes[0].startswith("cut off: STRIDED_SLICE ")


def test_lstms_that_are_not_in_one_chain(refused, integers):
    graph = graph_of(integers)
    inputs = (0, *graph.operators[1].inputs[1:])
    assert refused(with_operator(graph, 1, inputs=inputs)) == (
        "UNIDIRECTIONAL_SEQUENCE_LSTM 'lstm.1/y': is not in one chain with the first LSTM; export "
        "them apart"
    )


def test_a_cell_scale_whose_tanh_litert_does_not_compute(refused, integers):
    graph = graph_of(integers)
    place = graph.operators[0].inputs[C]
    for log2, reach in ((-8, "128"), (-16, "0.5")):
        line = refused(with_tensor(graph, place, scale=np.array([2.0**log2], np.float32)))
        assert line.startswith(
            f"UNIDIRECTIONAL_SEQUENCE_LSTM 'lstm.0': c has scale 2**{log2}, for values up to "
            f"{reach}; LiteRT has a tanh of scales 2**-15 to 2**-9 only, and its outputs are "
            "garbage without an error: quantize from the float network"
        )
    line = refused(with_tensor(graph, place, scale=np.array([0.003], np.float32)))
    assert line.endswith("c has scale 0.003, expected a power of two; quantize anew")


def test_the_trap_of_coupled_gates_with_norm_is_named(read, normed):
    graph = graph_of(normed)
    place = graph.operators[0].intermediates[0]
    nothing = np.zeros(0)
    found = read(with_tensor(graph, place, scale=nothing, zero_point=nothing))
    assert found.notes[0] == (
        "lstm.0: coupled gates with layer normalisation whose intermediate 0 has no scale: LiteRT "
        "gives constant outputs for this file without an error; here is what is meant"
    )
    checked = read(with_tensor(graph, place, scale=nothing, zero_point=nothing), check=True)
    assert checked.notes[1] == "not checked against LiteRT, which is wrong on this file"
    assert len(read(graph).notes) == 1


@pytest.mark.parametrize(
    ("name", "place", "changes", "text"),
    [
        ("x", 0, {"type": 7}, "its input is int16, int8 (8x8_16) and float32 are read; 16x8"),
        ("x", 0, {"type": 3}, "its input is uint8"),
        ("x", 0, {"type": FLOAT32}, "W_i is int8, expected float32 beside an input of float32"),
        ("x", 0, {"scale": np.zeros(0)}, "x has no scales, expected one; quantize anew"),
        ("W_i", 1, {"type": INT32, "data": np.ones((6, 4))}, "W_i is int32, expected int8"),
        ("W_i", 1, {"data": None}, "W_i is no constant, expected 2 axes of constants"),
        ("W_f", 2, {"zero_point": np.array([3])}, "W_f has zero point 3, expected 0"),
        ("W_f", 2, {"scale": np.ones(2)}, "W_f has 2 scales, expected one"),
        ("W_f", 2, {"scale": np.zeros(1)}, "weight scale: 0.0 is not possible"),
        ("R_o", 8, {"data": np.ones((6, 5)), "shape": (6, 5)}, "R_o has shape [6, 5], R_i [6, 6]"),
        ("h", H, {"scale": np.array([1e9])}, "x scale, zero point"),
    ],
)
def test_tensors_that_do_not_fit(refused, integers, name, place, changes, text):
    graph = graph_of(integers)
    assert text in refused(with_tensor(graph, graph.operators[0].inputs[place], **changes))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"activation": 1}, "activation 1, only tanh is supported"),
        ({"diagonal": True}, "diagonal recurrent matrices are not supported"),
        ({"cell_clip": -1.0}, "cell clip: -1.0 is not possible"),
        ({"cell_clip": float("nan")}, "cell clip: nan is not possible"),
    ],
)
def test_options_that_are_not_supported(refused, integers, options, text):
    graph = graph_of(integers)
    given = dict(graph.operators[0].options) | options
    assert text in refused(with_operator(graph, 0, options=given))


def test_parts_that_are_missing(refused, integers, normed):
    graph = graph_of(integers)
    lstm = graph.operators[0]
    few = with_operator(graph, 0, inputs=lstm.inputs[:5])
    assert "5 inputs, 20 or 24 are read" in refused(few)
    some = with_operator(graph, 0, inputs=without(lstm.inputs, 5))
    assert "of W_i, R_i and b_i some are missing" in refused(some)
    assert "c is missing" in refused(with_operator(graph, 0, inputs=without(lstm.inputs, C)))
    graph = graph_of(normed)
    assert "has no intermediate 1" in refused(with_operator(graph, 0, intermediates=()))
    lstm = graph.operators[0]
    assert "L_g is missing" in refused(with_operator(graph, 0, inputs=without(lstm.inputs, 22)))
    assert "P_o is missing" in refused(with_operator(graph, 0, inputs=without(lstm.inputs, 11)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"activation": 4, "weights_format": 0}, "activation 4 or shuffled weights"),
        ({"activation": 0, "weights_format": 1}, "activation 0 or shuffled weights"),
    ],
)
def test_dense_layers_that_are_not_supported(refused, integers, options, text):
    assert text in refused(with_operator(graph_of(integers), 2, options=options))


def test_an_output_that_is_not_int8(refused, integers):
    graph = graph_of(integers)
    line = refused(with_tensor(graph, graph.outputs[0], type=FLOAT32))
    assert line.endswith("its output is not int8; quantize it to int8")


def test_options_of_other_files(refused, integers):
    line = refused(graph_of(integers), only=("x",))
    assert line.startswith("of the options that choose or tell, a .tflite file takes only --labels")


def test_labels_that_are_not_as_many_as_outputs(refused, integers):
    assert refused(graph_of(integers), ("a",)).startswith("labels: 1 is not possible")


def test_an_integer_network_is_no_float_model(read, integers, floats, tmp_path):
    file = tmp_path / "net.tflite"
    options = ImportOptions(check=False)
    file.write_bytes(to_tflite(integers))
    with pytest.raises(UserError, match=r"deltaloom\.import_tflite read it"):
        import_checkpoint(file, options=options)
    file.write_bytes(float_to_tflite(floats))
    found = read_checkpoint(file, options=options)
    assert isinstance(found.model, FloatModel) and found.notes


def test_a_custom_operator_is_named(read, integers):
    graph = behind(graph_of(integers), CUSTOM, INT8)
    assert read(graph).where[-1] == ("CUSTOM 'made'", "after")


def test_a_root_that_leads_out_of_the_file(refused, integers):
    content = bytearray(to_tflite(integers))
    content[:4] = (len(content) + 4).to_bytes(4, "little")
    assert "export it anew" in refused(bytes(content))
