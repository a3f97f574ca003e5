# SPDX-License-Identifier: Apache-2.0
"""A bidirectional checkpoint through the verbs, from its tensors to simulated hardware."""

import json

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.frames import choose_frames
from deltaloom.sim.simulate import simulate as simulate_design

INPUTS, UNITS, OUTPUTS = 5, 6, 3


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """MODEL, NET and D: torch's tensors of a bidirectional LSTM with a linear layer behind it."""
    folder = tmp_path_factory.mktemp("bidirectional")
    rng = np.random.default_rng(1)
    tensors = {"fc.weight": (OUTPUTS, 2 * UNITS), "fc.bias": (OUTPUTS,)}
    for end in ("", "_reverse"):
        tensors |= {
            f"rnn.weight_ih_l0{end}": (4 * UNITS, INPUTS),
            f"rnn.weight_hh_l0{end}": (4 * UNITS, UNITS),
            f"rnn.bias_ih_l0{end}": (4 * UNITS,),
            f"rnn.bias_hh_l0{end}": (4 * UNITS,),
        }
    arrays = {n: rng.normal(scale=0.4, size=s).astype(np.float32) for n, s in tensors.items()}
    np.savez(folder / "checkpoint.npz", **arrays)
    walk = np.cumsum(rng.normal(size=(18, INPUTS)), axis=0).astype(np.float32) / 4
    Dataset((walk[:7], walk[7:])).save(folder / "data.npz")
    model, net, data = folder / "model", folder / "net", folder / "data.npz"
    assert run("import", folder / "checkpoint.npz", "-o", model) == 0
    assert run("quantize", model, "--data", data, "-o", net) == 0
    return model, net, data


def test_the_network_runs_both_ways(files):
    layers = Network.load(files[1]).layers
    assert [layer.backward for layer in layers] == [False, True, False]
    assert layers[2].inputs == 2 * UNITS


def test_simulate(files, tmp_path, capsys):
    _, net, data = files
    options = ["--sim", "icarus", "--word-bits", 32, "--workdir", tmp_path, "--frames", 12]
    assert run("simulate", net, "--data", data, *options, "--json", tmp_path / "figures") == 0
    figures = json.loads((tmp_path / "figures").read_text())
    assert [r["mismatches"] for r in figures["runs"]] == [0, 0]
    assert figures["runs"][0]["words"] == 12 * OUTPUTS
    # The estimate, whose events are spread evenly.
    network = Network.load(net)
    frames = choose_frames(network, Dataset.load(data), 12)
    config = derive_config(network, word_bits=32, frames=max(map(len, frames)))
    found = estimate_cycles(network, config, [r.events for r in run_golden(network, frames)])
    assert found.cycles_per_step == pytest.approx(figures["runs"][0]["cycles_per_step"], rel=0.03)


def test_cycles_are_estimated(files, capsys):
    _, net, data = files
    assert run("evaluate", net, "--data", data, "--word-bits", 32) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("estimated cycles per step")]
    dense, delta = (float(line.split()[-1].replace(",", "")) for line in lines)
    assert dense == pytest.approx(delta, rel=0.1)  # threshold 0: nearly every element changes


def test_a_design_holds_the_longest_sequence_that_was_asked_for(files, tmp_path, capsys):
    _, net, data = files
    options = ["-o", tmp_path / "rtl", "--word-bits", 32, "--longest", 9]
    assert run("generate", net, *options) == 0
    assert "9 frames" in capsys.readouterr().out
    assert json.loads((tmp_path / "rtl" / "manifest.json").read_text())["sequence_frames"] == 9
    network = Network.load(net)
    frames = [quantize_frames(network, f) for f in Dataset.load(data).features]
    with pytest.raises(UserError, match=r"sequence 1 has 11 frames, .* buffer holds 9"):
        simulate_design(tmp_path / "rtl" / "deltaloom.v", network, frames, workdir=tmp_path)
    assert run("generate", net, "-o", tmp_path / "none", "--longest", 0) == 2
    assert "longest sequence: 0 is not possible" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
