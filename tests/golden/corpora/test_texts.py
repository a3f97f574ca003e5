# SPDX-License-Identifier: Apache-2.0
"""Loaders of texts, on made-up ones of the same form as IMDb's and the Penn Treebank's."""

import pickle
import zipfile

import numpy as np
import pytest

from deltaloom.golden.corpora.imdb import load_imdb
from deltaloom.golden.corpora.penn_treebank import load_penn_treebank
from deltaloom.golden.corpora.words import Vocabulary, class_data, language_data, words_of
from deltaloom.golden.errors import UserError


def test_words():
    text = "It's <br /><br />GOOD, isn\u2019t it? 10/10 (really)."
    wanted = "it's good , isn't it ? 10 10 ( really ) ."
    assert words_of(text) == wanted.split()


def test_vocabulary():
    words = Vocabulary.of([["b", "a", "a", "c"], ["c", "a", "<unk>", "d"]], 4)
    assert words.names == ("<unk>", "a", "c", "b")
    assert words.tokens(["a", "d", "<unk>", "b", "x"]).tolist() == [1, 0, 0, 3, 0]
    with pytest.raises(UserError, match="vocabulary: 1 words are not possible"):
        Vocabulary.of([["a"]], 1)


def test_language_data():
    data = language_data(np.arange(8), 3)
    assert [x.tolist() for x in data.features] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [y.tolist() for y in data.labels] == [[1, 2, 3], [4, 5, 6], [7]]
    assert data.task == "language" and not len(language_data(np.arange(1), 3))


def test_class_data():
    data = class_data([np.arange(5), np.arange(0), np.arange(2)], [1, 0, 0], ("neg", "pos"), 3)
    assert [x.tolist() for x in data.features] == [[2, 3, 4], [0, 1]]
    assert [y.tolist() for y in data.labels] == [[-1, -1, 1], [-1, 0]]
    assert data.label_names == ("neg", "pos")


def test_penn_treebank(tmp_path):
    texts = {"train": " a b a\n <unk> N a\n", "valid": " b\n", "test": " a c\n"}
    for part, text in texts.items():
        (tmp_path / f"ptb.{part}.txt").write_text(text)
    data, words = load_penn_treebank(tmp_path, length=5)
    assert words.names == ("<unk>", "a", "<eos>", "b", "N")
    train = [*data["train"].features, data["train"].labels[-1][-1:]]
    assert np.concatenate(train).tolist() == [1, 3, 1, 2, 0, 4, 1, 2]
    assert data["test"].features[0].tolist() == [1, 0] and data["test"].labels[0].tolist() == [0, 2]
    assert len(load_penn_treebank(tmp_path, size=3)[1]) == 3


def test_no_penn_treebank(tmp_path):
    with pytest.raises(UserError, match=r"ptb\.train\.txt: there is no such file; give the folder"):
        load_penn_treebank(tmp_path)
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text("\n \n")
    with pytest.raises(UserError, match="holds no word"):
        load_penn_treebank(tmp_path)


def tree(folder):
    for part in ("train", "test"):
        for name, text in (("neg", "Bad, bad film"), ("pos", "A good film<br />!")):
            (folder / part / name).mkdir(parents=True)
            (folder / part / name / "0_1.txt").write_text(text)


def test_imdb_folder(tmp_path):
    tree(tmp_path)
    data, words = load_imdb(tmp_path, size=4, length=3)
    assert words.names == ("<unk>", "bad", "film", ",")
    neg, pos = data["train"].features
    assert (neg.tolist(), pos.tolist()) == ([3, 1, 2], [0, 2, 0])
    assert [y.tolist() for y in data["test"].labels] == [[-1, -1, 0], [-1, -1, 1]]


def keras_file(file, reviews, labels):
    """As `np.savez` writes it, with one object array a part."""
    lists = np.empty(len(reviews), object)
    lists[:] = reviews
    parts = {"x_train": lists, "y_train": labels, "x_test": lists, "y_test": labels}
    np.savez(file, **parts)


def test_keras_file(tmp_path):
    keras_file(tmp_path / "imdb.npz", [[5, 1, 2], [3]], np.array([1, 0]))
    data, words = load_imdb(tmp_path / "imdb.npz", size=4)
    assert len(words) == 4
    assert [x.tolist() for x in data["train"].features] == [[0, 1, 2], [3]]
    assert [y.tolist() for y in data["test"].labels] == [[-1, -1, 1], [0]]


class Call:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    file = tmp_path / "imdb.npz"
    keras_file(file, [[1]], np.array([1]))
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head = members["x_train.npy"][: members["x_train.npy"].index(b"\n") + 1]
    members["x_train.npy"] = head + pickle.dumps(Call())
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"names builtins\.print, which is not run"):
        load_imdb(file)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("reviews", "labels", "message"),
    [
        ([["a"]], [1], "a review is no list of integers"),
        ([[1]], [2], "labels: expected 0 or 1 for each of 1 reviews"),
        ([[1], [2]], [1], "labels: expected 0 or 1 for each of 2 reviews"),
    ],
)
def test_another_file(tmp_path, reviews, labels, message):
    keras_file(tmp_path / "imdb.npz", reviews, np.array(labels))
    with pytest.raises(UserError, match=message):
        load_imdb(tmp_path / "imdb.npz")


def test_no_imdb(tmp_path):
    with pytest.raises(UserError, match=r"is neither the folder aclImdb.*keras\.datasets\.imdb$"):
        load_imdb(tmp_path / "none")
    with pytest.raises(UserError, match=r"neg: no \.txt files; give aclImdb's own tree"):
        load_imdb(tmp_path)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(UserError, match=r"x_train\.npy is missing"):
        load_imdb(tmp_path / "other.npz")
