# SPDX-License-Identifier: Apache-2.0
"""Every metric by hand; metrics by name; a user's own."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.metrics import METRICS, find_metric, metric_of, read_fold


def labelled(*labels, names=()):
    labels = tuple(np.array(y, np.int64) for y in labels)
    return Dataset(tuple(np.zeros((len(y), 1), np.float32) for y in labels), labels, names)


def saying(*sequences, classes=4):
    """Outputs whose largest is the given class, frame by frame."""
    return [np.eye(classes)[np.array(y, int).reshape(-1)] for y in sequences]


def test_phone_error_by_hand():
    """Wanted 0 1 2 and 3 1, given 0 2 and 3 0 1: one deletion and one insertion of 5 phones.

    The repeats are one phone each, and a frame that is not scored is not there.
    """
    data = labelled([0, 0, 1, 1, -1, 1, 2], [], [-1, 3, 3, 1])
    outputs = saying([0, 0, 0, 0, 3, 2, 2], [], [2, 3, 0, 1])
    assert find_metric("phone")(data, outputs) == pytest.approx(100 * 2 / 5)


def test_phone_error_with_a_fold_by_hand():
    """b counts as a, and sil is left out after it has parted two phones.

    Wanted a a' c: a (a b), sil, a, c. Given: a, c with sil between: one deletion of 3.
    """
    data = labelled([0, 1, 3, 0, 2, 2], names=("a", "b", "c", "sil"))
    outputs = saying([1, 0, 0, 0, 3, 2])
    fold = {"b": "a", "sil": ""}
    assert find_metric("phone", fold)(data, outputs) == pytest.approx(100 / 3)
    # Without the fold: a b sil a c, given b a sil c. Two substitutions or so: by the table, 3.
    assert find_metric("phone")(data, outputs) == pytest.approx(100 * 3 / 5)
    with pytest.raises(UserError, match="labels: the fold leaves no phone; keep one"):
        find_metric("phone", dict.fromkeys("abc", "") | {"sil": ""})(data, outputs)
    with pytest.raises(UserError, match="fold: 'x' is no label name of the data; there are a, b"):
        find_metric("phone", {"x": "a"})(data, outputs)


def test_phone_error_can_exceed_100():
    assert find_metric("phone")(labelled([0, 0, 0]), saying([1, 2, 3])) == 300.0


def test_sequence_errors_by_hand():
    data = labelled([-1, -1, 1], [2, 2], [-1], [0])
    outputs = [
        np.array([[9.0, 0, 0], [0, 0, 0], [0, 1, 0]]),  # last: 1, right; mean: 0, wrong
        np.array([[0, 0, 3.0], [1, 0, 0]]),  # last: 0, wrong; mean: 2, right
        np.zeros((1, 3)),  # not scored
        np.array([[0.0, 1, 0]]),  # wrong
    ]
    assert find_metric("sequence-last")(data, outputs) == pytest.approx(100 * 2 / 3)
    assert find_metric("sequence-mean")(data, outputs) == pytest.approx(100 * 2 / 3)
    first = data.subset([0]), outputs[:1]
    assert find_metric("sequence-last")(*first) == 0.0
    assert find_metric("sequence-mean")(*first) == 100.0


def test_perplexity_by_hand():
    """Probabilities 1/2 and 1/8 of the labels: the perplexity is 4, the geometric mean of 2, 8."""
    data = labelled([0, -1], [2])
    outputs = [
        np.array([[math.log(2), 0.0, 0.0, -np.inf], [0, 0, 0, 0]]) + 1000,
        np.log([[0.5, 0.25, 0.125, 0.125]]) - 1000,
    ]
    assert find_metric("cross-entropy")(data, outputs) == pytest.approx(math.log(4))
    assert find_metric("perplexity")(data, outputs) == pytest.approx(4.0)
    even = [np.zeros((2, 5)), np.zeros((1, 5))]
    assert find_metric("perplexity")(data, even) == pytest.approx(5.0)


def test_perplexity_of_a_hopeless_network_is_a_number():
    assert find_metric("perplexity")(labelled([1]), [np.array([[1e6, 0.0]])]) == math.exp(700)


def test_offset_is_added_before_scoring():
    data = labelled([0, 1])
    outputs = saying([1, 1], classes=2)
    assert find_metric("frame")(data, outputs) == 50.0
    shifted = replace(data, offset=(np.array([[2, 0], [0, 0]], np.float32),))
    assert find_metric("frame")(shifted, outputs) == 0.0
    with pytest.raises(UserError, match="offset: 2 per frame, the network has 3 outputs"):
        find_metric("frame")(shifted, saying([1, 1], classes=3))


def test_the_task_chooses_the_metric():
    assert metric_of(labelled([0])).title == "frame error"
    rows = (np.ones((1, 2), np.float32),)
    regression = Dataset(rows, task="regression", targets=rows)
    assert metric_of(regression).unit == "dB"
    with pytest.raises(UserError, match="labels: no frame is scored"):
        find_metric("frame")(regression, [np.ones((1, 2))])
    with pytest.raises(UserError, match="targets: no frame is scored"):
        find_metric("nmse")(labelled([0]), [np.ones((1, 2))])


@pytest.mark.parametrize("name", METRICS)
def test_metrics_travel_between_processes(name):
    metric = pickle.loads(pickle.dumps(find_metric(name)))
    assert (metric.name, metric.title) == (name, METRICS[name][0])


@pytest.mark.parametrize("name", [name for name in METRICS if name != "nmse"])
def test_unlabelled_data(name):
    data = Dataset((np.zeros((2, 1), np.float32),))
    with pytest.raises(UserError, match="labels: no frame is scored; an error needs labelled data"):
        find_metric(name)(data, [np.zeros((2, 3))])


@pytest.fixture
def own(tmp_path):
    def write(text):
        file = tmp_path / "mine.py"
        file.write_text(text)
        return f"{file}:loss"

    return write


def test_a_metric_of_ones_own(own):
    text = "def loss(dataset, outputs):\n    return sum(len(y) for y in outputs) + len(dataset)\n"
    metric = pickle.loads(pickle.dumps(find_metric(own(text))))
    assert metric(labelled([0, 1], [2]), saying([0, 1], [2])) == 5.0
    assert (metric.title, metric.unit) == ("loss", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "the file has no function loss; name one it has"),
        ("loss = 3\n", "the file has no function loss; name one it has"),
        ("import nothing_there\n", "cannot be imported (ModuleNotFoundError: No module named"),
        ("def loss(d, y): return 'bad'\n", "returned 'bad', it must be a number"),
        ("def loss(d, y): return float('nan')\n", "returned nan, it must be a number"),
    ],
)
def test_what_is_wrong_with_ones_own(own, text, message):
    with pytest.raises(UserError) as caught:
        find_metric(own(text))(labelled([0]), saying([0]))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_metrics(tmp_path):
    with pytest.raises(UserError, match=r"metric 'wer': not known; there are frame, phone, .*FILE"):
        find_metric("wer")
    with pytest.raises(UserError, match=r"no such file; give FILE\.py:FUNCTION"):
        find_metric(f"{tmp_path / 'absent.py'}:loss")
    with pytest.raises(UserError, match="fold: not for the metric frame, only for phone"):
        find_metric("frame", {})


def test_fold_files(tmp_path):
    file = tmp_path / "fold.txt"
    file.write_text("ax ah\n\nq\n")
    assert read_fold(file) == {"ax": "ah", "q": ""}
    for text, line in (("a b c\n", "line 1: 'a b c'"), ("a b\na c\n", "line 2: 'a c'")):
        file.write_text(text)
        with pytest.raises(UserError, match=line):
            read_fold(file)
    with pytest.raises(UserError, match="cannot be read as text"):
        read_fold(tmp_path / "absent")
