# SPDX-License-Identifier: Apache-2.0
"""Random float models, data sets and checkpoints for several test modules."""

from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.cells.norm import epsilons
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath


def _layer(rng, name, kind, units, inputs, scaled):
    cell = CELLS[kind]
    reach = 1.5 / max(units, inputs) ** 0.5
    most = 0.9 if kind == "ind_rnn" else 1.5  # beyond 1 its state grows without bound

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
        vectors={v: rng.uniform(-most, most, units).astype(np.float32) for v in cell.vectors}
        | epsilons(cell, units),
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


@pytest.fixture
def load(tmp_path):
    """load(tensors, **options): the model that is imported from a state dict."""

    def run(tensors, **options):
        np.savez(tmp_path / "net.npz", **tensors)
        return import_checkpoint(tmp_path / "net.npz", options=ImportOptions(**options))

    return run


@pytest.fixture(scope="session")
def refused():
    """refused(load, tensors, **options): the one line with which it is not imported."""

    def run(load, tensors, **options):
        with pytest.raises(UserError) as caught:
            load(tensors, **options)
        line = str(caught.value)
        assert "\n" not in line
        return line.partition(".npz: ")[2]

    return run


@pytest.fixture(scope="session")
def read_case():
    """read_case(file, case): the state dict of a case of a vectors file, and its other arrays."""

    def run(file, case):
        with np.load(Path(__file__).with_name(file)) as archive:
            arrays = {
                name.removeprefix(f"{case}:"): archive[name]
                for name in archive.files
                if name.startswith(f"{case}:")
            }
        mark = "weights:"
        weights = {n.removeprefix(mark): a for n, a in arrays.items() if n.startswith(mark)}
        return weights, {n: a for n, a in arrays.items() if not n.startswith(mark)}

    return run
