# SPDX-License-Identifier: Apache-2.0
"""Random float models and data sets for several test modules."""

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.model import FloatLayer, FloatModel, FloatPath


def _layer(rng, name, kind, units, inputs):
    gates = {"lstm": ("i", "f", "g", "o"), "linear": ("y",)}[kind]
    sources = {"x": inputs} | ({"h": units} if kind == "lstm" else {})
    reach = 1.5 / max(units, inputs) ** 0.5

    def uniform(*shape):
        return rng.uniform(-reach, reach, shape).astype(np.float32)

    paths = tuple(
        FloatPath(source=source, gates=gates, weights=uniform(len(gates), units, columns))
        for source, columns in sources.items()
    )
    return FloatLayer(name=name, kind=kind, paths=paths, bias=uniform(len(gates), units))


@pytest.fixture(scope="session")
def make_model():
    """make_model([(kind, units), ...], inputs, seed=0): uniform weights, as PyTorch starts with."""

    def make(shape, inputs, seed=0):
        rng = np.random.default_rng(seed)
        layers = []
        for n, (kind, units) in enumerate(shape):
            layers.append(_layer(rng, f"{kind}{n}", kind, units, inputs))
            inputs = units
        return FloatModel(layers=tuple(layers))

    return make


@pytest.fixture(scope="session")
def make_dataset():
    """make_dataset(inputs, lengths, classes=None, seed=0): smooth features, random labels."""

    def make(inputs, lengths, classes=None, seed=0):
        rng = np.random.default_rng(seed)
        features = [rng.normal(size=(n, inputs)).astype(np.float32) for n in lengths]
        for x in features:
            for t in range(1, len(x)):
                x[t] = 0.8 * x[t - 1] + 0.6 * x[t]
        labels = None if classes is None else [rng.integers(-1, classes, n) for n in lengths]
        return Dataset(tuple(features), None if labels is None else tuple(labels))

    return make
