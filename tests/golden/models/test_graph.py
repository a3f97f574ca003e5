# SPDX-License-Identifier: Apache-2.0
"""Which layer reads what: for float models and quantized networks alike."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models import graph
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_network


def names(network, indices):
    return ["frames" if n == graph.FRAMES else network.layers[n].name for n in indices]


@pytest.fixture
def network():
    """Bidirectional, projected, then a shared bidirectional layer, then one backward."""
    shape = [
        Shape(kind="lstm", units=5, both=True, projection=3, initial=True),
        Shape(kind="ligru", units=4, both=True, shared=True, initial=True),
        Shape(kind="lstm_peephole", units=2, backward=True),
    ]
    return make_network(shape, 4)


def changed(network, n, **changes):
    layers = [*network.layers]
    layers[n] = replace(layers[n], **changes)
    return replace(network, layers=tuple(layers))


def test_a_plain_stack_reads_the_layer_before():
    network = make_network([("lstm", 3), ("gru", 4), ("linear", 2)], 5)
    assert all(layer.reads == () for layer in network.layers) and network.puts_out == ()
    assert [graph.inputs_of(network.layers, n) for n in range(3)] == [(graph.FRAMES,), (0,), (1,)]
    assert graph.outputs_of(network.layers, ()) == (2,)
    assert graph.lockstep(network.layers) == [(0,), (1,), (2,)]
    assert graph.together(network.layers) == []
    assert [graph.h_source(network.layers, n) for n in range(3)] == [0, 1, 2]


def test_what_is_read(network):
    layers = network.layers
    projections = ["lstm0.projection", "lstm0.reverse.projection"]
    read = [names(network, graph.inputs_of(layers, n)) for n in range(len(layers))]
    assert read == [
        ["frames"],
        ["lstm0"],
        ["frames"],
        ["lstm0.reverse"],
        projections,
        projections,
        ["ligru1", "ligru1.reverse"],
    ]
    assert graph.lockstep(layers) == [(0, 1), (2, 3), (4,), (5,), (6,)]
    assert [graph.h_source(layers, n) for n in range(4)] == [1, 1, 3, 3]
    assert graph.together(layers) == [(1, 3), (4, 5)]
    assert graph.width_of(layers, (graph.FRAMES, 4, 5)) == 12
    assert [graph.shared_with(layers, n) for n in range(7)] == [None] * 5 + [4, None]


def test_what_is_put_out_is_together_too(network):
    two = replace(network, layers=network.layers[:6], puts_out=("ligru1.reverse", "ligru1"))
    assert graph.outputs_of(two.layers, two.puts_out) == (5, 4)
    assert (two.outputs, two.y_exponent) == (8, 2)
    all_of_them = ("ligru1", "lstm0")
    groups = graph.together(two.layers, all_of_them)
    assert groups == [(0, 4), (1, 3)]


def test_groups_that_meet_are_one():
    network = make_network([("ligru", 2)] * 4, 2)
    layers = list(network.layers)
    layers[2] = replace(layers[2], reads=("ligru0", "ligru1"))
    layers[3] = replace(layers[3], reads=("ligru1", "frames"))
    assert graph.together(layers) == [(graph.FRAMES, 0, 1)]


@pytest.mark.parametrize(
    ("n", "changes", "message"),
    [
        (
            4,
            {"reads": ("lstm0.projection",)},
            "ligru1 takes 6 values, but lstm0.projection, which ",
        ),
        (
            4,
            {"reads": ("x", "frames")},
            "ligru1 reads 'x': not one of them; name each once, of fra",
        ),
        (
            4,
            {"reads": ("ligru1.reverse",)},
            "ligru1 reads 'ligru1.reverse': not one of them; name ",
        ),
        (
            4,
            {"reads": ("frames", "frames")},
            "ligru1 reads 'frames': named twice; name each once, ",
        ),
        (
            6,
            {"reads": ()},
            "lstm_peephole2 takes 8 values, but ligru1.reverse before it puts out 4",
        ),
        (6, {"reads": ("ligru1", "lstm0.projection")}, "lstm_peephole2 takes 8 values, but ligru1"),
        (
            0,
            {"h_from": "lstm0"},
            "lstm0 h_from: 'lstm0' is not possible, it must be the next layer",
        ),
        (
            1,
            {"name": "p"},
            "lstm0 h_from: 'lstm0.projection' is not possible, it must be the next la",
        ),
        (
            1,
            {"backward": True},
            "lstm0 h_from: 'lstm0.projection' is not possible, it must run in ",
        ),
        (
            4,
            {"h_from": "ligru1.reverse"},
            "ligru1 h_from: 'ligru1.reverse' is not possible, ligru h",
        ),
        (6, {"h_from": "y"}, "lstm_peephole2 h_from: 'y' is not possible, it must be the next lay"),
        (
            1,
            {"reads": ("lstm0", "frames")},
            "lstm0 h_from: 'lstm0.projection' is not possible, it m",
        ),
    ],
)
def test_what_cannot_be(network, n, changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        changed(network, n, **changes)


def test_a_projection_is_a_linear_layer(network):
    layers = list(network.layers)
    layers[1] = replace(layers[6], name="lstm0.projection", reads=(), backward=False)
    with pytest.raises(UserError, match="it must be a linear layer that reads lstm0 alone"):
        replace(network, layers=tuple(layers))


def test_layers_that_nothing_reads(network):
    with pytest.raises(UserError, match="lstm_peephole2: no layer reads it and the network does n"):
        replace(network, puts_out=("ligru1", "ligru1.reverse"))
    with pytest.raises(
        UserError, match="puts out 'frames': not one of them; name each once, of lst"
    ):
        replace(network, puts_out=("frames",))


def test_a_projection_has_the_columns_that_its_layer_reads(network):
    (path,) = network.layers[1].paths
    wide = replace(path, weights=np.ones((1, 2, 5), int), mult=np.ones((1, 2), int))
    layer = replace(network.layers[1], paths=(wide,), bias=np.zeros((1, 2), int), initial={})
    with pytest.raises(UserError, match="lstm0 h weights: 3 columns, expected 2, the units of lst"):
        replace(network, layers=(network.layers[0], layer), puts_out=())


def test_names_that_are_read_are_of_one_layer():
    network = make_network([("gru", 2), ("gru", 2), ("linear", 1)], 2)
    with pytest.raises(UserError, match="linear2 reads 'gru0': named twice; name each once, of fr"):
        changed(changed(network, 1, name="gru0"), 2, reads=("gru0",))


def test_a_state_that_nothing_reads():
    plain = make_network([("sru4", 3), ("linear", 2)], 3)
    with pytest.raises(UserError, match="linear1 initial h: no step reads what linear puts out"):
        changed(plain, 1, initial={"h": np.zeros(2, int)})
    with pytest.raises(UserError, match="sru40 initial h: sru4 starts from c only"):
        changed(plain, 0, initial={"h": np.zeros(3, int)})


def test_layers_read_together_have_one_format(network):
    message = "ligru1.reverse h exponent: 3 is not possible, it must be 2 as for ligru1, which is r"
    with pytest.raises(UserError, match=message):
        changed(network, 5, h_exponent=3)
    linear = make_network([("linear", 2), ("linear", 2)], 2)
    message = "linear0 h exponent: 0 is not possible, it must be 2 as for frames"
    layer = linear.layers[1]
    (path,) = layer.paths
    path = replace(path, weights=np.ones((1, 2, 4), int))
    with pytest.raises(UserError, match=message):
        changed(linear, 1, paths=(path,), reads=("linear0", "frames"))


def test_exponents_of_sources(network):
    network = changed(network, 1, h_exponent=0)
    assert [network.source_exponent(n, "x") for n in range(7)] == [2, 0, 2, 0, 0, 0, 2]
    raised = [replace(x, h_exponent=1) if ".projection" in x.name else x for x in network.layers]
    raised = replace(network, layers=tuple(raised))
    assert [raised.source_exponent(n, "h") for n in (0, 2, 4)] == [1, 1, 2]


@pytest.mark.parametrize("change", ["weights", "mult", "bias", "vectors", "kind"])
def test_sharing_is_by_content(change):
    shape = [Shape(kind="lstm_peephole", units=3, both=True, shared=True)]
    network = make_network(shape, 3)
    first, second = network.layers
    copies = tuple(replace(p, weights=p.weights.copy(), threshold=7) for p in second.paths)
    equal = replace(second, paths=copies, bias=second.bias.copy(), initial={"h": np.ones(3, int)})
    assert graph.shared_with((first, equal), 1) == 0
    path = second.paths[0]
    if change == "kind":
        other = replace(second, kind="lstm", vectors={})
        other = replace(other, paths=second.paths)
    elif change in ("weights", "mult"):
        one = getattr(path, change).copy()
        one.flat[0] ^= 1
        other = replace(second, paths=(replace(path, **{change: one}), *second.paths[1:]))
    elif change == "bias":
        other = replace(second, bias=second.bias + 1)
    else:
        other = replace(second, vectors=second.vectors | {"v_i": second.vectors["v_i"] ^ 1})
    assert graph.shared_with((first, other), 1) is None


def test_files_keep_everything(network, tmp_path):
    two = replace(network, layers=network.layers[:6], puts_out=("ligru1", "ligru1.reverse"))
    for each in (network, two):
        each.save(tmp_path / "net")
        loaded = Network.load(tmp_path / "net")
        assert loaded.puts_out == each.puts_out
        for one, other in zip(each.layers, loaded.layers, strict=True):
            assert (one.name, one.reads, one.backward, one.h_from) == (
                other.name,
                other.reads,
                other.backward,
                other.h_from,
            )
            assert one.signature == other.signature
            for ours, theirs in ((one.arrays, other.arrays), (one.initial, other.initial)):
                assert ours.keys() == theirs.keys()
                for name, array in ours.items():
                    np.testing.assert_array_equal(array, theirs[name], strict=True)
        assert loaded.layers[5].paths[0].weights is not loaded.layers[3].paths[0].weights


def test_shared_weights_are_stored_and_counted_once(tmp_path):
    sizes = []
    for shared in (True, False):
        shape = [Shape(kind="gru", units=40, both=True, shared=shared)]
        network = make_network(shape, 40)
        network.save(tmp_path / "net")
        sizes.append(((tmp_path / "net").stat().st_size, network.weight_bits, network.macs))
    (small, bits, macs), (large, more, all_macs) = sizes
    assert more == 2 * bits and macs == all_macs
    assert large - small > 0.9 * bits / 8


def test_float_models_have_the_same_rules(make_model):
    model = make_model([("gru", 3), ("gru", 3), ("linear", 2)], 3)
    with pytest.raises(
        UserError, match="linear2 takes 3 values, but gru0, gru1, which it reads, p"
    ):
        changed(model, 2, reads=("gru0", "gru1"))
    with pytest.raises(UserError, match="gru0 initial c: gru starts from h only"):
        changed(model, 0, initial={"c": np.zeros(3, np.float32)})
    two = replace(model, layers=model.layers[:2], puts_out=("gru0", "gru1"))
    assert isinstance(two, FloatModel) and two.outputs == 6
