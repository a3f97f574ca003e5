# SPDX-License-Identifier: Apache-2.0
"""Directions, projections and first states from a float model to a network of integers."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.cells.norm import epsilons
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import StepModel, quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import size_bits
from deltaloom.golden.importers.tensors.directions import Stage, both_ways, link, one
from deltaloom.golden.models import graph
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath, run_float
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.formats import find_formats
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.golden.reports.paths import describe
from deltaloom.sim.testing.kinds import normed_last

INPUTS, UNITS, OUTPUTS = 5, 7, 3
LENGTHS = (30, 1, 0, 47)
LSTMS = [kind for kind in CELLS if kind.startswith("lstm")]


def random(rng, *shape, reach=0.6):
    return rng.uniform(-reach, reach, shape).astype(np.float32)


def make_layer(rng, kind, inputs, *, units=UNITS, name="", h_columns=0, h_from="", initial=()):
    cell = CELLS[kind]
    columns = {"x": inputs, "h": h_columns or units, "rh": units}
    reach = 0.7 if kind in ("ind_rnn", "fast_grnn") else 1.5  # beyond 1 their state only grows
    return FloatLayer(
        name=name or kind,
        kind=kind,
        paths=tuple(
            FloatPath(source=s, gates=g, weights=random(rng, len(g), units, columns[s]))
            for s, g in cell.feeds.items()
        ),
        bias=random(rng, len(cell.gates), units),
        vectors={v: random(rng, units, reach=reach) for v in cell.vectors} | epsilons(cell, units),
        skip_scale=1.25 if cell.reads_input else 0.0,
        h_from=h_from,
        initial={state: random(rng, units, reach=0.9) for state in initial},
    )


def chain(rng, kind, inputs, *, projection=0, initial=False, name=""):
    """One direction: a layer and, for an LSTM, its projection."""
    name = name or kind
    cell = CELLS[kind]
    if not projection:
        states = ["c"] * cell.has_c + ["h"] * ("h" in cell.feeds)
        return (make_layer(rng, kind, inputs, name=name, initial=states if initial else ()),)
    last = f"{name}.projection"
    options = {"h_columns": projection, "h_from": last, "initial": ("c",) if initial else ()}
    after = {"units": projection, "name": last, "initial": ("h",) if initial else ()}
    return (
        make_layer(rng, kind, inputs, name=name, **options),
        make_layer(rng, "linear", UNITS, **after),
    )


def head(rng, inputs):
    return make_layer(rng, "linear", inputs, units=OUTPUTS, name="fc")


def model_of(*stages):
    layers, puts_out = link(stages)
    return FloatModel(layers=layers, puts_out=puts_out)


def bidirectional(kind, *, shared, projection=0, initial=False, layers=2):
    rng = np.random.default_rng(4)
    stages, inputs = [], INPUTS if kind != "sru" else UNITS
    for n in range(layers):
        # a sru layer has as many inputs as units, so only the first one can be
        own = "sru4" if kind == "sru" and n else kind
        options = {"projection": projection, "initial": initial, "name": f"l{n}"}
        made = both_ways(one(*chain(rng, own, inputs, **options)))
        if not shared:
            other = one(*chain(rng, own, inputs, **options))
            made = Stage((made.chains[0], both_ways(other).chains[1]))
        stages.append(made)
        inputs = made.outputs
    return model_of(*stages, one(head(rng, inputs)))


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    features = [rng.normal(size=(n, INPUTS)).astype(np.float32) for n in LENGTHS]
    for x in features:
        for t in range(1, len(x)):
            x[t] = 0.8 * x[t - 1] + 0.6 * x[t]
    return Dataset(tuple(features))


def data_for(model, data):
    if model.inputs == INPUTS:
        return data
    return Dataset(tuple(np.hstack([x, x[:, :2]])[:, : model.inputs] for x in data.features))


def check(model, data, tolerance):
    """Both float engines agree; 16 bits come close to them; delta is dense; events are products."""
    data = data_for(model, data)
    outputs = run_float_batch(model, data.features)
    for x, y in zip(data.features, outputs, strict=True):
        np.testing.assert_allclose(run_float(model, x)[0], y, rtol=0, atol=1e-12)
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    words = [quantize_frames(network, x) for x in data.features]
    results = run(network, words)
    for frames, y, result in zip(words, outputs, results, strict=True):
        assert np.abs(real_outputs(network, result.outputs) - y).max(initial=0) < tolerance
        by_events = StepModel(network).run(frames)
        np.testing.assert_array_equal(by_events.outputs, result.outputs)
    for a, b in zip(results, run(network, words, delta=False), strict=True):
        np.testing.assert_array_equal(a.outputs, b.outputs)
    for x, reference in zip(network.layers, model.layers, strict=True):
        kept = (reference.reads, reference.backward, reference.h_from, {*reference.initial})
        assert (x.reads, x.backward, x.h_from, {*x.initial}) == kept
    return network


@pytest.mark.parametrize("kind", normed_last([kind for kind in CELLS if kind != "linear"]))
@pytest.mark.parametrize("shared", [False, True])
def test_bidirectional(data, kind, shared):
    network = check(bidirectional(kind, shared=shared), data, 0.05 if "_norm" in kind else 0.01)
    same = [graph.shared_with(network.layers, n) for n in range(5)]
    assert same == ([None, 0, None, 2, None] if shared else [None] * 5)


@pytest.mark.parametrize("kind", normed_last(LSTMS))
@pytest.mark.parametrize("shared", [False, True])
def test_projections(data, kind, shared):
    model = bidirectional(kind, shared=shared, projection=3, initial=True)
    network = check(model, data, 0.01)
    assert len(network.layers) == 9
    for n, layer in enumerate(network.layers):
        if layer.h_from:
            read = network.layers[n + 1]
            assert network.source_exponent(n, "h") == read.h_exponent
            reached = np.abs(np.concatenate(outputs_of(model, data, n + 1))).max()
            codes = layer.paths[1].quantizer
            assert codes.scale * 32767 > reached  # of the projection's outputs, which pass 1


def test_path_h_of_a_projected_layer_is_calibrated_by_the_projection(data):
    model = bidirectional("lstm", shared=False, projection=3, layers=1)
    statistics = observe(model, data)
    for n in (0, 2):
        own, after = (statistics[m].samples["h"] for m in (n, n + 1))
        np.testing.assert_array_equal(own, after)
        assert statistics[n].frames["h"].shape[1] == 3


def outputs_of(model, data, n):
    traces = {}
    run_float_batch(model, data.features, observe=traces.__setitem__)
    return [traces[n].h]


@pytest.mark.parametrize("kind", normed_last([kind for kind, cell in CELLS.items() if cell.state]))
def test_first_states(data, kind):
    model = bidirectional(kind, shared=False, initial=True, layers=1)
    network = check(model, data, 0.01)
    plain = replace(model, layers=tuple(replace(x, initial={}) for x in model.layers))
    x = data_for(model, data).features[1]
    assert np.abs(run_float(model, x)[0] - run_float(plain, x)[0]).max() > 0.01
    for layer, own in zip(network.layers, model.layers, strict=True):
        for name, state in own.initial.items():
            e = layer.c_exponent if name == "c" else layer.h_exponent
            assert np.abs(layer.initial[name] * 2.0 ** (e - 15) - state).max() <= 2.0 ** (e - 16)


@pytest.mark.parametrize("bits", [4, 8])
def test_few_bits_of_shared_layers_stay_shared(data, bits, tmp_path):
    """Both directions count as one in calibration, so all their scales are equal."""
    model = bidirectional("ligru", shared=True)
    network = quantize(model, data, Scheme(weight_bits=bits, activation_bits=bits))
    assert [graph.shared_with(network.layers, n) for n in range(5)] == [None, 0, None, 2, None]
    first, second = observe(model, data)[:2]
    np.testing.assert_array_equal(first.samples["h"], second.samples["h"])
    assert (first.h, first.c, first.x) == (second.h, second.c, second.x)
    assert network.weight_bits == bits * sum(x.weights.size for x in weights_of(model))
    apart = quantize(bidirectional("ligru", shared=False), data, Scheme(weight_bits=bits))
    assert size_bits(network) < 0.6 * size_bits(apart)
    network.save(tmp_path / "net")
    loaded = Network.load(tmp_path / "net")
    words = [quantize_frames(network, x) for x in data.features]
    for a, b in zip(run(network, words), run(loaded, words), strict=True):
        np.testing.assert_array_equal(a.outputs, b.outputs)


def weights_of(model):
    layers = [layer for n, layer in enumerate(model.layers) if n in (0, 2, 4)]
    return [path for layer in layers for path in layer.paths]


FAR_AND_NEAR = (("linear", "far"), ("ligru", "near"))


def test_what_is_read_together_has_one_format(data):
    """A layer that reaches far, a small one: both take the wider format, and so does the input."""
    rng = np.random.default_rng(0)
    far, near = (make_layer(rng, kind, INPUTS, name=name) for kind, name in FAR_AND_NEAR)
    far = replace(far, bias=far.bias + np.float32(40))
    near = replace(near, reads=("frames",))
    fc = replace(head(rng, 2 * UNITS + INPUTS), reads=("near", "frames", "far"))
    model = FloatModel(layers=(far, near, fc), puts_out=("fc",))
    statistics = observe(model, data)
    x_exponent, formats = find_formats(model, statistics)
    assert x_exponent == formats[0].gates["h"] == formats[1].gates["h"] == 6
    assert [f.sources["x"] for f in formats] == [x_exponent] * 3
    network = check(model, data, 0.05)
    assert network.x_exponent == x_exponent
    assert len(describe(network, model, statistics)) == 4


def test_an_lstm_beside_what_reaches_further(data):
    rng = np.random.default_rng(0)
    far = make_layer(rng, "linear", INPUTS, name="far")
    far = replace(far, bias=far.bias + np.float32(40))
    near = replace(make_layer(rng, "lstm", INPUTS, name="near"), reads=("frames",))
    fc = replace(head(rng, 2 * UNITS), reads=("near", "far"))
    message = (
        "near and far are read or put out together and so share a format, but lstm ends at 1 and "
        "far needs 2**6; put a linear layer between"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        quantize(FloatModel(layers=(far, near, fc)), data)


def test_a_first_state_beyond_the_cell(data):
    model = bidirectional("gru", shared=False, layers=1)
    far = replace(model.layers[1], initial={"h": np.full(UNITS, -1.5, np.float32)})
    model = replace(model, layers=(model.layers[0], far, model.layers[2]))
    message = "l0.reverse initial h: reaches 1.5, gru keeps h within +-1; start from another state"
    with pytest.raises(UserError, match=re.escape(message)):
        quantize(model, data)
    nan = replace(far, initial={"h": np.full(UNITS, np.nan, np.float32)})
    model = replace(model, layers=(model.layers[0], nan, model.layers[2]))
    with pytest.raises(UserError, match=r"l0.reverse: the float model's .* is NaN or infinite"):
        quantize(model, data)


def test_a_first_state_has_room_in_its_format(data):
    model = bidirectional("ligru", shared=False, layers=1)
    x, h = model.layers[0].paths
    paths = (x, replace(h, weights=np.zeros_like(h.weights)))  # so that it only decays
    far = replace(model.layers[0], paths=paths, initial={"h": np.full(UNITS, 60, np.float32)})
    model = replace(model, layers=(far, *model.layers[1:]))
    network = quantize(model, data)
    assert [layer.h_exponent for layer in network.layers[:2]] == [7, 7]
    assert network.layers[0].initial["h"].tolist() == [60 * 256] * UNITS


def test_models_come_back(tmp_path):
    model = bidirectional("lstm_peephole", shared=True, projection=2, initial=True)
    model.save(tmp_path / "model")
    loaded = FloatModel.load(tmp_path / "model")
    x = np.random.default_rng(3).normal(size=(9, INPUTS))
    np.testing.assert_array_equal(run_float(loaded, x)[0], run_float(model, x)[0])
    assert loaded.parameters == model.parameters
    assert [graph.shared_with(loaded.layers, n) for n in (2, 3, 6, 7)] == [0, 1, 4, 5]
