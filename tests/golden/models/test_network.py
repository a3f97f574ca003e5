# SPDX-License-Identifier: Apache-2.0
"""Quantized networks: their file, their checks, what they tell about themselves."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden import storage
from deltaloom.golden.cells import CELLS
from deltaloom.golden.engines.engine import run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import KIND, Network, Quantizer, path_name
from deltaloom.golden.models.synthetic import make_frames, make_network, make_path
from deltaloom.sim.testing.kinds import normed_last


@pytest.fixture
def network():
    made = make_network([("lstm", 4), ("lstm", 3), ("linear", 2)], 5, weight_bits=4, threshold=3)
    return replace(made, labels=("yes", "no"), origin="a test")


def first_path(network):
    return network.layers[0].paths[0]


def assert_equal(a: Network, b: Network):
    assert (a.x_exponent, a.labels, a.origin) == (b.x_exponent, b.labels, b.origin)
    for one, other in zip(a.layers, b.layers, strict=True):
        assert (one.name, one.kind) == (other.name, other.kind)
        for field in ("c_exponent", "h_exponent", "vector_shift", "skip_mult", "skip_shift"):
            assert getattr(one, field) == getattr(other, field)
        assert {*one.vectors} == {*other.vectors}
        for name, vector in one.vectors.items():
            np.testing.assert_array_equal(vector, other.vectors[name], strict=True)
        np.testing.assert_array_equal(one.bias, other.bias, strict=True)
        for p, q in zip(one.paths, other.paths, strict=True):
            assert (p.source, p.gates, p.weight_bits) == (q.source, q.gates, q.weight_bits)
            assert (p.quantizer, p.threshold) == (q.quantizer, q.threshold)
            for field in ("weights", "mult", "shift", "weight_scale"):
                np.testing.assert_array_equal(getattr(p, field), getattr(q, field), strict=True)


@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
@pytest.mark.parametrize("activation_bits", [2, 16])
def test_round_trip(tmp_path, weight_bits, activation_bits):
    network = make_network(
        [("lstm", 6), ("linear", 2)], 3, weight_bits=weight_bits, activation_bits=activation_bits
    )
    network.save(tmp_path / "net.safetensors")
    loaded = Network.load(tmp_path / "net.safetensors")
    assert_equal(network, loaded)
    frames = [make_frames(3, 9)]
    np.testing.assert_array_equal(run(network, frames)[0].outputs, run(loaded, frames)[0].outputs)


def test_round_trip_keeps_names_thresholds_zero_points_and_two_paths_of_a_source(tmp_path, network):
    layer = network.layers[0]
    rng = np.random.default_rng(0)
    whole = layer.paths[1]
    some = make_path(rng, "h", ("i", "f", "o"), 4, 4, weight_bits=2, threshold=1)
    other = make_path(rng, "h", ("g",), 4, 4, weight_bits=16, activation_bits=16)
    other = replace(other, quantizer=replace(whole.quantizer, bits=16, zero_point=-9, scale=0.125))
    layer = replace(layer, paths=(layer.paths[0], some, other))
    network = replace(network, layers=(layer, *network.layers[1:]))
    assert [name for name, _ in network.paths()] == [
        "lstm0.x",
        "lstm0.h.ifo",
        "lstm0.h.g",
        "lstm1.x",
        "lstm1.h",
        "linear2.x",
    ]
    assert path_name(layer, 2) == "lstm0.h.g"
    network.save(tmp_path / "net")
    assert_equal(network, Network.load(tmp_path / "net"))


def test_what_it_tells(network):
    assert (network.inputs, network.outputs) == (5, 2)
    assert network.macs == 16 * 5 + 16 * 4 + 12 * 4 + 12 * 3 + 2 * 3
    assert network.weight_bits == 4 * network.macs
    assert network.y_exponent == 0
    assert replace(network.layers[2], h_exponent=5).gate_exponents == (5,)
    assert replace(network.layers[0], c_exponent=7, h_exponent=2).gate_exponents == (3, 3, 3, 3)
    path = first_path(network)
    assert (path.units, path.columns, path.rows) == (4, 5, 16)
    np.testing.assert_array_equal(path.matrix[5], path.weights[1, 1])


@pytest.mark.parametrize(("zero", "reach"), [(0, 128), (127, 255), (-128, 255), (-1, 128)])
def test_bound(network, zero, reach):
    path = first_path(network)
    weights = np.zeros_like(path.weights)
    weights[2, 1] = [7, -8, 1, 0, 3]
    weights[0, 0, 0] = -8
    path = replace(path, weights=weights, quantizer=replace(path.quantizer, zero_point=zero))
    assert path.bound == 19 * reach


def test_with_thresholds(network):
    changed = network.with_thresholds({"lstm1.x": 9, "linear2.x": 0})
    thresholds = {name: path.threshold for name, path in changed.paths()}
    assert thresholds == {"lstm0.x": 3, "lstm0.h": 3, "lstm1.x": 9, "lstm1.h": 3, "linear2.x": 0}
    assert first_path(network) is not first_path(changed)
    assert {p.threshold for _, p in network.paths()} == {3}


def test_with_thresholds_of_an_unknown_path(network):
    message = re.escape("threshold of 'lstm9.x': no such path; paths: lstm0.x, lstm0.h, lstm1.x")
    with pytest.raises(UserError, match=message):
        network.with_thresholds({"lstm9.x": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 1}, "activation bits: 1 is not possible, it must be 2..16"),
        ({"mult": 32768}, "quantizer mult: 32768 is not possible, it must be 0..32767"),
        ({"mult": -1}, "quantizer mult: -1 is not possible, it must be 0..32767"),
        ({"shift": 41}, "quantizer shift: 41 is not possible, it must be 0..40"),
        ({"shift": -1}, "quantizer shift: -1 is not possible, it must be 0..40"),
        ({"zero_point": 128}, "zero point: 128 is not possible, it must be -128..127"),
        ({"zero_point": -129}, "zero point: -129 is not possible, it must be -128..127"),
    ],
)
def test_quantizer_checks(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Quantizer(**{"bits": 8, "mult": 1, "shift": 0} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_bits": 17}, "weight bits: 17 is not possible, it must be 2..16"),
        ({"weights": np.full((4, 4, 5), 8)}, "weights: 8 is outside -8..7 (4 bits)"),
        ({"weights": np.full((4, 4, 5), -9)}, "weights: -9 is outside -8..7 (4 bits)"),
        ({"weights": np.zeros((3, 4, 5), int)}, "weights: shape (3, 4, 5), expected [4, any, any]"),
        ({"mult": np.full((4, 4), 32768)}, "mult: 32768 is outside -32768..32767 (16 bits)"),
        ({"mult": np.zeros((4, 3), int)}, "mult: shape (4, 3), expected [4, 4]"),
        ({"shift": np.zeros(3, int)}, "shift: shape (3,), expected [4]"),
        ({"shift": np.full(4, 41)}, "shift: 41 is not possible, it must be 0..40"),
        ({"shift": np.full(4, -1)}, "shift: -1 is not possible, it must be 0..40"),
        ({"threshold": -1}, "threshold: -1 is not possible, it must be 0..255"),
        ({"threshold": 256}, "threshold: 256 is not possible, it must be 0..255"),
    ],
)
def test_path_checks(network, changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        replace(first_path(network), **changes)


def test_the_largest_threshold_silences_a_path(network):
    silent = network.with_thresholds({name: 255 for name, _ in network.paths()})
    (result,) = run(silent, [make_frames(5, 20)])
    assert all(count.sum() == 0 for count in result.events.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kind": "gru9"},
            "cell: 'gru9' is not possible, it must be one of lstm, lstm_cifg, lstm_p",
        ),
        ({"backward": 1}, "backward: 1 is not possible, it must be true or false"),
        ({"h_from": 3}, "h_from: 3 is not possible, it must be a layer's name or empty"),
        (
            {"initial": {"x": np.zeros(4, int)}},
            "lstm0 initial x: lstm starts from c, h only",
        ),
        (
            {"initial": {"h": np.zeros(4, int)}, "h_from": "p"},
            "lstm0 initial h: lstm starts from c only; give p its initial h",
        ),
        (
            {"initial": {"c": np.zeros(3, int)}},
            "lstm0 initial c: shape (3,), expected [4]",
        ),
        (
            {"initial": {"c": np.full(4, 1 << 15)}},
            "initial c: 32768 is outside -32768..32767 (16 bits)",
        ),
        ({"bias": np.full((4, 4), 1 << 19)}, "bias: 524288 is outside -524288..524287 (20 bits)"),
        ({"bias": np.zeros((4, 5), int)}, "x weights: shape (4, 4, 5), expected [any, 5, 5]"),
        ({"bias": np.zeros((3, 4), int)}, "bias: shape (3, 4), expected [4, any]"),
        ({"c_exponent": 13}, "c exponent: 13 is not possible, it must be 0..12"),
        ({"c_exponent": -1}, "c exponent: -1 is not possible, it must be 0..12"),
        ({"h_exponent": 13}, "h exponent: 13 is not possible, it must be 0..12"),
    ],
)
def test_layer_checks(network, changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        replace(network.layers[0], **changes)


def test_layer_checks_its_paths(network):
    layer = network.layers[0]
    wrong = replace(first_path(network), source="y")
    with pytest.raises(UserError, match=r"source: 'y' is not possible, it must be \('x', 'h'\)"):
        replace(layer, paths=(wrong,))
    wrong = replace(first_path(network), gates=("i", "f", "g", "z"))
    with pytest.raises(UserError, match=r"gates: .* it must be gates that x feeds in lstm"):
        replace(layer, paths=(wrong,))

    both = replace(first_path(network), gates=("i", "f", "g", "i"))
    with pytest.raises(UserError, match=r"gates: .* it must be without 'i', fed twice"):
        replace(layer, paths=(both,))
    with pytest.raises(UserError, match=r"gates: .* it must be without 'i', fed twice"):
        replace(layer, paths=(layer.paths[1], *layer.paths))
    with pytest.raises(UserError, match=r"sources: \('h',\) is not possible, .* a path from x"):
        replace(layer, paths=layer.paths[1:])


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_every_cell_comes_back(tmp_path, kind):
    network = make_network([(kind, 5), ("linear", 2)], 5, c_exponent=4, h_exponent=1)
    network.save(tmp_path / "net")
    loaded = Network.load(tmp_path / "net")
    assert_equal(network, loaded)
    frames = [make_frames(5, 9)]
    np.testing.assert_array_equal(run(network, frames)[0].outputs, run(loaded, frames)[0].outputs)


def test_a_file_of_an_older_version(tmp_path, network):
    """Before vectors and skips."""
    network.save(tmp_path / "net")
    tensors, header = storage.load(tmp_path / "net", KIND, made_by="")
    for entry in header["layers"]:
        del entry["vectors"], entry["vector_shift"], entry["skip_mult"], entry["skip_shift"]
    del header["kind"], header["version"]
    storage.save(tmp_path / "old", KIND, tensors, header)
    assert_equal(Network.load(tmp_path / "old"), network)


def test_gate_exponents_follow_the_states():
    (layer,) = make_network([("sru4", 3)], 5, c_exponent=6).layers
    assert layer.gate_exponents == (6, 3, 3, 6)
    (layer,) = make_network([("ligru", 3)], 5, h_exponent=4).layers
    assert layer.gate_exponents == (4, 3)


V = np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("sru", {"h_exponent": 5}, "h exponent: 5 is not possible, it must be the c exponent of "),
        ("sru", {"vectors": {}}, "vectors: () is not possible, it must be those of sru: ('v_f', "),
        ("gru", {"vectors": {"v": V}}, "vectors: ('v',) is not possible, it must be those of gru"),
        ("sru", {"vectors": {"v_f": V, "v_r": V[1:]}}, "v_r: shape (3,), expected [4]"),
        ("sru", {"vectors": {"v_f": V + 32768, "v_r": V}}, "v_f: 32768 is outside -32768..32767"),
        ("sru", {"vector_shift": 19}, "vector shift: 19 is not possible, it must be 0..18"),
        ("sru", {"vector_shift": -1}, "vector shift: -1 is not possible, it must be 0..18"),
        ("sru", {"skip_mult": 32768}, "skip mult: 32768 is not possible, it must be -32768..32767"),
        ("sru", {"skip_shift": 41}, "skip shift: 41 is not possible, it must be 0..40"),
        ("sru4", {"skip_mult": 1}, "skip mult: 1 is not possible, it must be 0 for sru4"),
    ],
)
def test_numbers_checks(kind, changes, message):
    (layer,) = make_network([(kind, 4)], 4).layers
    with pytest.raises(UserError, match=re.escape(message)):
        replace(layer, **changes)


def test_a_cell_that_reads_its_input_is_as_wide():
    with pytest.raises(UserError, match="inputs: 3 is not possible, it must be 4 like the units"):
        make_network([("sru", 4)], 3)


def test_paths_of_rh_have_as_many_columns_as_units():
    (layer,) = make_network([("gru_before", 4)], 3).layers
    path = layer.paths[2]
    narrow = replace(path, weights=path.weights[:, :, :3])
    with pytest.raises(UserError, match=r"rh weights: shape \(1, 4, 3\), expected \[any, 4, 4\]"):
        replace(layer, paths=(*layer.paths[:2], narrow))


def test_network_checks(network):
    with pytest.raises(UserError, match="layers: 0 is not possible, it must be at least one layer"):
        replace(network, layers=())
    message = "lstm1 takes 4 values, but linear2 before it puts out 2"
    with pytest.raises(UserError, match=message):
        replace(network, layers=(network.layers[2], network.layers[1]), x_exponent=0)


def changed(file, network, change):
    """A file of `network` after `change(tensors, header)`."""
    network.save(file)
    tensors, header = storage.load(file, KIND, made_by="")
    change(tensors, header)
    storage.save(
        file, KIND, tensors, {k: v for k, v in header.items() if k not in ("kind", "version")}
    )
    return file


def refused(file):
    """The one line that refuses `file`, without its name and the way out."""
    with pytest.raises(UserError) as caught:
        Network.load(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ") and line.endswith("; make the file anew")
    assert "\n" not in line
    return line.removeprefix(f"{file}: ").removesuffix("; make the file anew")


def test_a_missing_tensor(tmp_path, network):
    name = "layers.1.paths.0.mult"
    file = changed(tmp_path / "net", network, lambda tensors, header: tensors.pop(name))
    assert refused(file) == f"'{name}' is missing"


HEADERS = [
    (("layers", 0, "paths", 0, "threshold"), 999, "threshold: 999 is not possible, it must be 0.."),
    (("layers", 0, "paths", 0, "threshold"), 1.5, "threshold: 1.5 is not possible, it must be a w"),
    (("layers", 0, "paths", 0, "threshold"), True, "threshold: True is not possible, it must be a"),
    (("layers", 0, "paths", 0, "threshold"), None, "threshold: None is not possible, it must be a"),
    (("layers", 0, "paths", 0, "weight_bits"), 4.0, "weight bits: 4.0 is not possible, it must be"),
    (("layers", 0, "paths", 0, "gates"), "ifgo", "gates: 'ifgo' is not possible, it must be a lis"),
    (("layers", 0, "paths", 0, "quantizer", "mult"), 1.5, "quantizer mult: 1.5 is not possible, i"),
    (("layers", 0, "paths", 0, "quantizer", "shift"), "7", "quantizer shift: '7' is not possible,"),
    (("layers", 0, "paths", 0, "quantizer", "bits"), 8.0, "activation bits: 8.0 is not possible, "),
    (("layers", 0, "paths", 0, "quantizer", "zero_point"), 0.5, "zero point: 0.5 is not possible,"),
    (("layers", 0, "paths", 0, "quantizer", "scale"), float("nan"), "quantizer scale: nan is not "),
    (("layers", 0, "paths", 0, "quantizer", "scale"), "big", "quantizer scale: 'big' is not possi"),
    (("layers", 1, "h_exponent"), 0.5, "h exponent: 0.5 is not possible, it must be a whole numbe"),
    (("layers", 1, "vector_shift"), 0.5, "vector shift: 0.5 is not possible, it must be a whole n"),
    (("layers", 1, "skip_shift"), 0.5, "skip shift: 0.5 is not possible, it must be a whole numbe"),
    (("x_exponent",), "q", "x exponent: 'q' is not possible, it must be a whole number"),
    (("x_exponent",), 99, "x exponent: 99 is not possible, it must be 0..12"),
    (("x_exponent",), -1, "x exponent: -1 is not possible, it must be 0..12"),
    (("labels",), ["one"], "labels: 1 is not possible, it must be 0 or 2, one per output"),
    (("labels",), ["a", "b", "c"], "labels: 3 is not possible, it must be 0 or 2, one per output"),
    (("labels",), "no", "labels: 'no' is not possible, it must be a list of texts"),
    (("labels",), [1, 2], "labels: [1, 2] is not possible, it must be a list of texts"),
]


@pytest.mark.parametrize(("place", "value", "message"), HEADERS)
def test_a_wrong_value_in_the_file(tmp_path, network, place, value, message):
    def change(tensors, header):
        entry = header
        for key in place[:-1]:
            entry = entry[key]
        assert place[-1] in entry
        entry[place[-1]] = value

    assert refused(changed(tmp_path / "net", network, change)).startswith(message)


AT = "layers.0.paths.0"


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (f"{AT}.weights", np.full((4, 4, 5), 1.9), "float64 is not possible, it must be integers"),
        (f"{AT}.mult", np.ones((4, 4), np.float32), "float32 is not possible, it must be integers"),
        (f"{AT}.shift", np.ones(4, bool), "bool is not possible, it must be integers"),
        ("layers.0.bias", np.full((4, 4), np.nan), "float64 is not possible, it must be integers"),
        ("layers.0.bias", np.zeros((4, 4), np.uint64), "uint64 is not possible, it must be integ"),
    ],
)
def test_tensors_that_are_no_integers(tmp_path, network, name, tensor, message):
    file = changed(tmp_path / "net", network, lambda tensors, _: tensors.update({name: tensor}))
    assert refused(file).startswith(f"{name}: {message}")


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (f"{AT}.weights", np.zeros(4, np.int8), "weights: shape (4,), expected [4, any, any]"),
        ("layers.0.bias", np.zeros(4, np.int32), "bias: shape (4,), expected [4, any]"),
        (f"{AT}.weight_scale", np.ones((4, 3)), "weight_scale: shape (4, 3), expected [4, 4]"),
        (f"{AT}.weight_scale", np.full((4, 4), np.nan), "weight_scale: nan is not possible, it m"),
        (f"{AT}.weight_scale", np.full((4, 4), np.inf), "weight_scale: inf is not possible, it m"),
        (f"{AT}.weight_scale", np.diag([1, 1, 1, -1.0]), "weight_scale: -1.0 is not possible, it"),
        (f"{AT}.weight_scale", np.diag([np.nan, 1, 1, 1]), "weight_scale: nan is not possible"),
    ],
)
def test_tensors_of_another_shape_or_scale(tmp_path, network, name, tensor, message):
    file = changed(tmp_path / "net", network, lambda tensors, _: tensors.update({name: tensor}))
    assert refused(file).startswith(message)


def test_another_file(tmp_path):
    with pytest.raises(UserError, match="no such file; `deltaloom quantize` writes one"):
        Network.load(tmp_path / "none")
    with pytest.raises(UserError, match="is a folder, a file is wanted; `deltaloom quantize` writ"):
        Network.load(tmp_path)
