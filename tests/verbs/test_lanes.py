# SPDX-License-Identifier: Apache-2.0
"""Delta modes and kinds of lanes on the command line."""

import json

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network


@pytest.fixture
def network(tmp_path):
    """A network in the mode power_of_two, as `deltaloom quantize` writes it; and its data."""
    rng = np.random.default_rng(0)
    path = FloatPath(source="x", gates=("y",), weights=rng.normal(size=(1, 4, 3)).astype("f"))
    layer = FloatLayer(name="y", kind="linear", paths=(path,), bias=np.ones((1, 4), np.float32))
    FloatModel(layers=(layer,)).save(tmp_path / "model")
    still = np.repeat(rng.normal(size=(4, 3)), 3, axis=0)  # every value for three frames
    Dataset((still.astype("f"),)).save(tmp_path / "data.npz")
    words = ["--data", tmp_path / "data.npz", "-o", tmp_path / "net"]
    assert run("quantize", tmp_path / "model", *words, "--delta-mode", "power_of_two") == 0
    return tmp_path / "net"


def run(*words):
    return cli.main([str(word) for word in words])


def test_quantize_stores_the_mode(network):
    assert Network.load(network).delta_mode == "power_of_two"


def test_evaluate_runs_the_mode_with_threshold_zero(network, tmp_path, capsys):
    capsys.readouterr()
    json_file = tmp_path / "out.json"
    assert run("evaluate", network, "--data", tmp_path / "data.npz", "--json", json_file) == 0
    facts = json.loads(json_file.read_text())
    # More events than changes: what a power of two leaves is sent in later steps.
    assert facts["eliminated_operations"] < facts["eliminated_lossless"]


@pytest.mark.parametrize("lanes", ["multiplier", "shift_add"])
def test_generate_and_simulate(lanes, network, tmp_path, capsys):
    folder = tmp_path / "rtl"
    options = ["--lanes", lanes, "--word-bits", 32]
    assert run("generate", network, "-o", folder, *options) == 0
    config = json.loads((folder / "manifest.json").read_text())["config"]
    assert (config["lane_kind"], config["delta_modes"]) == (lanes, ["power_of_two"])
    assert f"{lanes} lanes" in capsys.readouterr().out
    words = ["--data", tmp_path / "data.npz", "--sim", "icarus", "--workdir", tmp_path / "sim"]
    assert run("simulate", network, *words, *options) == 0


def test_unknown_lanes(network, tmp_path, capsys):
    assert run("generate", network, "-o", tmp_path / "rtl", "--lanes", "serial") == 2
    assert "choose from 'multiplier', 'shift_add'" in capsys.readouterr().err
