# SPDX-License-Identifier: Apache-2.0
"""`deltaloom quantize`: its file, its tables, its errors."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import fidelity
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.presets import preset
from deltaloom.golden.quantization.quantize import Scheme, quantize


@pytest.fixture
def files(tmp_path):
    """MODEL and D: one linear layer [2 of 3] named "a.[b]", and ten frames."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, 2, 3)).astype(np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    bias = np.ones((1, 2), np.float32)
    layer = FloatLayer(name="a.[b]", kind="linear", paths=(path,), bias=bias)
    model, data = tmp_path / "model", tmp_path / "data.npz"
    FloatModel(layers=(layer,)).save(model)
    Dataset((rng.normal(size=(10, 3)).astype(np.float32),), label_names=("no", "yes")).save(data)
    return model, data


def run(model, data, *words):
    return cli.main(["quantize", str(model), "--data", str(data), *map(str, words)])


def test_defaults(files, tmp_path, capsys):
    assert run(*files, "-o", tmp_path / "net") == 0
    network = Network.load(tmp_path / "net")
    expected = quantize(FloatModel.load(files[0]), Dataset.load(files[1]))
    (path,), (wanted,) = network.layers[0].paths, expected.layers[0].paths
    np.testing.assert_array_equal(path.weights, wanted.weights)
    assert (path.weight_bits, path.quantizer, path.threshold) == (8, wanted.quantizer, 0)
    assert network.labels == ("no", "yes")
    out = capsys.readouterr()
    assert out.out.count("a.[b].x") == 2  # one row in each table
    assert "Calibrated on 10 frames: input Q" in out.out
    assert out.err == ""
    assert max(map(len, out.out.splitlines())) <= max(80, 30 + len(str(tmp_path / "net")))


def test_options(files, tmp_path):
    bits = ["--weight-bits", 2, "--activation-bits", 4]
    rest = ["--granularity", "tensor", "--clipping", "max", "--threshold", 3]
    assert run(*files, "-o", tmp_path / "net", *bits, *rest) == 0
    (path,) = Network.load(tmp_path / "net").layers[0].paths
    scheme = Scheme(weight_bits=2, activation_bits=4, granularity="tensor", clipping="max")
    wanted = quantize(FloatModel.load(files[0]), Dataset.load(files[1]), scheme)
    np.testing.assert_array_equal(path.weights, wanted.layers[0].paths[0].weights)
    assert (path.weight_bits, path.quantizer.bits, path.threshold) == (2, 4, 3)
    assert len(set(path.weight_scale.flat)) == 1


def test_the_smallest_bits_are_found(files, tmp_path, capsys):
    auto = ["--scheme", "auto", "--target-error", -25]
    assert run(*files, "-o", tmp_path / "net", *auto) == 0
    network = Network.load(tmp_path / "net")
    assert nmse_of(network, files) <= -25
    (path,) = network.layers[0].paths
    assert path.weight_bits * path.quantizer.bits < 8 * 8
    out = capsys.readouterr().out
    assert "Smallest bits on 10 frames: NMSE to float" in out and "at most -25.00 dB" in out


def nmse_of(network, files):
    data = Dataset.load(files[1])
    return fidelity(network, data, FloatModel.load(files[0])).nmse


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "auto"], "--scheme auto: needs --target-error X"),
        (["--target-error", "1"], "--target-error: only for --scheme auto"),
        (["--scheme", "4-bit", "--tune-data", "x"], "--tune-data: only for --scheme auto"),
        (
            ["--scheme", "auto", "--target-error", "-9", "--weight-bits", "4"],
            "--weight-bits: --scheme auto finds the bits",
        ),
        (
            ["--scheme", "auto", "--target-error", "0.5"],
            "target error: 0.5 is over the float model's error, and no frame",
        ),
        (
            ["--scheme", "auto", "--target-error", "-25", "--path", "a.[b].x=4/4"],
            "scheme: every path has its bits",
        ),
    ],
)
def test_options_of_the_smallest_bits_are_checked(files, tmp_path, capsys, options, message):
    assert run(*files, "-o", tmp_path / "net", *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("which", [0, 1])
def test_inputs_are_not_overwritten(files, capsys, which):
    before = files[which].read_bytes()
    assert run(*files, "-o", files[which]) == 2
    assert "is an input itself; name another file" in capsys.readouterr().err
    assert files[which].read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "256"], "threshold: 256 is not possible, it must be 0..255"),
        (["--threshold", "-1"], "threshold: -1 is not possible, it must be 0..255"),
        (["--weight-bits", "17"], "--weight-bits: invalid choice: 17"),
        (["--granularity", "cell"], "--granularity: invalid choice: 'cell'"),
    ],
)
def test_errors_write_nothing(files, tmp_path, capsys, options, message):
    assert run(*files, "-o", tmp_path / "net", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "net").exists()


def test_wrong_data(files, tmp_path, capsys):
    np.save(tmp_path / "wide.npy", np.zeros((4, 5)))
    assert run(files[0], tmp_path / "wide.npy", "-o", tmp_path / "net") == 2
    assert capsys.readouterr().err == (
        "deltaloom: features: 5 per frame, the network takes 3; give the data it was trained on\n"
    )
    assert run(files[0], tmp_path / "none.npz", "-o", tmp_path / "net") == 2
    assert "none.npz: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--scheme", "auto", "--target-error", "-9"]])
def test_data_without_frames(files, tmp_path, capsys, more):
    none = {"features": np.zeros((0, 3), np.float32), "lengths": np.zeros(0, np.int64)}
    np.savez(tmp_path / "none.npz", **none)
    assert run(files[0], tmp_path / "none.npz", "-o", tmp_path / "net", *more) == 2
    error = capsys.readouterr().err
    assert error == "deltaloom: calibration data: no frames; give some typical sequences\n"
    assert not (tmp_path / "net").exists()


@pytest.fixture
def gru(tmp_path):
    """MODEL and D: GRU layers a.0 and a.1 of 3 units on 2 inputs, and ten frames."""
    rng = np.random.default_rng(0)
    layers = []
    for n, inputs in enumerate((2, 3)):
        shapes = {"x": (("r", "z", "nx"), inputs), "h": (("r", "z", "nh"), 3)}
        paths = tuple(
            FloatPath(source=s, gates=g, weights=rng.normal(size=(3, 3, c)).astype(np.float32))
            for s, (g, c) in shapes.items()
        )
        bias = np.zeros((4, 3), np.float32)
        layers.append(FloatLayer(name=f"a.{n}", kind="gru", paths=paths, bias=bias))
    FloatModel(layers=tuple(layers)).save(tmp_path / "model")
    Dataset((rng.normal(size=(10, 2)).astype(np.float32),)).save(tmp_path / "data.npz")
    return tmp_path / "model", tmp_path / "data.npz"


def bits(file):
    return {n: f"{p.weight_bits}/{p.quantizer.bits}" for n, p in Network.load(file).paths()}


def test_skip_and_single_paths(gru, tmp_path, capsys):
    options = ["--skip", "part", "--weight-bits", 4]
    single = ["--path", "a.1.h=2/4", "--path", "a.1.x.znx=16/8"]
    assert run(*gru, "-o", tmp_path / "net", *options, *single) == 0
    assert bits(tmp_path / "net") == {
        "a.0.x": "4/8",
        "a.0.h.rz": "4/8",
        "a.0.h.nh": "16/16",
        "a.1.x.r": "4/8",
        "a.1.x.znx": "16/8",
        "a.1.h": "2/4",
    }
    assert "a.1.x.znx" in capsys.readouterr().out


def test_preset_with_method_and_single_path(gru, tmp_path):
    options = ["--scheme", "M7", "--method", "paper", "--skip", "none", "--path", "a.1.x=16/8"]
    assert run(*gru, "-o", tmp_path / "net", *options) == 0
    # No linear layer, so no output.
    expected = {"a.0.x": "8/8", "a.0.h": "4/4", "a.1.x": "16/8", "a.1.h": "2/4"}
    assert bits(tmp_path / "net") == expected
    for _, path in Network.load(tmp_path / "net").paths():
        assert (path.weight_scale == path.weight_scale[:, :1]).all()


def test_scheme_file(gru, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('preset = "4-bit"\nmethod = "gptq"\n[paths]\na.1.h.r = "3/5"\n')
    options = ["--scheme", file, "--rounding", "nearest", "--activation-codes", "asymmetric"]
    assert run(*gru, "-o", tmp_path / "net", *options) == 0
    network = Network.load(tmp_path / "net")
    assert bits(tmp_path / "net") == {
        "a.0.x": "4/4",
        "a.0.h.rz": "4/4",
        "a.0.h.nh": "16/16",
        "a.1.x": "4/4",
        "a.1.h.z": "4/4",
        "a.1.h.nh": "16/16",
        "a.1.h.r": "3/5",
    }
    assert network.layers[0].paths[0].quantizer.zero_point != 0
    rules = {"rounding": "nearest", "activation_codes": "asymmetric"}
    scheme = preset("4-bit", overrides={"a.1.h.r": (3, 5)}, **rules)
    wanted = quantize(FloatModel.load(gru[0]), Dataset.load(gru[1]), scheme)
    for (_, path), (_, other) in zip(network.paths(), wanted.paths(), strict=True):
        np.testing.assert_array_equal(path.weights, other.weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "M9"], "scheme 'M9': no such scheme; give a FILE.toml or one of 16-bit, "),
        (["--scheme", "M1", "--weight-bits", 4], "weight_bits: a preset has its own bits; "),
        (["--scheme", "no.toml"], "no.toml: cannot be read (No such file"),
        (["--clipping", "percentile:101"], "clipping: 'percentile:101' is not possible"),
        (["--method", "best"], "--method: invalid choice: 'best'"),
        (["--skip", "some"], "--skip: invalid choice: 'some'"),
        (["--path", "a.0.h"], "--path 'a.0.h': expected NAME=W/A, such as lstm.1.h=4/8"),
        (["--path", "a.0.h=8"], "--path 'a.0.h=8': expected NAME=W/A"),
        (["--path", "a.0.h=8/"], "--path 'a.0.h=8/': expected NAME=W/A"),
        (["--path", "a.0.h=-8/8"], "--path 'a.0.h=-8/8': expected NAME=W/A"),
        (["--path", "=8/8"], "--path '=8/8': expected NAME=W/A"),
        (["--path", "a.0.h=8/1"], "activation bits of a.0.h: 1 is not possible, it must be one of"),
        (
            ["--path", "a.2.h=8/8"],
            "path 'a.2.h': no such path; paths: a.0.x, a.0.h, a.1.x, a.1.h, and parts of them by",
        ),
    ],
)
def test_paths_that_cannot_be(gru, tmp_path, capsys, options, message):
    assert run(*gru, "-o", tmp_path / "net", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "net").exists()


def test_warnings_and_saturation(tmp_path, capsys, make_pair, cells):
    """Shown after the tables by quantize, evaluate and tune; each in one line on stderr."""
    model, net, data = map(str, make_pair(tmp_path))
    words = ["quantize", model, "--data", data, "-o", net]
    assert cli.main([*words, "--path", "lstm.h=2/8", "--rounding", "nearest"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("warning: products of lstm.h ") and err.count("\n") == 1
    assert {"input", "lstm", "out"} <= cells(out).keys()
    for verb in (["evaluate", net], ["tune", net, "--workers", "1", "--method", "uniform"]):
        assert cli.main([*verb, "--data", data, "--model", model]) == 0
        out, again = capsys.readouterr()
        assert err in again and {"input", "lstm", "out"} <= cells(out).keys()
