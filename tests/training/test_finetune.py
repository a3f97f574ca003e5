# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: fewer errors at few bits, fewer changes, the same for a seed, resumed to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_dataset, run_float_dataset
from deltaloom.golden.evaluation.metrics import find_metric, metric_of
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.training import finetune as module
from deltaloom.training.finetune import finetune
from deltaloom.training.network import DeltaNetwork
from deltaloom.training.options import Options

INPUTS, UNITS, CLASSES = 4, 8, 5


def path(rng, source, gates, units, columns):
    weights = rng.normal(0, 1.2 / columns**0.5, (len(gates), units, columns))
    return FloatPath(source=source, gates=gates, weights=weights.astype(np.float32))


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    gates = ("i", "f", "g", "o")
    lstm = FloatLayer(
        name="lstm",
        kind="lstm",
        paths=(path(rng, "x", gates, UNITS, INPUTS), path(rng, "h", gates, UNITS, UNITS)),
        bias=rng.normal(0, 0.3, (4, UNITS)).astype(np.float32),
    )
    out = path(rng, "x", ("y",), CLASSES, UNITS)
    out = replace(out, weights=4 * out.weights)
    linear = FloatLayer(
        name="out", kind="linear", paths=(out,), bias=np.zeros((1, CLASSES), np.float32)
    )
    return FloatModel(layers=(lstm, linear))


def walks(model, count, seed, longest=20):
    """Walks with the classes that the float model says, but for one frame in ten."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, longest, count)
    frames = [
        (np.cumsum(rng.normal(0, 0.4, (n, INPUTS)), axis=0)).astype(np.float32) for n in lengths
    ]
    outputs = run_float_dataset(model, Dataset(tuple(frames)))
    labels = [np.where(rng.random(len(y)) < 0.1, -1, y.argmax(axis=1)) for y in outputs]
    return Dataset(tuple(frames), tuple(labels))


@pytest.fixture(scope="module")
def data(model):
    return walks(model, 90, 1), walks(model, 50, 2)


@pytest.fixture(scope="module")
def network(model, data):
    return quantize(model, data[0], Scheme(weight_bits=2, activation_bits=8))


def same(a, b):
    """Whether two networks have the same parameters and thresholds."""
    pairs = [
        (own.arrays[name], other.arrays[name])
        for own, other in zip(a.layers, b.layers, strict=True)
        for name in own.arrays
    ]
    thresholds = [[path.threshold for _, path in network.paths()] for network in (a, b)]
    return all(np.array_equal(*pair) for pair in pairs) and thresholds[0] == thresholds[1]


QUICK = Options(epochs=3, patience=9, batch=30, rate=0.02, noise=0.0, teacher=0.0)


def test_lower_loss_at_two_bits(model, data, network):
    train, tuning = data
    metric = find_metric("cross-entropy")
    longer = replace(QUICK, epochs=5, batch=15)
    found = finetune(network, model, train, tuning, metric, longer)
    for epoch, one in ((found.epochs[0], network), (found.epochs[found.best], found.network)):
        assert epoch.error == metric(tuning, run_dataset(one, tuning).real(one))
    best = found.epochs[found.best]
    assert best.error == min(epoch.error for epoch in found.epochs)
    assert best.error < 0.93 * found.epochs[0].error
    assert found.epochs[-1].loss < 0.93 * found.epochs[1].loss
    assert found.float_error == metric(tuning, run_float_dataset(model, tuning))
    # Bits, formats and thresholds stay.
    for (name, own), (other, before) in zip(found.network.paths(), network.paths(), strict=True):
        assert (name, own.weight_bits, own.quantizer) == (
            other,
            before.weight_bits,
            before.quantizer,
        )
    # What the codes stand for makes the same codes again.
    again = quantize(found.model, train, Scheme(weight_bits=2, activation_bits=8))
    error = metric(tuning, run_dataset(again, tuning).real(again))
    assert abs(error - best.error) < 0.1 * (found.epochs[0].error - best.error)


def test_a_penalty_makes_fewer_events(model, data, network):
    train, tuning = data
    network = network.with_thresholds({name: 6 for name, _ in network.paths()})
    plain, sparse = (
        finetune(
            network,
            model,
            train,
            tuning,
            metric_of(tuning),
            replace(QUICK, delta_penalty=penalty, batch=9),
        )
        for penalty in (0.0, 20.0)
    )
    assert sparse.epochs[-1].eliminated > plain.epochs[-1].eliminated + 2


def test_the_same_for_a_seed_and_after_an_interrupt(model, data, network, tmp_path, monkeypatch):
    train, tuning = data
    file = tmp_path / "state.pt"
    whole = finetune(network, model, train, tuning, metric_of(tuning), QUICK)

    class Stop(Exception):
        pass

    def interrupted(epochs, part):
        if len(epochs) == 2:
            raise Stop

    with pytest.raises(Stop):
        finetune(
            network,
            model,
            train,
            tuning,
            metric_of(tuning),
            QUICK,
            checkpoint=file,
            show=interrupted,
        )
    assert file.is_file()
    trained = []
    train_epoch = module._Run.train
    monkeypatch.setattr(
        module._Run, "train", lambda run, show: trained.append(1) or train_epoch(run, show)
    )
    again = finetune(network, model, train, tuning, metric_of(tuning), QUICK, checkpoint=file)
    assert len(trained) == 2 and not file.exists()
    assert same(again.network, whole.network)
    assert repr(again.epochs) == repr(whole.epochs)
    other = finetune(network, model, train, tuning, metric_of(tuning), replace(QUICK, seed=1))
    assert repr(other.epochs) != repr(whole.epochs)


def test_a_checkpoint_of_another_training_is_none(model, data, network, tmp_path):
    train, tuning = data
    file = tmp_path / "state.pt"
    torch.save({"of": "another", "state": {}}, file)
    quick = Options(epochs=1, batch=60, longest=12)
    found = finetune(network, model, train, tuning, metric_of(tuning), quick, checkpoint=file)
    assert len(found.epochs) == 2 and not file.exists()
    file.write_bytes(b"PK nothing")
    with pytest.raises(dl.UserError, match=r"a damaged checkpoint .*; remove it"):
        finetune(network, model, train, tuning, metric_of(tuning), quick, checkpoint=file)


def test_training_ends_where_nothing_gets_better(model, data, network):
    train, tuning = data
    slow = Options(epochs=30, patience=2, batch=64, rate=1e-9)
    found = finetune(network, model, train, tuning, metric_of(tuning), slow)
    assert (len(found.epochs), found.best) == (3, 0) and same(found.network, network)


def test_regression(model, data, network):
    """Targets, an offset, states that sequences start from, and sequences that are cut."""
    train, tuning = (
        Dataset(
            d.features,
            task="regression",
            targets=tuple(y.astype(np.float32) for y in run_float_dataset(model, d)),
            offset=tuple(np.zeros((len(x), CLASSES), np.float32) for x in d.features),
            states={"lstm.h": np.full((len(d), UNITS), 0.25, np.float32)},
        )
        for d in data
    )
    options = replace(QUICK, teacher=0.5, longest=12, epochs=1)
    told = []
    found = dl.finetune(
        network,
        model,
        train,
        tuning,
        options,
        metric="nmse",
        progress=lambda *now: told.append(now),
    )
    assert [epoch.number for epoch in found.epochs] == [0, 1]
    assert 0.05 < found.epochs[1].loss < 1
    assert told[-1] == ("training", 1.0)


def test_per_matrix_scales_stay_so(model, data):
    train, tuning = data
    scheme = Scheme(weight_bits=2, granularity="tensor")
    network = quantize(model, train, scheme)
    quick = Options(epochs=1, batch=16)
    found = finetune(network, model, train, tuning, find_metric("cross-entropy"), quick)
    for _, own in found.network.paths():
        assert (own.mult == own.mult[:, :1]).all()
    assert any(
        (a.mult != b.mult).any()
        for (_, a), (_, b) in zip(found.network.paths(), network.paths(), strict=True)
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs: 0 is not possible, it must be at least 1"),
        ({"rate": 0.0}, "rate: 0.0 is not possible, it must be above 0 and at most 1"),
        ({"teacher": 1.5}, "teacher: 1.5 is not possible, it must be within 0..1"),
        ({"delta_penalty": -1.0}, "delta penalty: -1.0 is not possible, it must be 0 or more"),
        ({"noise": float("nan")}, "noise: nan is not possible, it must be 0 or more"),
    ],
)
def test_options(options, text):
    with pytest.raises(dl.UserError, match=text):
        Options(**options)


def test_what_does_not_fit(model, data, network):
    train, tuning = data
    unlabelled = Dataset(train.features)
    with pytest.raises(dl.UserError, match="training data: no frame has a label or a target"):
        finetune(network, model, unlabelled, tuning, metric_of(tuning), QUICK)
    regression = Dataset(
        train.features,
        task="regression",
        targets=tuple(x[:, :1].repeat(5, 1) for x in train.features),
    )
    with pytest.raises(dl.UserError, match="tuning data: of the task regression, the training"):
        finetune(network, model, train, regression, metric_of(tuning), QUICK)
    other = replace(model, layers=(replace(model.layers[0], name="gru"), model.layers[1]))
    with pytest.raises(dl.UserError, match="model: layers gru, out, the network has lstm, out"):
        finetune(network, other, train, tuning, metric_of(tuning), QUICK)
    narrow = replace(tuning, features=tuple(x[:, 1:] for x in tuning.features))
    with pytest.raises(dl.UserError, match="tuning data: features: 3 per frame, the network takes"):
        finetune(network, model, train, narrow, metric_of(tuning), QUICK)


def test_tokens_are_refused():
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 9, 8) for _ in range(3)]
    data = Dataset(tuple(words), tuple(words), task="language")
    paths = (replace(path(rng, "x", ("y",), 9, 9), tokens=True),)
    bias = np.zeros((1, 9), np.float32)
    model = FloatModel(layers=(FloatLayer(name="out", kind="linear", paths=paths, bias=bias),))
    own = quantize(model, data)
    text = "tokens: networks whose frames are tokens cannot be trained on yet"
    with pytest.raises(dl.UserError, match=text):
        dl.finetune(own, model, data, data, QUICK)
    with pytest.raises(dl.UserError, match=text):
        DeltaNetwork(own)
