# SPDX-License-Identifier: Apache-2.0
"""A network's file, read by the page docs/integration.md alone, with numpy and safetensors.

What is above the line would stand in somebody else's program; below it is compared with ours.
"""

import hashlib
import json

import numpy as np
import pytest
from safetensors import safe_open


def read_file(file):
    """(header, tensors); ValueError where the digest does not fit."""
    with safe_open(file, framework="numpy") as archive:
        header = json.loads(archive.metadata()["deltaloom"])
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    if header["kind"] != "quantized network" or header["version"] != 4:
        raise ValueError("another kind or version")
    wanted = header.pop("sha256")
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        facts = [name, str(tensors[name].dtype), list(tensors[name].shape)]
        digest.update(json.dumps(facts).encode() + tensors[name].tobytes())
    if digest.hexdigest() != wanted:
        raise ValueError("damaged")
    return header, tensors


def rshr(v, n):
    return v if n == 0 else (v + (1 << (n - 1))) >> n


def sat(v, bits):
    return np.clip(v, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def to_words(features, header, tensors):
    scaled = features / tensors.get("input_scale", 1.0)
    words = np.floor(scaled * 2.0 ** (15 - header["x_exponent"]) + 0.5)
    return np.clip(words, -32768, 32767).astype(np.int64)


def pre_activations(entry, tensors, sources):
    """[gates of the cell, units], from the int16 words of each source; thresholds are 0."""
    n = entry["tensors"]
    total = tensors[f"layers.{n}.bias"].astype(np.int64)
    gates = {name: k for k, name in enumerate(CELL_GATES[entry["cell"]])}
    for k, path in enumerate(entry["paths"]):
        q = path["quantizer"]
        codes = sat(
            rshr(sources[path["source"]] * q["mult"], q["shift"]) + q["zero_point"], q["bits"]
        )
        at = f"layers.{n}.paths.{k}"
        sums = tensors[f"{at}.weights"].astype(np.int64) @ (codes - q["zero_point"])
        for g, name in enumerate(path["gates"]):
            mult = tensors[f"{at}.mult"][g].astype(np.int64)
            total[gates[name]] += rshr(sums[g] * mult, int(tensors[f"{at}.shift"][g]))
    return sat(total, 16)


CELL_GATES = {"linear": ["y"], "gru": ["r", "z", "nx", "nh"], "lstm": ["i", "f", "g", "o"]}


def run_linear(header, tensors, frame):
    words = frame
    for entry in header["layers"]:
        words = pre_activations(entry, tensors, {"x": words})[0]
    return words


# ------------------------------------------------------------------------------------------------

from deltaloom.golden.engines import engine  # noqa: E402
from deltaloom.golden.models.network import Network, path_name  # noqa: E402
from deltaloom.golden.models.synthetic import Shape, make_frames, make_network  # noqa: E402

NETWORKS = {
    "linear": [("linear", 7), ("linear", 3)],
    "gru": [("gru", 4), ("linear", 2)],
    "lstm": [Shape(kind="lstm", units=3, both=True, initial=True), ("lstm_peephole", 2)],
    "sru": [("sru", 5)],
}


@pytest.fixture(params=NETWORKS)
def file(request, tmp_path):
    make_network(NETWORKS[request.param], 5, threshold=0).save(tmp_path / "net")
    return tmp_path / "net"


def test_every_number_of_the_file(file):
    header, tensors = read_file(file)
    network = Network.load(file)
    assert (header["x_exponent"], header["delta_mode"]) == (network.x_exponent, network.delta_mode)
    names = set()
    for entry, layer in zip(header["layers"], network.layers, strict=True):
        at = f"layers.{entry['tensors']}"
        assert (entry["name"], entry["cell"]) == (layer.name, layer.kind)
        assert (entry["c_exponent"], entry["h_exponent"]) == (layer.c_exponent, layer.h_exponent)
        assert (entry["backward"], entry["h_from"]) == (layer.backward, layer.h_from)
        np.testing.assert_array_equal(tensors[f"{at}.bias"], layer.bias)
        for name in entry["vectors"]:
            np.testing.assert_array_equal(tensors[f"{at}.vectors.{name}"], layer.vectors[name])
        for name in entry["initial"]:
            np.testing.assert_array_equal(tensors[f"{at}.initial.{name}"], layer.initial[name])
        for k, (told, path) in enumerate(zip(entry["paths"], layer.paths, strict=True)):
            names.add(path_name(layer, k))
            assert (told["source"], tuple(told["gates"])) == (path.source, path.gates)
            assert (told["weight_bits"], told["threshold"]) == (path.weight_bits, path.threshold)
            for name in ("weights", "mult", "shift", "weight_scale"):
                np.testing.assert_array_equal(
                    tensors[f"{at}.paths.{k}.{name}"], getattr(path, name)
                )
    assert names == {name for name, _ in network.paths()}


def test_a_network_of_linear_layers_runs(tmp_path):
    network = make_network(NETWORKS["linear"], 5, threshold=0)
    network.save(tmp_path / "net")
    header, tensors = read_file(tmp_path / "net")
    frames = make_frames(5, 20)
    (result,) = engine.run(network, [frames])
    got = [run_linear(header, tensors, frame) for frame in frames]
    np.testing.assert_array_equal(got, result.outputs)
    features = np.random.default_rng(0).normal(size=(9, 5)) * 4
    features[0, :4] = [0.5 / 32768, -0.5 / 32768, 99, -99]
    wanted = engine.quantize_frames(network, features)
    np.testing.assert_array_equal(to_words(features, header, tensors), wanted)


def test_the_gates_of_a_cell_are_in_the_pages_order(tmp_path):
    """Of a first step, from states of zeros."""
    network = make_network([("gru", 4)], 5, threshold=0)
    network.save(tmp_path / "net")
    header, tensors = read_file(tmp_path / "net")
    entry = header["layers"][0]
    assert tuple(CELL_GATES["gru"]) == network.layers[0].cell.gates
    sources = {"x": make_frames(5, 1)[0], "h": np.zeros(4, np.int64)}
    assert pre_activations(entry, tensors, sources).shape == (4, 4)


def test_damage_is_found(tmp_path):
    make_network([("linear", 7)], 5).save(tmp_path / "net")
    content = bytearray((tmp_path / "net").read_bytes())
    content[-1] ^= 1
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_file(tmp_path / "net")
