# SPDX-License-Identifier: Apache-2.0
"""Data sets: files of every kind, and every way a file can be wrong."""

import re

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError

ARRAYS = {
    "features": np.arange(12, dtype=np.float16).reshape(6, 2),
    "lengths": np.array([2, 0, 4], np.int32),
    "labels": np.array([-1, 1, 0, 2, -1, 0], np.int16),
    "label_names": np.array(["a", "b", "c"]),
    "task": np.array("classification"),
    "names": np.array(["first", "empty", "last"]),
}


def saved(folder, **changes):
    """A file of ARRAYS with some changed, or left out where they are None."""
    arrays = {k: v for k, v in (ARRAYS | changes).items() if v is not None}
    np.savez_compressed(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_whole_file(tmp_path):
    data = Dataset.load(saved(tmp_path))
    assert (len(data), data.inputs, data.frames, data.scored) == (3, 2, 6, 4)
    assert [x.tolist() for x in data.features] == [
        [[0, 1], [2, 3]],
        [],
        [[4, 5], [6, 7], [8, 9], [10, 11]],
    ]
    assert data.features[1].shape == (0, 2)
    assert {x.dtype for x in data.features} == {np.dtype(np.float32)}
    assert [y.tolist() for y in data.labels] == [[-1, 1], [], [0, 2, -1, 0]]
    assert data.label_names == ("a", "b", "c")
    assert data.names == ("first", "empty", "last")
    assert data.task == "classification"


def test_unlabelled(tmp_path):
    file = saved(tmp_path, labels=None, label_names=None, task=None, names=None)
    data = Dataset.load(file)
    assert (data.labels, data.label_names, data.names, data.scored) == (None, (), (), 0)
    assert [len(x) for x in data.features] == [2, 0, 4]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_one_sequence(tmp_path, dtype):
    np.save(tmp_path / "one.npy", np.array([[1, 2], [3, 4]], dtype))
    data = Dataset.load(tmp_path / "one.npy")
    assert len(data) == 1 and data.labels is None
    assert data.features[0].tolist() == [[1, 2], [3, 4]]


def test_no_sequences(tmp_path):
    file = saved(
        tmp_path,
        features=np.zeros((0, 2), np.float32),
        lengths=np.zeros(0, np.int32),
        labels=np.zeros(0, np.int16),
        names=None,
    )
    data = Dataset.load(file)
    assert (len(data), data.frames, data.scored) == (0, 0, 0)
    data.check_width(7)


def test_save_and_load(tmp_path):
    data = Dataset.load(saved(tmp_path))
    data.save(tmp_path / "again.npz")
    again = Dataset.load(tmp_path / "again.npz")
    assert again.names == data.names and again.label_names == data.label_names
    for a, b in zip(data.features, again.features, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    for a, b in zip(data.labels, again.labels, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_subset(tmp_path):
    part = Dataset.load(saved(tmp_path)).subset([2, 0])
    assert part.names == ("last", "first")
    assert [len(x) for x in part.features] == [4, 2] == [len(y) for y in part.labels]


@pytest.mark.parametrize(
    ("frames", "chunks"),
    [(1, [[0], [2], [3], [1]]), (5, [[0, 2], [3, 1]]), (6, [[0, 2], [3, 1]]), (99, [[0, 2, 3, 1]])],
)
def test_chunks_hold_each_sequence_once_longest_first(frames, chunks):
    data = Dataset(tuple(np.zeros((n, 1), np.float32) for n in (4, 0, 3, 2)))
    assert list(data.chunks(frames)) == chunks


NAN = ARRAYS["features"].copy()
NAN[3, 1] = np.nan
INFINITE = ARRAYS["features"].copy()
INFINITE[0, 0] = -np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"features": NAN},
            "features: nan in frame 1 of sequence 2 (last) (row 3), input 1; 1 val",
        ),
        (
            {"features": INFINITE, "names": None},
            "features: -inf in frame 0 of sequence 0 (row 0), ",
        ),
        ({"features": np.full((6, 2), 1e300)}, "features: inf in frame 0"),
        ({"features": None}, "no `features`; a data set holds features [frames, inputs] and len"),
        ({"features": np.zeros(6)}, "features: float64 (6,), expected numbers [frames, inputs]"),
        ({"features": np.zeros((6, 0))}, "features of sequence 0 (first): shape (2, 0), expected"),
        ({"features": np.array([["a"] * 2] * 6)}, "features: <U1 (6, 2), expected numbers"),
        ({"lengths": np.array([2, 3])}, "lengths: they sum to 5, features has 6 frames; each"),
        (
            {"lengths": np.array([7, -1])},
            "lengths: expected one integer of at least 0 per sequence",
        ),
        ({"lengths": np.array([2.0, 4.0])}, "lengths: expected one integer of at least 0"),
        ({"lengths": np.array(6)}, "lengths: expected one integer of at least 0 per sequence"),
        (
            {"lengths": np.array([2**62] * 4 + [6])},
            f"lengths: they sum to {2**64 + 6}, features has 6 frames",
        ),
        ({"lengths": np.array([2**63, 2**63, 6], np.uint64)}, f"lengths: they sum to {2**64 + 6}"),
        ({"label_names": np.array("abc")}, "label_names: <U3 (), expected a list of texts"),
        ({"label_names": np.arange(3)}, "label_names: int64 (3,), expected a list of texts"),
        ({"names": np.array("abc")}, "names: <U3 (), expected a list of texts"),
        ({"names": np.array([["a"]] * 3)}, "names: <U1 (3, 1), expected a list of texts"),
        ({"task": np.array(["classification"])}, "task: <U14 (1,), expected one text"),
        ({"task": np.array(3)}, "task: int64 (), expected one text"),
        ({"labels": np.zeros(5, int)}, "labels: int64 (5,), expected integers [6], one a frame"),
        ({"labels": np.zeros(6)}, "labels: float64 (6,), expected integers [6], one a frame"),
        (
            {"labels": np.array([0, 0, 0, 3, 0, 0])},
            "labels of sequence 2 (last): 3, expected -1..2",
        ),
        (
            {"labels": np.array([-2, 0, 0, 0, 0, 0])},
            "labels of sequence 0 (first): -2, expected -1",
        ),
        ({"names": np.array(["one"])}, "names: 1 for 3 sequences, one each is needed"),
        (
            {"task": np.array("ranking")},
            "task: 'ranking' is not supported, it must be classification",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    file = saved(tmp_path, **changes)
    with pytest.raises(UserError, match=re.escape(f"{file}: {message}")) as caught:
        Dataset.load(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_truncated_files(tmp_path, part, suffix):
    file = tmp_path / f"data.{suffix}"
    if suffix == "npz":
        saved(tmp_path)
    else:
        np.save(file, ARRAYS["features"])
    whole = file.read_bytes()
    file.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(
        UserError, match=r"not a whole \.npz or \.npy file \(.+\); make it anew"
    ) as e:
        Dataset.load(file)
    assert "\n" not in str(e.value)


def test_damaged_file(tmp_path):
    file = saved(tmp_path, features=np.random.default_rng(0).normal(size=(6, 2)))
    content = bytearray(file.read_bytes())
    content[60:90] = bytes(30)
    file.write_bytes(content)
    with pytest.raises(UserError, match="not a whole"):
        Dataset.load(file)


def test_other_files(tmp_path):
    with pytest.raises(UserError, match=r"none.npz: no such file; give a .npz data set or a .npy"):
        Dataset.load(tmp_path / "none.npz")
    with pytest.raises(
        UserError, match=r"is a folder, a file is wanted; give a .npz data set or a"
    ):
        Dataset.load(tmp_path)
    (tmp_path / "text.npz").write_text("hello, I am a text\n")
    with pytest.raises(UserError, match="not a whole"):
        Dataset.load(tmp_path / "text.npz")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(UserError, match="not a whole"):
        Dataset.load(tmp_path / "objects.npy")


def test_width_classes_and_label_names(tmp_path):
    data = Dataset.load(saved(tmp_path))
    data.check_width(2)
    with pytest.raises(UserError, match="features: 2 per frame, the network takes 40; give the"):
        data.check_width(40)
    data.check_outputs(3)
    with pytest.raises(UserError, match=r"labels: class 2, the network has outputs 0\.\.1"):
        data.check_outputs(2)
    data.check_labels(())
    data.check_labels(["a", "b", "c"])
    with pytest.raises(UserError, match="class 1 is b in the data and B in the network"):
        data.check_labels(["a", "B", "c"])
    with pytest.raises(UserError, match="class 2 is c in the data and nothing in the network"):
        data.check_labels(["a", "b"])


def test_sequences_of_different_width():
    with pytest.raises(UserError, match=r"features of sequence 1: shape \(1, 3\), expected"):
        Dataset((np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32)))
    with pytest.raises(UserError, match=r"labels of sequence 0: shape \(2,\), expected \[1\]"):
        Dataset((np.zeros((1, 2), np.float32),), (np.zeros(2, np.int64),))
    with pytest.raises(UserError, match="labels: 0 for 1 sequences"):
        Dataset((np.zeros((1, 2), np.float32),), ())


TARGETS = np.arange(18, dtype=np.float64).reshape(6, 3) / 4


def regression(folder, **changes):
    nothing = dict.fromkeys(("labels", "label_names", "task"))
    return saved(folder, **nothing | {"targets": TARGETS} | changes)


@pytest.mark.parametrize("task", [None, np.array("regression")])
def test_regression(tmp_path, task):
    data = Dataset.load(regression(tmp_path, task=task))
    assert (data.task, data.labels, data.scored) == ("regression", None, 6)
    assert [y.dtype for y in data.targets] == [np.float32] * 3
    assert [y.tolist() for y in data.targets] == [TARGETS[:2].tolist(), [], TARGETS[2:].tolist()]
    data.save(tmp_path / "again.npz")
    again = Dataset.load(tmp_path / "again.npz").subset([2, 1])
    assert [y.tolist() for y in again.targets] == [TARGETS[2:].tolist(), []]
    assert again.task == "regression"
    data.check_outputs(3)
    with pytest.raises(UserError, match="targets: 3 per frame, the network has 2 outputs; give"):
        data.check_outputs(2)


def test_regression_without_targets(tmp_path):
    data = Dataset.load(regression(tmp_path, targets=None, task=np.array("regression")))
    assert (data.task, data.targets, data.scored) == ("regression", None, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": TARGETS[:5]}, "targets: float64 (5, 3), expected numbers [6, outputs], one "),
        ({"targets": TARGETS[:, 0]}, "targets: float64 (6,), expected numbers [6, outputs]"),
        ({"targets": TARGETS[:, :0]}, "targets of sequence 0 (first): shape (2, 0), expected [2, "),
        (
            {"targets": TARGETS * 1e300},
            "targets: inf in frame 0 of sequence 0 (first) (row 0), out",
        ),
        ({"labels": ARRAYS["labels"]}, "labels: not for the task regression, only for classific"),
        (
            {"task": np.array("classification")},
            "targets: not for the task classification, only for regression",
        ),
    ],
)
def test_what_is_wrong_with_targets_is_named(tmp_path, changes, message):
    file = regression(tmp_path, **changes)
    with pytest.raises(UserError, match=re.escape(f"{file}: {message}")):
        Dataset.load(file)


def test_targets_of_different_width():
    x = np.zeros((1, 2), np.float32)
    with pytest.raises(
        UserError, match=r"targets of sequence 1: shape \(1, 2\), expected \[1, 1\]"
    ):
        Dataset((x, x), task="regression", targets=(x[:, :1], x))
    with pytest.raises(UserError, match="targets: 1 for 2 sequences, one each is needed"):
        Dataset((x, x), task="regression", targets=(x,))


def test_offset(tmp_path):
    features = (np.zeros((2, 1), np.float32), np.zeros((1, 1), np.float32))
    offset = (np.array([[1, 2], [3, 4]], np.float32), np.array([[5, 6]], np.float32))
    data = Dataset(features, offset=offset)
    data.save(tmp_path / "d.npz")
    loaded = Dataset.load(tmp_path / "d.npz")
    assert [y.tolist() for y in loaded.offset] == [y.tolist() for y in offset]
    assert [y.tolist() for y in loaded.subset([1]).offset] == [[[5, 6]]]
    loaded.check_outputs(2)
    with pytest.raises(UserError, match="offset: 2 per frame, the network has 3 outputs; give"):
        loaded.check_outputs(3)
    with pytest.raises(UserError, match="offset: 1 for 2 sequences, one each is needed"):
        Dataset(features, offset=offset[:1])
    with pytest.raises(UserError, match=r"offset of sequence 1: shape \(2, 2\), expected \[1, 2\]"):
        Dataset(features, offset=(offset[0], offset[0]))
    with pytest.raises(UserError, match=r"offset: inf in frame 0 of sequence 1 \(row 2\), output"):
        Dataset(features, offset=(offset[0], np.array([[np.inf, 0]], np.float32)))
    np.savez(tmp_path / "bad.npz", features=np.zeros((3, 1)), offset=np.zeros((2, 1)))
    with pytest.raises(UserError, match=r"offset: float64 \(2, 1\), expected numbers \[3, outputs"):
        Dataset.load(tmp_path / "bad.npz")


def test_first_frames():
    features = tuple(np.full((n, 2), n, np.float32) for n in (3, 0, 4, 5))
    labels = tuple(np.arange(len(x)) for x in features)
    data = Dataset(features, labels, names=tuple("abcd"))
    some = data.first(5)
    assert [len(x) for x in some.features] == [3, 2] and some.names == ("a", "c")
    assert [y.tolist() for y in some.labels] == [[0, 1, 2], [0, 1]]
    assert data.first(99).frames == 12 and len(data.first(0)) == 0


# Tokens


def test_tokens(tmp_path):
    tokens = (np.array([3, 0, 5]), np.zeros(0, np.int64), np.array([7]))
    labels = (np.array([0, -1, 1]), np.zeros(0, np.int64), np.array([2]))
    data = Dataset(tokens, labels, task="language")
    assert (data.tokens, data.inputs, data.frames, data.scored) == (True, 1, 4, 3)
    data.save(tmp_path / "data.npz")
    again = Dataset.load(tmp_path / "data.npz")
    assert again.task == "language" and again.tokens
    for mine, theirs in ((again.features, tokens), (again.labels, labels)):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
    np.testing.assert_array_equal(data.subset([2, 0]).features[1], tokens[0])
    assert [len(x) for x in data.first(2).features] == [2]
    assert not Dataset((np.zeros((3, 2), np.float32),)).tokens


def test_tokens_of_one_sequence(tmp_path):
    np.save(tmp_path / "text.npy", np.array([3, 1, 4]))
    (tokens,) = Dataset.load(tmp_path / "text.npy").features
    assert tokens.tolist() == [3, 1, 4]


def test_one_label_a_sequence_is_its_last_frames(tmp_path):
    arrays = {"tokens": np.arange(6), "lengths": np.array([3, 2, 1])}
    np.savez(tmp_path / "data.npz", **arrays, labels=np.array([4, 0, 1]))
    data = Dataset.load(tmp_path / "data.npz")
    assert [y.tolist() for y in data.labels] == [[-1, -1, 4], [-1, 0], [1]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"tokens": np.zeros((3, 2), int)}, r"tokens: int64 \(3, 2\), expected integers \[frames"),
        ({"tokens": np.zeros(3, int), "lengths": [2]}, "they sum to 2, tokens has 3 frames"),
        ({"tokens": np.zeros(3)}, r"tokens: float64 \(3,\), expected integers \[frames\]"),
        ({"tokens": np.array([-1])}, "tokens of sequence 0: -1..-1, expected 0.."),
        ({"tokens": np.zeros(3, int), "features": np.zeros((3, 1))}, "features, tokens: both are"),
        (
            {"tokens": np.zeros(3, int), "lengths": [3, 0], "labels": [1, 1]},
            "labels: one a sequence, but some sequences have no frame",
        ),
        (
            {"tokens": np.zeros(3, int), "lengths": [2, 1], "labels": [1, 1, 1, 1]},
            r"labels: int64 \(4,\), expected integers \[3\], one a frame, or \[2\], one a sequence",
        ),
        (
            {"tokens": np.zeros(3, int), "task": "regression", "labels": [1, 1, 1]},
            "labels: not for the task regression, only for classification or language",
        ),
    ],
)
def test_what_is_wrong_with_tokens(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match=message):
        Dataset.load(tmp_path / "data.npz")


def test_tokens_that_a_network_does_not_take():
    tokens = Dataset((np.array([3, 0, 5]),))
    tokens.check_width(6, tokens=True)
    with pytest.raises(UserError, match="tokens of sequence 0: 5 in frame 2, the network knows 0"):
        tokens.check_width(5, tokens=True)
    with pytest.raises(UserError, match="tokens: the network takes 5 features a frame; give the"):
        tokens.check_width(5)
    with pytest.raises(UserError, match=r"features: the network takes tokens, integers 0\.\.4"):
        Dataset((np.zeros((3, 5), np.float32),)).check_width(5, tokens=True)


def test_digest():
    """The same for the same data, another one for each thing that differs."""
    frames = (np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((1, 2), np.float32))
    labels = (np.array([0, 1, -1]), np.array([1]))
    states = {"gru.h": np.zeros((2, 4), np.float32)}
    targets = tuple(x[:, :1] for x in frames)
    made = [
        Dataset(frames),
        Dataset(frames[::-1]),
        Dataset(frames, labels),
        Dataset(frames, tuple(y + 1 for y in labels)),
        Dataset(frames, states=states),
        Dataset(frames, states={"lstm.h": states["gru.h"]}),
        Dataset(frames, task="regression"),
        Dataset(frames, task="regression", targets=targets),
        Dataset(frames, task="regression", offset=targets),
    ]
    digests = [data.digest for data in made]
    assert len({*digests}) == len(made)
    copies = tuple(np.array(x, order="F") for x in frames)
    assert Dataset(copies, labels).digest == digests[2]
