# SPDX-License-Identifier: Apache-2.0
"""Networks as .tflite files: of integers, which LiteRT runs to the same bits, or of floats."""

from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Ints
from ..errors import UserError
from ..tflite import schema
from ..tflite.operators import ACTIVATIONS, DENSE, LSTM, LSTM_INPUTS, TANH
from ..tflite.schema import FLOAT32, INT8, INT16, INT32, Graph, Operator, Tensor
from .float_layers import FloatLinear, FloatLstm
from .float_network import FloatNetwork
from .layers import Affine, IntegerLinear, IntegerLstm
from .network import IntegerNetwork
from .shape import GATES

_ACTIVATION_CODES = {name: code for code, name in ACTIVATIONS.items()}
_DTYPES = {FLOAT32: np.float32, INT8: np.int8, INT16: np.int16, INT32: np.int32}


def to_tflite(network: IntegerNetwork, frames: int = 1) -> bytes:
    """The content of a .tflite file: int8 [1, frames, inputs] in, int8 [1, frames, outputs] out.

    Scales and zero points of both ends are the tensors' own. LiteRT can resize `frames`.
    Raises UserError for what a .tflite file does not hold: initial states and corrections;
    thresholds are left out.
    """
    for layer in network.layers:
        if isinstance(layer, IntegerLstm) and (layer.initial or layer.corrected):
            what = "an initial state" if layer.initial else "corrections of LiteRT"
            raise UserError(f"{layer.name}: has {what}, which no .tflite file holds")
    made = _Made(frames)
    place = made.activation("input", network.inputs, network.x)
    for layer in network.layers:
        if isinstance(layer, IntegerLstm):
            place = made.lstm(layer, place)
        else:
            place = made.linear(layer, place)
    return made.packed(place)


def float_to_tflite(network: FloatNetwork, frames: int = 1) -> bytes:
    """The same of a float network, for LiteRT's own quantizer. Initial states are refused."""
    made = _Made(frames)
    place = made.real("input", (1, frames, network.inputs))
    for layer in network.layers:
        if isinstance(layer, FloatLinear):
            place = made.float_linear(layer, place)
        elif layer.initial:
            raise UserError(f"{layer.name}: has an initial state, which no .tflite file holds")
        else:
            place = made.float_lstm(layer, place)
    return made.packed(place)


@dataclass
class _Made:
    """Tensors and operators so far; the first tensor is the input."""

    frames: int
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def packed(self, output: int) -> bytes:
        """The file's content."""
        return schema.packed(
            Graph(
                tensors=self.tensors,
                operators=self.operators,
                inputs=(0,),
                outputs=(output,),
                description="deltaloom",
            )
        )

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def activation(self, name: str, width: int, affine: Affine) -> int:
        return self.add(_quantized(name, INT8, (1, self.frames, width), affine))

    def constant(self, name: str, kind: int, data: Ints, scale: "np.ndarray | list[float]") -> int:
        scales = np.asarray(scale, np.float32)
        return self.add(
            Tensor(
                name=name,
                type=kind,
                shape=data.shape,
                data=data.astype(_DTYPES[kind]),
                scale=scales,
                zero_point=np.zeros(scales.size, np.int64),
            )
        )

    def lstm(self, layer: IntegerLstm, x: int) -> int:
        inputs = dict.fromkeys(LSTM_INPUTS, -1) | {"x": x}
        x_scale = np.float32(layer.x.scale)
        biased = layer.weight_scale.astype(np.float32) * x_scale
        if layer.norm_scale is not None:
            biased = layer.norm_scale.astype(np.float32) * np.float32(2.0**-10)
        for letter, kind, arrays, scales, gates in (
            ("W", INT8, layer.weights, layer.weight_scale, layer.gates),
            ("R", INT8, layer.recurrent, layer.recurrent_scale, layer.gates),
            ("P", INT16, layer.peephole, layer.peephole_scale, layer.peephole_gates),
            ("b", INT32, layer.bias, biased, layer.gates),
            ("L", INT16, layer.norm, layer.norm_scale, layer.gates),
        ):
            if arrays is None or scales is None:
                continue
            for gate, array, scale in zip(gates, arrays, scales, strict=True):
                name = f"{letter}_{gate}"
                inputs[name] = self.constant(f"{layer.name}/{name}", kind, array, [scale])
        if layer.projection is not None and layer.m is not None:
            scale = layer.projection_scale
            inputs["W_p"] = self.constant(f"{layer.name}/W_p", INT8, layer.projection, [scale])
            if layer.projection_bias is not None:
                product = float(np.float32(scale) * np.float32(layer.m.scale))
                name = f"{layer.name}/b_p"
                inputs["b_p"] = self.constant(name, INT32, layer.projection_bias, [product])
        inputs["h"] = self.state(f"{layer.name}/h", INT8, layer.outputs, layer.y)
        cell = Affine(2.0**layer.cell_log2, 0)
        inputs["c"] = self.state(f"{layer.name}/c", INT16, layer.cells, cell)
        intermediates = self.intermediates(layer)
        y = self.activation(f"{layer.name}/y", layer.outputs, layer.y)
        return self.operator(layer, tuple(inputs.values()), y, intermediates)

    def operator(
        self,
        layer: IntegerLstm | FloatLstm,
        inputs: tuple[int, ...],
        y: int,
        intermediates: tuple[int, ...] = (),
    ) -> int:
        """Add an LSTM operator that makes y."""
        options = {
            "activation": TANH,
            "cell_clip": layer.cell_clip,
            "projection_clip": layer.projection_clip,
        }
        self.operators.append(
            Operator(
                code=LSTM,
                inputs=inputs,
                outputs=(y,),
                intermediates=intermediates,
                options=options,
            )
        )
        return y

    def real(
        self,
        name: str,
        shape: tuple[int, ...],
        data: np.ndarray | None = None,
        *,
        variable: bool = False,
    ) -> int:
        """A float32 tensor."""
        return self.add(Tensor(name=name, type=FLOAT32, shape=shape, data=data, variable=variable))

    def float_lstm(self, layer: FloatLstm, x: int) -> int:
        inputs = dict.fromkeys(LSTM_INPUTS, -1) | {"x": x}
        for letter, arrays, gates in (
            ("W", layer.weights, layer.gates),
            ("R", layer.recurrent, layer.gates),
            ("P", layer.peephole, layer.peephole_gates),
            ("b", layer.bias, layer.gates),
            ("L", layer.norm, layer.gates),
        ):
            for gate, array in zip(
                gates, () if arrays is None else arrays, strict=arrays is not None
            ):
                name = f"{letter}_{gate}"
                inputs[name] = self.real(f"{layer.name}/{name}", array.shape, array)
        for name, array in (("W_p", layer.projection), ("b_p", layer.projection_bias)):
            if array is not None:
                inputs[name] = self.real(f"{layer.name}/{name}", array.shape, array)
        for name, width in (("h", layer.outputs), ("c", layer.cells)):
            inputs[name] = self.real(f"{layer.name}/{name}", (1, width), variable=True)
        y = self.real(f"{layer.name}/y", (1, self.frames, layer.outputs))
        return self.operator(layer, tuple(inputs.values()), y)

    def float_linear(self, layer: FloatLinear, x: int) -> int:
        weights = self.real(f"{layer.name}/W", layer.weights.shape, layer.weights)
        bias = self.real(f"{layer.name}/b", layer.bias.shape, layer.bias)
        y = self.real(f"{layer.name}/y", (1, self.frames, layer.outputs))
        return self.dense(layer.activation, (x, weights, bias), y)

    def dense(self, activation: str, inputs: tuple[int, ...], y: int) -> int:
        """Add a fully connected operator that makes y."""
        options = {"activation": _ACTIVATION_CODES[activation], "keep_axes": True}
        self.operators.append(Operator(code=DENSE, inputs=inputs, outputs=(y,), options=options))
        return y

    def state(self, name: str, kind: int, width: int, affine: Affine) -> int:
        return self.add(_quantized(name, kind, (1, width), affine, variable=True))

    def intermediates(self, layer: IntegerLstm) -> tuple[int, ...]:
        """The four gates before normalisation, and what is projected.

        Intermediate 0 of coupled gates is read by LiteRT all the same: without a scale it would
        give constant outputs.
        """
        scales = np.full(len(layer.gates), 2.0**-12)
        if layer.gate_scale is not None:
            scales = layer.gate_scale
        own = dict(zip(layer.gates, scales, strict=True))
        places = [
            self.add(_quantized(f"{layer.name}/gate_{gate}", INT16, (), Affine(scale, 0)))
            for gate, scale in ((gate, float(own.get(gate, own["f"]))) for gate in GATES)
        ]
        m = layer.m or layer.y
        return (*places, self.add(_quantized(f"{layer.name}/m", INT8, (), m)))

    def linear(self, layer: IntegerLinear, x: int) -> int:
        scale = layer.weight_scale.astype(np.float32)
        weights = self.constant(f"{layer.name}/W", INT8, layer.weights, scale)
        product = scale * np.float32(layer.x.scale)
        bias = self.constant(f"{layer.name}/b", INT32, layer.bias, product)
        y = self.activation(f"{layer.name}/y", layer.outputs, layer.y)
        return self.dense(layer.activation, (x, weights, bias), y)


def _quantized(
    name: str, kind: int, shape: tuple[int, ...], affine: Affine, *, variable: bool = False
) -> Tensor:
    return Tensor(
        name=name,
        type=kind,
        shape=shape,
        scale=np.array([affine.scale], np.float32),
        zero_point=np.array([affine.zero_point]),
        variable=variable,
    )
