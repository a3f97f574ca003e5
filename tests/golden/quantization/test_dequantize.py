# SPDX-License-Identifier: Apache-2.0
"""What a network stands for: its float model runs as it does, up to activations' rounding."""

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import fidelity
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.dequantize import dequantized
from deltaloom.golden.quantization.quantize import Scheme, quantize


@pytest.mark.parametrize("skip", ["none", "all"])
@pytest.mark.parametrize("kind", ["lstm_peephole", "gru", "ligru", "sru4"])
def test_float_of_a_two_bit_network(kind, skip):
    rng = np.random.default_rng(2)
    cell, units, inputs = CELLS[kind], 7, 5
    paths = []
    for source, gates in cell.feeds.items():
        shape = (len(gates), units, inputs if source == "x" else units)
        scale = np.full(shape[:2], 1.5, np.float32) if source == "x" else None
        weights = rng.normal(0, 0.4, shape).astype(np.float32)
        paths.append(FloatPath(source=source, gates=gates, weights=weights, scale=scale))
    layer = FloatLayer(
        name="own",
        kind=kind,
        paths=tuple(paths),
        bias=rng.normal(0, 0.3, (len(cell.gates), units)).astype(np.float32),
        vectors={name: rng.normal(0, 0.3, units).astype(np.float32) for name in cell.vectors},
    )
    model = FloatModel(layers=(layer,))
    data = Dataset(tuple(rng.normal(size=(n, inputs)).astype(np.float32) for n in (40, 25)))
    scheme = Scheme(weight_bits=2, activation_bits=16, skip=skip)
    network = quantize(model, data, scheme)
    real = dequantized(network, model)
    assert fidelity(network, data, real).nmse < -55
    assert fidelity(network, data, model).nmse > -30
