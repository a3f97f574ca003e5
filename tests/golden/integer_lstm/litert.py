# SPDX-License-Identifier: Apache-2.0
"""LiteRT (ai-edge-litert) as the oracle: its interpreter, its calibrator, its quantizer.

Nothing but the package's own functions is used; `conftest.py` hands this module out as a fixture.
"""

from dataclasses import dataclass
from importlib import metadata, util

import numpy as np

from deltaloom.golden.integer_lstm.float_engine import Range, Ranges
from deltaloom.golden.integer_lstm.shape import GATES

PACKAGE = "ai-edge-litert"
THERE = util.find_spec("ai_edge_litert") is not None


def version():
    return metadata.version(PACKAGE)


def run(content, sequences):
    """Outputs of each sequence [steps, inputs], of a file whose input is [1, frames, inputs]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    found, length = [], None
    for sequence in sequences:
        if len(sequence) != length:
            length = len(sequence)
            interpreter.resize_tensor_input(given["index"], (1, *sequence.shape))
            interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], sequence[None].astype(given["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"])[0].copy())
    return found


@dataclass
class Quantized:
    """content: the int8 file. ranges: by LSTM layer, and linear ones, what LiteRT saw."""

    content: bytes
    ranges: list[Ranges]


def quantize(content, sequences, *, mend=True):
    """What LiteRT's calibrator and quantizer make of a float file.

    The calibrator is reset before each sequence. mend: give intermediate 0 of coupled gates with
    layer normalisation the scale that the quantizer forgets.
    """
    from ai_edge_litert import _pywrap_tensorflow_lite_calibration_wrapper as calibration

    content = calibration.AddIntermediateTensors(content)  # referenced until the end: it must be
    wrapper = calibration.CalibrationWrapper(content, [], [])
    for sequence in sequences:
        wrapper.Prepare([[1, *sequence.shape]])
        wrapper.FeedTensor([sequence[None]])
    ranges = _ranges(bytes(wrapper.Calibrate()))
    int8, int32 = np.dtype(np.int8).num, np.dtype(np.int32).num
    made = bytes(wrapper.QuantizeModel(int8, int8, False, int8, int32, False, False))
    return Quantized(_mended(made) if mend else made, ranges)


def _unpacked(content):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def _range(tensor):
    seen = tensor.quantization
    if seen is None or seen.min is None or not len(seen.min):
        return Range()
    return Range(float(seen.min[0]), float(seen.max[0]), True)


def _ranges(content):
    graph = _unpacked(content).subgraphs[0]
    found = []
    for operator in graph.operators:
        x, y = (_range(graph.tensors[places[0]]) for places in (operator.inputs, operator.outputs))
        if len(operator.inputs) < 20:
            found.append(Ranges(x=x, y=y))
            continue
        inner = [_range(graph.tensors[place]) for place in operator.intermediates]
        there = [operator.inputs[1 + GATES.index(gate)] >= 0 for gate in GATES]
        normed = operator.inputs[21] >= 0
        gates = tuple(g for g, own in zip(inner, there, strict=False) if own and normed)
        c = _range(graph.tensors[operator.inputs[19]])
        found.append(Ranges(x=x, y=y, c=c, m=inner[4], gates=gates))
    return found


def _mended(content):
    import flatbuffers

    model = _unpacked(content)
    graph = model.subgraphs[0]
    changed = False
    for operator in graph.operators:
        if len(operator.inputs) == 24 and operator.inputs[1] < 0 and operator.inputs[21] >= 0:
            first, second = (graph.tensors[place] for place in operator.intermediates[:2])
            first.type, first.quantization, changed = second.type, second.quantization, True
    if not changed:
        return content
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
