# SPDX-License-Identifier: Apache-2.0
"""`deltaloom import`: the options that tell what a file does not."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.models.float_model import FloatModel

LIGRU = {
    f"{name}.0.weight": np.full(shape, 0.5, np.float32)
    for name, shape in {"wh": (3, 2), "wz": (3, 2), "uh": (3, 3), "uz": (3, 3)}.items()
}
SRU = {
    "rnn_lst.0.weight": np.ones((2, 6), np.float32),
    "rnn_lst.0.bias": np.ones(4, np.float32),
}
GRU = {"gru/kernel": np.ones((2, 9)), "gru/recurrent_kernel": np.ones((3, 9))}


@pytest.fixture
def run(tmp_path, capsys):
    """The exit code, the imported model or None, and what was printed."""

    def go(tensors, *words):
        np.savez(tmp_path / "net.npz", **tensors)
        out = tmp_path / "model.safetensors"
        code = cli.main(["import", str(tmp_path / "net.npz"), "-o", str(out), *words])
        printed = capsys.readouterr()
        return code, FloatModel.load(out) if code == 0 else None, printed.out + printed.err

    return go


def test_help_lists_the_formats(capsys):
    assert cli.main(["import", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in (".pt", ".safetensors", ".npz", ".h5", ".onnx", "SpeechBrain", "PyTorch-Kaldi"):
        assert word in text
    for option in ("--candidate-scale", "--without-skip", "--reset", "--order"):
        assert option in text


def test_candidate_scale(run):
    code, model, _ = run(LIGRU, "--candidate-scale", "0.5")
    assert code == 0
    for path in model.layers[0].paths:
        rows = dict(zip(path.gates, path.weights, strict=True))
        assert (rows["a"] == 0.25).all() and (rows["z"] == 0.5).all()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("much", "candidate scale much: give numbers with commas between, as in 0.8,0.8,1"),
        ("0.8,", "candidate scale 0.8,: give numbers with commas between, as in 0.8,0.8,1"),
        ("0.8,1", "candidate scale 0.8,1: 2 for 1 layers with a candidate"),
        ("2", "candidate scale 2: it is 1 - dropout, above 0 and at most 1"),
    ],
)
def test_wrong_candidate_scale(run, text, line):
    code, _, printed = run(LIGRU, "--candidate-scale", text)
    assert code == 2 and line in printed


def test_without_skip(run):
    code, model, printed = run(SRU, "--without-skip")
    assert code == 0 and model.layers[0].kind == "sru0"
    assert "one direction is assumed" in printed
    assert run(SRU)[1].layers[0].kind == "sru4"


@pytest.mark.parametrize(("reset", "kind"), [("after", "gru"), ("before", "gru_before")])
def test_reset(run, reset, kind):
    code, model, printed = run(GRU, "--reset", reset)
    assert code == 0 and model.layers[0].kind == kind
    assert "one direction" not in printed
    code, _, printed = run(GRU)
    assert code == 2 and "say --reset after (Keras's default) or --reset before" in printed
