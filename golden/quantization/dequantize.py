# SPDX-License-Identifier: Apache-2.0
"""The float model that a network's parameters stand for: what else may be tried on it."""

from dataclasses import replace

import numpy as np

from ..cells.stages import ALIKE
from ..models.float_model import FloatLayer, FloatModel
from ..models.layers import Layer
from ..models.network import Network
from .cell_formats import VECTOR_SHIFT

__all__ = ["dequantized"]


def dequantized(network: Network, model: FloatModel) -> FloatModel:
    """The model with the real values of the network's weights, biases and vectors.

    Quantized again at the same bits or more, it loses next to nothing: each row has few values.
    What quantization added to biases stays in them.

    Parameters
    ----------
    network: quantized from the model, and perhaps trained since.
    model: what it was quantized from, its input scales included.
    """
    layers = zip(model.layers, network.layers, strict=True)
    return replace(model, layers=tuple(_layer(real, own) for real, own in layers))


def _layer(real: FloatLayer, layer: Layer) -> FloatLayer:
    paths = []
    for path in real.paths:
        weights = path.weights.copy()
        for own in layer.paths:
            if own.source == path.source:
                steps = np.broadcast_to(own.weight_scale, own.mult.shape)
                for g, gate in enumerate(own.gates):
                    if gate in path.gates:
                        values = own.weights[g] * steps[g][:, None]
                        weights[path.gates.index(gate)] = values.astype(np.float32)
        paths.append(replace(path, weights=weights))
    exponents = np.array(layer.gate_exponents)[:, None]
    fraction = VECTOR_SHIFT - layer.vector_shift - layer.c_exponent - 15
    vectors = {n: (v * 2.0**fraction).astype(np.float32) for n, v in layer.vectors.items()}
    vectors |= {n: v for n, v in real.vectors.items() if n.startswith(ALIKE)}
    bias = (layer.bias * 2.0 ** (exponents - 15)).astype(np.float32)
    return replace(real, paths=tuple(paths), bias=bias, vectors=vectors)
