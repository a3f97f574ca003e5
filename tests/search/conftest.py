# SPDX-License-Identifier: Apache-2.0
"""A small float model with data, for the search's tests: a GRU of 6 on 4 inputs, 3 classes."""

from types import SimpleNamespace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_float_dataset
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.calibration import observe
from deltaloom.search.genes import Space
from deltaloom.search.goals import Goals
from deltaloom.search.problem import Problem
from deltaloom.search.search import search
from deltaloom.search.workers import Inline

INPUTS, UNITS, CLASSES = 4, 6, 3


def small_model():
    rng = np.random.default_rng(3)

    def draw(*shape):
        return rng.normal(0, 0.7, shape).astype(np.float32)

    gates = ("r", "z", "nx")
    paths = (
        FloatPath(source="x", gates=gates, weights=draw(3, UNITS, INPUTS)),
        FloatPath(source="h", gates=("r", "z", "nh"), weights=draw(3, UNITS, UNITS)),
    )
    gru = FloatLayer(name="gru.0", kind="gru", paths=paths, bias=draw(4, UNITS))
    out = FloatPath(source="x", gates=("y",), weights=draw(1, CLASSES, UNITS))
    linear = FloatLayer(name="linear", kind="linear", paths=(out,), bias=draw(1, CLASSES))
    return FloatModel(layers=(gru, linear))


def small_data(model, *, seed=1, count=5):
    """Smooth frames, labelled with what the float model says."""
    rng = np.random.default_rng(seed)
    walks = [
        np.cumsum(rng.normal(size=(n, INPUTS)), axis=0) / 3 for n in range(12, 12 + 4 * count, 4)
    ]
    features = tuple(walk.astype(np.float32) for walk in walks)
    outputs = run_float_dataset(model, Dataset(features))
    return Dataset(features, tuple(y.argmax(axis=1) for y in outputs))


@pytest.fixture(scope="session")
def small():
    """model, data and `problem(**options)`, `run(problem, **options)`."""
    model = small_model()
    data = small_data(model)
    statistics = observe(model, small_data(model, seed=2))

    def problem(**options):
        return Problem(
            model=model,
            statistics=statistics,
            **{"dataset": data, "metric": metric_of(data)} | options,
        )

    def run(made=None, *, space=None, goals=None, workers=None, **options):
        goals = goals or Goals.of(["error", "size"])
        made = made or problem(names=goals.names, board=goals.board)
        options = {"evaluations": 60} | options
        crew = workers or Inline
        return search(made, space or Space.of(model), goals, crew, **options)

    return SimpleNamespace(model=model, data=data, problem=problem, run=run, space=Space.of(model))
