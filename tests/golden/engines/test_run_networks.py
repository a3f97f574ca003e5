# SPDX-License-Identifier: Apache-2.0
"""Several networks side by side against one after the other: every bit the same."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.delta import POWER_OF_TWO
from deltaloom.golden.engines import batch_engine
from deltaloom.golden.engines.engine import run, run_networks
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network

BITS = ((8, 8), (2, 4), (16, 16), (4, 8), (3, 5))


def with_bits(network, rng, keep=0):
    """Alike: other weights, widths, zero points, biases, thresholds behind `keep` layers."""
    layers = []
    for n, layer in enumerate(network.layers):
        paths = []
        for path in layer.paths:
            w, a = BITS[rng.integers(len(BITS))]
            zero = int(rng.integers(-(1 << (a - 2)), 1 << (a - 2))) if a < 16 else 0
            quantizer = replace(
                path.quantizer, bits=a, zero_point=zero, mult=int(rng.integers(1, 1 << (a - 1)))
            )
            codes = rng.integers(-(1 << (w - 1)), 1 << (w - 1), path.weights.shape)
            threshold = int(rng.integers(0, 1 << (a - 2)))
            paths.append(
                replace(
                    path, weights=codes, weight_bits=w, quantizer=quantizer, threshold=threshold
                )
            )
        bias = rng.integers(-4000, 4000, layer.bias.shape)
        layers.append(layer if n < keep else replace(layer, paths=tuple(paths), bias=bias))
    return replace(network, layers=tuple(layers))


def frames_for(network, lengths, seed=1):
    rng = np.random.default_rng(seed)
    walks = [np.cumsum(rng.normal(0, 900, (n, network.inputs)), axis=0) for n in lengths]
    return [np.clip(walk, -32768, 32767).astype(np.int64) for walk in walks]


def assert_same(ours, theirs):
    np.testing.assert_array_equal(ours.outputs, theirs.outputs)
    assert ours.events.keys() == theirs.events.keys()
    for name, events in ours.events.items():
        np.testing.assert_array_equal(events, theirs.events[name])
    for a, b in zip(ours.states, theirs.states, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def check(networks, frames):
    """Held against each alone."""
    found = run_networks(networks, frames)
    assert len(found) == len(networks)
    for network, results in zip(networks, found, strict=True):
        for ours, theirs in zip(results, run(network, frames), strict=True):
            assert_same(ours, theirs)
    return found


KINDS = [kind for kind in CELLS if kind != "linear"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell(kind):
    base = make_network([("gru", 4), (kind, 4), ("linear", 3)], 4)
    rng = np.random.default_rng(2)
    networks = [base, *(with_bits(base, rng) for _ in range(4))]
    assert batch_engine.are_alike(networks)
    found = check(networks, frames_for(base, [9, 4, 9, 0, 1]))
    assert any((found[0][0].outputs != other[0].outputs).any() for other in found[1:])


def test_sums_beyond_float64s_reach():
    """A product that needs int64 for one of them."""
    base = make_network([("gru", 4), ("linear", 3)], 40)
    rng = np.random.default_rng(3)
    wide = with_bits(base, rng)
    (gru, linear) = wide.layers
    paths = [
        replace(
            path,
            weights=np.full_like(path.weights, -32768),
            weight_bits=16,
            quantizer=replace(path.quantizer, bits=16, mult=32767, shift=15, zero_point=0),
            mult=np.full_like(path.mult, 32767),
        )
        for path in gru.paths
    ]
    wide = replace(wide, layers=(replace(gru, paths=tuple(paths)), linear))
    check([base, wide, with_bits(base, rng)], frames_for(base, [6, 3]))


def test_what_begins_alike_runs_once(monkeypatch):
    base = make_network([("gru", 3), ("gru", 3), ("linear", 2)], 3)
    rng = np.random.default_rng(4)
    networks = [base, with_bits(base, rng, keep=1), with_bits(base, rng, keep=2), base]
    seen, run_group = [], batch_engine._run

    def counted(own, group, *others):
        seen.append((own[0].layers[group[0]].name, len(own)))
        return run_group(own, group, *others)

    monkeypatch.setattr(batch_engine, "_run", counted)
    found = run_networks(networks, frames_for(base, [5]))
    assert seen == [("gru0", 1), ("gru1", 2), ("linear2", 3)]
    assert_same(found[0][0], found[3][0])


def test_unlike_networks_run_one_after_the_other():
    base = make_network([("gru", 3), ("linear", 2)], 3)
    other = replace(base, x_exponent=base.x_exponent + 1)
    powers = replace(base, delta_mode=POWER_OF_TWO).with_thresholds({"gru0.x": 3})
    assert not batch_engine.are_alike([base, other])
    frames = frames_for(base, [5, 2])
    check([base, other], frames)
    check([base, powers], frames)


def test_none_and_nothing():
    base = make_network([("gru", 3)], 3)
    assert run_networks([], frames_for(base, [2])) == []
    assert run_networks([base, base], []) == [[], []]
    with pytest.raises(UserError, match="a word is beyond int16"):
        run_networks([base], [np.array([[0, 40000, 0]])])


def test_directions_and_projections():
    from deltaloom.golden.models.synthetic import Shape

    base = make_network([Shape(kind="lstm", units=5, both=True), ("linear", 3)], 4)
    assert isinstance(base, Network)
    rng = np.random.default_rng(5)
    check([base, with_bits(base, rng), with_bits(base, rng)], frames_for(base, [7, 3, 7]))
