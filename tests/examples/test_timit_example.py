# SPDX-License-Identifier: Apache-2.0
"""examples/timit, whole, on a made-up tree: prepare, train a tiny network, import, evaluate."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.corpora.timit_phones import CLASSES, FOLD
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_float_dataset
from deltaloom.golden.evaluation.metrics import read_fold
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint

FOLDER = Path(__file__).parents[2] / "examples" / "timit"


def script(name):
    """A script of the example as a module, with its folder on the path as Python has it there."""
    spec = importlib.util.spec_from_file_location(f"timit_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def prepared(timit_tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    tree = timit_tree.make_tree(folder / "tree", sentences=("SX5",))
    assert script("prepare").main([str(tree), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def trainer():
    """examples/timit/train.py; the path and the modules that it brings are taken away again."""
    pytest.importorskip("torch")
    before, known = [*sys.path], {*sys.modules}
    sys.path.insert(0, str(FOLDER))
    try:
        yield script("train")
    finally:
        sys.path[:] = before
        for name in {*sys.modules} - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER.parent)):
                del sys.modules[name]


def test_prepare(prepared):
    sizes = {part: len(Dataset.load(prepared / f"{part}.npz")) for part in ("train", "dev", "test")}
    assert sizes == {"train": 3, "dev": 50, "test": 24}
    calibration = Dataset.load(prepared / "calibration.npz")
    assert (len(calibration), calibration.label_names) == (3, CLASSES[48])
    assert read_fold(prepared / "fold.txt") == FOLD


def test_calibration_is_spread(prepared):
    data = Dataset.load(prepared / "dev.npz")
    few = script("prepare").spread(data, 4)
    assert few.names == tuple(data.names[n] for n in (0, 12, 25, 37))


def test_prepare_names_what_is_wrong(tmp_path, capsys):
    assert script("prepare").main([str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"prepare: {tmp_path / 'none'}: no such folder;")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("lstm", []),
        ("gru", []),
        ("ligru", []),
        ("sru", ["--projection", "7"]),
        ("sru", ["--projection", "7", "--without-skip"]),
    ],
)
def test_train_and_import(prepared, trainer, tmp_path, cell, words):
    """The imported model's outputs are those of the trained one."""
    import torch

    sizes = ["--layers", "2", "--units", "6", "--epochs", "1", *words]
    places = ["--data", str(prepared), "--out", str(tmp_path)]
    arguments = ["--cell", cell, *sizes, *places]
    assert trainer.main(arguments) == 0
    args = trainer.parse(arguments)
    torch.manual_seed(0)
    data = trainer.SPEECH.load_data_set(prepared / "train.npz")
    network, _ = trainer.train(args, data, data)
    network.eval()
    trainer.save_file(network.export(), tmp_path / "net.safetensors")
    options = ImportOptions(bidirectional=cell == "sru", without_skip="--without-skip" in words)
    model = import_checkpoint(tmp_path / "net.safetensors", options=options)
    assert sum(layer.backward for layer in model.layers) == 2
    dataset = Dataset.load(prepared / "train.npz")
    with torch.no_grad():
        expected = [network(x[None])[0].numpy() for x in data.features]
    for got, wanted in zip(run_float_dataset(model, dataset), expected, strict=True):
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_padding_changes_nothing(trainer):
    import torch

    x = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
    for cell in trainer.SHAPES:
        shape = trainer.Shape(2, 4, dropout=0.0, rate=0.1, projection=3)
        network = trainer.Classifier(cell, 5, 3, shape, True).eval()
        with torch.no_grad():
            together = network(x, torch.tensor([9, 6]))
            np.testing.assert_allclose(together[0], network(x[:1])[0], rtol=0, atol=1e-6)
            np.testing.assert_allclose(together[1, :6], network(x[1:, :6])[0], rtol=0, atol=1e-6)


def test_the_papers_sizes(trainer):
    """Weights of the matrices, which are nearly all: PAPERS' table, with its linear layers."""
    expected = {"lstm": 14_280_200, "gru": 13_965_050, "ligru": 10_019_900, "sru": 5_549_500}
    for cell, weights in expected.items():
        shape = trainer.SHAPES[cell]
        network = trainer.Classifier(cell, 23, 1904 if cell == "sru" else 1936, shape, True)
        count = sum(t.numel() for t in network.parameters() if t.ndim == 2)
        skip = 23 * 2 * 550 if cell == "sru" else 0  # the first layer's, which they do not count
        assert count - skip == weights


def test_evaluate(prepared, trainer, tmp_path, capsys):
    """The commands of the README, on a tiny LiGRU."""
    words = ["--cell", "ligru", "--layers", "2", "--units", "5", "--epochs", "1"]
    assert trainer.main([*words, "--data", str(prepared), "--out", str(tmp_path)]) == 0
    model, net, tuned = tmp_path / "model", tmp_path / "net", tmp_path / "tuned"
    checkpoint = tmp_path / "ligru.safetensors"
    assert cli.main(["import", str(checkpoint), "-o", str(model)]) == 0
    data = ["--data", str(prepared / "calibration.npz")]
    assert cli.main(["quantize", str(model), *data, "-o", str(net)]) == 0
    phone = ["--metric", "phone", "--fold", str(prepared / "fold.txt")]
    dev = ["--data", str(prepared / "dev.npz"), "--method", "uniform", "--workers", "1"]
    assert cli.main(["tune", str(net), *dev, *phone, "-o", str(tuned)]) == 0
    test = ["--data", str(prepared / "test.npz"), "--model", str(model)]
    assert cli.main(["evaluate", str(tuned), *test, *phone]) == 0
    assert "phone error" in capsys.readouterr().out
