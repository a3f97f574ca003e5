# SPDX-License-Identifier: Apache-2.0
"""Random float models and data sets for several test modules."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.data import Dataset
from deltaloom.golden.model import FloatLayer, FloatModel, FloatPath


def _layer(rng, name, kind, units, inputs, scaled):
    cell = CELLS[kind]
    reach = 1.5 / max(units, inputs) ** 0.5

    def uniform(*shape):
        return rng.uniform(-reach, reach, shape).astype(np.float32)

    paths = tuple(
        FloatPath(
            source=source,
            gates=gates,
            weights=uniform(len(gates), units, inputs if source == "x" else units),
            scale=rng.uniform(-2, 2, (len(gates), units)).astype(np.float32) if scaled else None,
        )
        for source, gates in cell.feeds.items()
    )
    return FloatLayer(
        name=name,
        kind=kind,
        paths=paths,
        bias=uniform(len(cell.gates), units),
        vectors={v: rng.uniform(-1.5, 1.5, units).astype(np.float32) for v in cell.vectors},
        skip_scale=1.25 if cell.reads_input else 0.0,
    )


@pytest.fixture(scope="session")
def make_model():
    """make_model([(kind, units), ...], inputs, seed=0): uniform weights, as PyTorch starts with.

    scaled=True gives every path a scale, of either sign.
    """

    def make(shape, inputs, seed=0, scaled=False):
        rng = np.random.default_rng(seed)
        layers = []
        for n, (kind, units) in enumerate(shape):
            layers.append(_layer(rng, f"{kind}{n}", kind, units, inputs, scaled))
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


@pytest.fixture(scope="session")
def timit_tree():
    """The module timit_tree.py beside this file: `make_tree`, `sphere`, `phone_lines`."""
    file = Path(__file__).with_name("timit_tree.py")
    spec = importlib.util.spec_from_file_location("timit_tree", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
