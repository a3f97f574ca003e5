# SPDX-License-Identifier: Apache-2.0
"""Layers of a .tflite file, from its operators: integer ones of int8, float ones of float32."""

import math
from typing import Any

import numpy as np

from ...errors import UserError
from ...integer_lstm.float_layers import FloatAny, FloatLinear, FloatLstm
from ...integer_lstm.layers import LEAST_CELL, MOST_CELL, IntegerLinear, IntegerLstm, Layer
from ...integer_lstm.shape import COUPLED, GATES
from ...tflite import schema
from ...tflite.operators import ACTIVATIONS, DENSE_INPUTS, LSTM, LSTM_INPUTS, TANH
from ...tflite.schema import FLOAT32, INT8, INT16, INT32, Graph
from ..limits import Budget
from .operands import Operands, affine, widened

HIDDEN = 4
"""The place among an LSTM's intermediates of what is projected; before it are the gates."""


def read_layer(graph: Graph, n: int, name: str, budget: Budget) -> Layer | FloatAny:
    """Operator n as a layer of this name. Raises UserError, which names the tensor, where it is
    anything that LiteRT or deltaloom does not run.
    """
    operator = graph.operators[n]
    lstm = operator.code == LSTM
    names = LSTM_INPUTS if lstm else DENSE_INPUTS
    operands = Operands.of(graph, operator, names, f"{operator.title} {name!r}", budget)
    kind = operands.type_of("x")
    if kind not in (INT8, FLOAT32):
        raise UserError(
            f"{operands.title}: its input is {operands.types}, int8 (8x8_16) and float32 are read; "
            "16x8 networks are not supported, quantize to int8"
        )
    if kind == INT8:
        return _integer_lstm(operands, name) if lstm else _integer_linear(operands, name)
    return _float_lstm(operands, name) if lstm else _float_linear(operands, name)


def _gates(operands: Operands) -> tuple[str, ...]:
    """Checks what all LSTMs have in common, too."""
    options, title = operands.operator.options, operands.title
    if len(operands.operator.inputs) < 20:
        raise UserError(f"{title}: {len(operands.operator.inputs)} inputs, 20 or 24 are read")
    if options["activation"] != TANH:
        raise UserError(f"{title}: activation {options['activation']}, only tanh is supported")
    if options["diagonal"]:
        raise UserError(f"{title}: diagonal recurrent matrices are not supported")
    coupled = not operands.has("W_i")
    for name in ("R_i", "b_i"):
        if operands.has(name) == coupled:
            raise UserError(f"{title}: of W_i, R_i and b_i some are missing; export it anew")
    return COUPLED if coupled else GATES


def _parts(operands: Operands, gates: tuple[str, ...]) -> dict[str, list[str]]:
    """The names of the tensors that each array of a layer is stacked of."""
    names = {
        "weights": [f"W_{gate}" for gate in gates],
        "recurrent": [f"R_{gate}" for gate in gates],
        "bias": [f"b_{gate}" for gate in gates],
    }
    for part, letter, of in (
        ("peephole", "P", [g for g in gates if g != "g"]),
        ("norm", "L", gates),
    ):
        wanted = [f"{letter}_{gate}" for gate in of]
        if any(operands.has(name) for name in wanted):
            names[part] = wanted
    return names


def _clips(operands: Operands) -> dict[str, Any]:
    options = operands.operator.options
    return {name: float(options[name]) for name in ("cell_clip", "projection_clip")}


def _float_lstm(operands: Operands, name: str) -> FloatLstm:
    gates = _gates(operands)
    axes = {"weights": 2, "recurrent": 2}
    arrays: dict[str, Any] = {
        part: operands.stacked(names, FLOAT32, axes.get(part, 1))
        for part, names in _parts(operands, gates).items()
    }
    if operands.has("W_p"):
        arrays["projection"] = operands.constant("W_p", FLOAT32, 2)
    if operands.has("b_p"):
        arrays["projection_bias"] = operands.constant("b_p", FLOAT32, 1)
    return FloatLstm(name=name, gates=gates, **arrays, **_clips(operands))


def _integer_lstm(operands: Operands, name: str) -> IntegerLstm:
    gates = _gates(operands)
    forms = {
        "weights": (INT8, 2),
        "recurrent": (INT8, 2),
        "bias": (INT32, 1),
        "peephole": (INT16, 1),
        "norm": (INT16, 1),
    }
    parts = _parts(operands, gates)
    given: dict[str, Any] = {
        part: operands.stacked(names, *forms[part]) for part, names in parts.items()
    }
    scaled = {"weights": "weight_scale", "recurrent": "recurrent_scale"}
    scaled |= {"peephole": "peephole_scale", "norm": "norm_scale"}
    for part, scale in scaled.items():
        if part in parts:
            given[scale] = operands.scales(parts[part])
    if "norm" in parts:
        given["gate_scale"] = np.array(
            [_intermediate(operands, GATES.index(gate))[0] for gate in gates]
        )
    if operands.has("W_p"):
        given["projection"] = operands.constant("W_p", INT8, 2)
        given["projection_scale"] = operands.scale("W_p")
        given["m"] = affine(f"{operands.title}: hidden", _hidden(operands))
    if operands.has("b_p"):
        given["projection_bias"] = operands.constant("b_p", INT32, 1)
    return IntegerLstm(
        name=name,
        gates=gates,
        x=operands.affine("x"),
        y=operands.affine("h"),  # which the kernel reads, and not the output's
        cell_log2=_cell_log2(operands),
        **given,
        **_clips(operands),
    )


def _hidden(operands: Operands) -> schema.Tensor:
    places = operands.operator.intermediates
    if len(places) <= HIDDEN or places[HIDDEN] < 0:
        raise UserError(f"{operands.title}: has no intermediate {HIDDEN}; quantize anew")
    return operands.graph.tensors[places[HIDDEN]]


def _intermediate(operands: Operands, n: int) -> tuple[float, int]:
    """Scale and zero point of a gate before its normalisation."""
    places = operands.operator.intermediates
    if len(places) <= n or places[n] < 0:
        raise UserError(f"{operands.title}: has no intermediate {n}; quantize anew")
    found = affine(f"{operands.title}: intermediate {n}", operands.graph.tensors[places[n]])
    return found.scale, found.zero_point


def _cell_log2(operands: Operands) -> int:
    scale = operands.scale("c")
    part, power = math.frexp(scale)
    log2 = power - 1
    if part != 0.5:  # nor for 0, infinity or NaN
        raise UserError(
            f"{operands.title}: c has scale {scale:g}, expected a power of two; quantize anew"
        )
    if not LEAST_CELL <= log2 <= MOST_CELL:
        raise UserError(
            f"{operands.title}: c has scale 2**{log2}, for values up to {2.0 ** (log2 + 15):g}; "
            f"LiteRT has a tanh of scales 2**{LEAST_CELL} to 2**{MOST_CELL} only, and its outputs "
            "are garbage without an error: quantize from the float network with `deltaloom "
            "quantize --scheme integer-lstm`"
        )
    return log2


def notes_of(graph: Graph, n: int, name: str) -> list[str]:
    """What LiteRT itself does amiss with operator n, in sentences."""
    operator = graph.operators[n]
    if operator.code != LSTM or graph.tensors[operator.inputs[0]].type != INT8:
        return []
    has = {k: p >= 0 for k, p in zip(LSTM_INPUTS, operator.inputs, strict=False)}
    coupled, normed = not has["W_i"], has.get("L_f", False)
    first = operator.intermediates[0] if operator.intermediates else -1
    if coupled and normed and (first < 0 or not graph.tensors[first].scale.size):
        text = (
            f"{name}: coupled gates with layer normalisation whose intermediate 0 has no scale: "
            "LiteRT gives constant outputs for this file without an error; here is what is meant"
        )
        return [text]
    return []


def _float_linear(operands: Operands, name: str) -> FloatLinear:
    weights = operands.constant("W", FLOAT32, 2)
    bias = operands.constant("b", FLOAT32, 1) if operands.has("b") else np.zeros(len(weights))
    return FloatLinear(name=name, weights=weights, bias=bias, activation=_activation(operands))


def _activation(operands: Operands) -> str:
    found = operands.operator.options["activation"]
    if found not in ACTIVATIONS or operands.operator.options["weights_format"]:
        raise UserError(
            f"{operands.title}: activation {found} or shuffled weights, which is not supported"
        )
    return ACTIVATIONS[found]


def _integer_linear(operands: Operands, name: str) -> IntegerLinear:
    weights = operands.constant("W", INT8, 2)
    tensor = operands.tensor("W")
    if tensor.zero_point.any() or (tensor.scale.size > 1 and tensor.axis):
        raise UserError(f"{operands.title}: W has a zero point, or scales of another axis than 0")
    if operands.output.type != INT8:
        raise UserError(f"{operands.title}: its output is not int8; quantize it to int8")
    bias = operands.constant("b", INT32, 1) if operands.has("b") else np.zeros(len(weights), int)
    return IntegerLinear(
        name=name,
        x=operands.affine("x"),
        y=affine(f"{operands.title}: output", operands.output),
        weights=weights,
        weight_scale=widened(tensor.scale),
        bias=bias,
        activation=_activation(operands),
    )
