# SPDX-License-Identifier: Apache-2.0
"""A language model on its way: import, quantize, tune, evaluate, generate, simulate, run."""

import json

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.importers.tensors.files import read_tensors
from deltaloom.golden.models.network import Network

COUNT, WIDTH, UNITS = 9, 4, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a language model's tensors, as nn.Embedding, nn.LSTM and nn.Linear name them,
    and data."""
    folder = tmp_path_factory.mktemp("tokens")
    rng = np.random.default_rng(0)
    shapes = {
        "embedding.weight": (COUNT, WIDTH),
        "lstm.weight_ih_l0": (4 * UNITS, WIDTH),
        "lstm.weight_hh_l0": (4 * UNITS, UNITS),
        "lstm.bias_ih_l0": (4 * UNITS,),
        "lstm.bias_hh_l0": (4 * UNITS,),
        "fc.weight": (COUNT, UNITS),
        "fc.bias": (COUNT,),
    }
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(folder / "lm.npz", **tensors)
    words = [rng.integers(0, COUNT, n + 1) for n in (8, 5, 6)]
    pairs = [w[:-1] for w in words], [w[1:] for w in words]
    Dataset(*map(tuple, pairs), task="language").save(folder / "data.npz")
    return folder


def perplexity(tensors, data):
    """By the equations of torch's documentation, in double precision."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    t = {name: array.astype(np.float64) for name, array in tensors.items()}
    bias = t["lstm.bias_ih_l0"] + t["lstm.bias_hh_l0"]
    losses = []
    for tokens, labels in zip(data.features, data.labels, strict=True):
        h = c = np.zeros(UNITS)
        for token, label in zip(tokens, labels, strict=True):
            x = t["embedding.weight"][token]
            p = t["lstm.weight_ih_l0"] @ x + t["lstm.weight_hh_l0"] @ h + bias
            i, f, g, o = p.reshape(4, UNITS)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y = t["fc.weight"] @ h + t["fc.bias"]
            losses.append(np.log(np.exp(y).sum()) - y[label])
    return np.exp(np.mean(losses))


def test_chain(model, tmp_path, run, capsys):
    file, net, data = tmp_path / "lm.safetensors", tmp_path / "net.safetensors", model / "data.npz"
    assert run("import", model / "lm.npz", "-o", file) == 0
    out = capsys.readouterr().out
    assert "9 tokens" in out
    assert (
        "embedding.weight (9 x 4 values): folded into the input weights of lstm.0, 9 columns of "
        "12 rows, one for each token (108 weights)" in out
    )
    assert run("quantize", file, "--data", data, "-o", net) == 0
    assert "input tokens" in capsys.readouterr().out
    words = ["--model", file, "--json", tmp_path / "out.json"]
    assert run("evaluate", net, "--data", data, *words) == 0
    out = capsys.readouterr().out
    assert "perplexity, quantized" in out and "tokens' columns" in out
    found = json.loads((tmp_path / "out.json").read_text())
    wanted = perplexity(read_tensors(model / "lm.npz").arrays, Dataset.load(data))
    assert found["float_error"] == pytest.approx(wanted, rel=1e-6)
    assert found["quantized_error"] == pytest.approx(wanted, rel=0.02)
    assert (found["metric"], found["task"]) == ("perplexity", "language")
    assert found["token_bits"] == 8 * 108
    assert run("tune", net, "--data", data, "-o", tmp_path / "tuned", "--method", "uniform") == 0
    tuned = dict(Network.load(tmp_path / "tuned").paths())
    assert tuned["lstm.0.x"].threshold == 0
    assert run("generate", net, "-o", tmp_path / "rtl") == 0
    facts = json.loads((tmp_path / "rtl/manifest.json").read_text())
    assert (facts["inputs"], facts["tokens"], facts["outputs"]) == (1, COUNT, COUNT)
    words = ["--sim", "icarus", "--frames", 6, "--word-bits", 32, "--idle", 0, "--backpressure", 0]
    assert run("simulate", net, "--data", data, "--workdir", tmp_path / "sim", *words) == 0
    assert "equal golden over 6 steps of 2 sequences" in capsys.readouterr().out
    assert run("run", net, "--data", data, "--port", "golden") == 0


@pytest.mark.parametrize("made", ["model", "network"])
def test_search_and_sweep(model, tmp_path, run, made):
    """Tokens have no threshold; a model and a network of them can be searched."""
    file, net, data = tmp_path / "lm", tmp_path / "net", model / "data.npz"
    assert run("import", model / "lm.npz", "-o", file) == 0
    assert run("quantize", file, "--data", data, "-o", net) == 0
    given = [file, "--data", data] if made == "model" else [net]
    words = ["--thresholds", "0,20", "--evaluations", 4, "--workers", 1, "-o", tmp_path / "found"]
    assert run("search", *given, "--tune-data", data, *words) == 0
    front = json.loads((tmp_path / "found" / "front.json").read_text())["front"]
    assert {one["thresholds"]["lstm.0.x"] for one in front} == {0}
    assert run("sweep", *given, "--test", data, "--thresholds", "0,20") == 0


def test_finetune_refuses_tokens(model, tmp_path, run, error, capsys):
    pytest.importorskip("torch")
    file, net, data = tmp_path / "lm", tmp_path / "net", model / "data.npz"
    run("import", model / "lm.npz", "-o", file)
    run("quantize", file, "--data", data, "-o", net)
    capsys.readouterr()
    words = ["--model", file, "--data", data, "--tune-data", data, "-o", tmp_path / "out"]
    assert run("finetune", net, *words) == 2
    assert error().startswith("tokens: networks whose frames are tokens cannot be trained on yet")
    assert not (tmp_path / "out").exists()


def test_what_is_no_token(model, tmp_path, run, error, capsys):
    run("import", model / "lm.npz", "-o", tmp_path / "m")
    run("quantize", tmp_path / "m", "--data", model / "data.npz", "-o", tmp_path / "net")
    capsys.readouterr()
    Dataset((np.array([3, COUNT]),)).save(tmp_path / "beyond.npz")
    Dataset((np.zeros((3, COUNT), np.float32),)).save(tmp_path / "features.npz")
    for data, message in (
        ("beyond.npz", "tokens of sequence 0: 9 in frame 1, the network knows 0..8; map what it"),
        ("features.npz", "features: the network takes tokens, integers 0..8, one a frame; give"),
    ):
        assert run("evaluate", tmp_path / "net", "--data", tmp_path / data) == 2
        assert error().startswith(message)
