# SPDX-License-Identifier: Apache-2.0
"""An integer network as a .tflite file, which LiteRT runs to the same bits."""

from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Ints
from ..errors import UserError
from ..tflite import schema
from ..tflite.operators import ACTIVATIONS, DENSE, LSTM, LSTM_INPUTS, TANH
from ..tflite.schema import INT8, INT16, INT32, Graph, Operator, Tensor
from .layers import GATES, Affine, IntegerLinear, IntegerLstm
from .network import IntegerNetwork

_ACTIVATION_CODES = {name: code for code, name in ACTIVATIONS.items()}
_DTYPES = {INT8: np.int8, INT16: np.int16, INT32: np.int32}


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
    first = place
    for layer in network.layers:
        if isinstance(layer, IntegerLstm):
            place = made.lstm(layer, place)
        else:
            place = made.linear(layer, place)
    return schema.packed(
        Graph(
            tensors=made.tensors,
            operators=made.operators,
            inputs=(first,),
            outputs=(place,),
            description="deltaloom",
        )
    )


@dataclass
class _Made:
    """Tensors and operators so far."""

    frames: int
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

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
        options = {
            "activation": TANH,
            "cell_clip": layer.cell_clip,
            "projection_clip": layer.projection_clip,
        }
        self.operators.append(
            Operator(
                code=LSTM,
                inputs=tuple(inputs.values()),
                outputs=(y,),
                intermediates=intermediates,
                options=options,
            )
        )
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
        options = {"activation": _ACTIVATION_CODES[layer.activation], "keep_axes": True}
        self.operators.append(
            Operator(code=DENSE, inputs=(x, weights, bias), outputs=(y,), options=options)
        )
        return y


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
