# SPDX-License-Identifier: Apache-2.0
"""TIMIT's tree, on a made-up one of the same form."""

import shutil
import wave

import numpy as np
import pytest

from deltaloom.golden.corpora.audio import read_audio
from deltaloom.golden.corpora.filter_banks import filter_banks
from deltaloom.golden.corpora.timit import (
    find_utterances,
    frame_labels,
    load,
    normalise,
    read_phones,
)
from deltaloom.golden.corpora.timit_phones import CLASSES, CORE_TEST, DEVELOPMENT, FOLD, PHONES
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.metrics import find_metric


@pytest.fixture(scope="module")
def whole(timit_tree, tmp_path_factory):
    return timit_tree.make_tree(tmp_path_factory.mktemp("timit") / "TIMIT")


@pytest.fixture
def tree(whole, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(whole, tmp_path / "TIMIT")


def refused(function, *words):
    with pytest.raises(UserError) as caught:
        function(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_table_of_phones():
    """Lee and Hon's: 61 phones, one left out, 48 and 39 classes."""
    assert (len(PHONES), len(CLASSES[48]), len(CLASSES[39])) == (61, 48, 39)
    assert {pair[0] for pair in PHONES.values() if pair} == {*CLASSES[48]}
    assert {pair[1] for pair in PHONES.values() if pair} == {*CLASSES[39]}
    folded = {}
    for phone, pair in PHONES.items():
        if pair and pair != (phone, phone):
            folded.setdefault(pair, set()).add(phone)
    assert folded == {
        ("ao", "aa"): {"ao"},
        ("ax", "ah"): {"ax", "ax-h"},
        ("er", "er"): {"axr"},
        ("cl", "sil"): {"pcl", "tcl", "kcl"},
        ("vcl", "sil"): {"bcl", "dcl", "gcl"},
        ("epi", "sil"): {"epi"},
        ("sil", "sil"): {"h#", "pau"},
        ("el", "l"): {"el"},
        ("m", "m"): {"em"},
        ("en", "n"): {"en"},
        ("n", "n"): {"nx"},
        ("ng", "ng"): {"eng"},
        ("hh", "hh"): {"hv"},
        ("ix", "ih"): {"ix"},
        ("uw", "uw"): {"ux"},
        ("zh", "sh"): {"zh"},
    }
    assert PHONES["q"] is None


def test_the_sets_of_speakers():
    assert (len({*CORE_TEST}), len({*DEVELOPMENT})) == (24, 50)
    assert not {*CORE_TEST} & {*DEVELOPMENT}
    assert sum(name.startswith("f") for name in CORE_TEST) == 8  # a woman and two men a region


@pytest.mark.parametrize("capitals", [True, False])
@pytest.mark.parametrize("depth", ["TIMIT", ".", "deeper/timit"])
def test_finds_the_tree(tmp_path, timit_tree, capitals, depth):
    timit_tree.make_tree(tmp_path / depth, capitals=capitals, sentences=("SA2", "SX5"))
    parts = find_utterances(tmp_path)
    assert {part: len(found) for part, found in parts.items()} == {
        "train": 3,
        "dev": 50,
        "test": 24,
    }
    assert [u.name for u in parts["train"]] == ["dr1-fabc0-sx5", "dr2-mxyz1-sx5", "dr3-mdef0-sx5"]
    assert {u.speaker for u in parts["test"]} == {*CORE_TEST}


def test_data_sets(whole, timit_tree, tmp_path):
    sets = load(whole)
    train = sets["train"]
    assert (len(train), len(sets["dev"]), len(sets["test"])) == (6, 100, 48)
    assert train.label_names == CLASSES[48] and train.inputs == 23
    assert not any("-sa" in name for part in sets.values() for name in part.names)
    home = whole / "TRAIN" / "DR2" / "MXYZ1"
    at = train.names.index("dr2-mxyz1-si100")
    frames = 1 + (timit_tree.SAMPLES - 400) // 160
    assert train.features[at].shape == (frames, 23)
    own = [filter_banks(read_audio(home / f"{s}.WAV", 16_000)) for s in ("SI100", "SX5")]
    together = np.concatenate(own).astype(float)
    expected = (own[0] - together.mean(axis=0)) / together.std(axis=0)
    np.testing.assert_allclose(train.features[at], expected, rtol=0, atol=1e-5)
    segments = [line.split() for line in (home / "SI100.PHN").read_text().splitlines()]
    for t, label in enumerate(train.labels[at].tolist()):
        (phone,) = [p for a, b, p in segments if int(a) <= 160 * t + 200 < int(b)]
        wanted = PHONES[phone]
        assert (CLASSES[48][label] if label >= 0 else None) == (wanted and wanted[0])
    train.save(tmp_path / "train.npz")
    assert Dataset.load(tmp_path / "train.npz").names == train.names


def test_39_classes_are_the_48_folded(whole):
    fine, coarse = load(whole)["dev"], load(whole, classes=39)["dev"]
    assert coarse.label_names == CLASSES[39]
    for a, b in zip(fine.labels, coarse.labels, strict=True):
        names = [CLASSES[48][n] if n >= 0 else None for n in a]
        assert [CLASSES[39][n] if n >= 0 else None for n in b] == [FOLD.get(n, n) for n in names]


def test_phone_error_of_the_folded_truth(whole):
    """Outputs that say another phone of the same class are right after folding, not before."""
    data = load(whole)["test"]
    twin = {name: next((k for k, v in FOLD.items() if v == name), name) for name in CLASSES[48]}
    numbers = np.array([CLASSES[48].index(twin[name]) for name in CLASSES[48]])
    outputs = [np.eye(48)[numbers[y]] for y in data.labels]
    assert find_metric("phone", FOLD)(data, outputs) == 0
    assert find_metric("phone")(data, outputs) > 10


@pytest.mark.parametrize("normalisation", ["speaker", "utterance", "none"])
def test_normalisation(whole, normalisation):
    data = load(whole, normalisation=normalisation)["train"]
    means = [float(np.abs(x.mean(axis=0)).max()) for x in data.features]
    assert (max(means) < 1e-5) is (normalisation == "utterance")
    both = np.concatenate(data.features[:2])
    assert bool(np.abs(both.mean(axis=0)).max() < 1e-5) is (normalisation != "none")
    assert bool(np.abs(both.std(axis=0) - 1).max() < 1e-5) is (normalisation != "none")


def test_normalise_by_hand():
    first, second = np.array([[1.0, 5]], np.float32), np.array([[3.0, 5]], np.float32)
    other, empty = np.array([[7.0, 7]], np.float32), np.zeros((0, 2), np.float32)
    got = normalise([first, other, second, empty], ["a", "b", "a", "c"])
    assert [x.tolist() for x in got] == [[[-1, 0]], [[0, 0]], [[1, 0]], []]


def test_labels_by_hand():
    """Middles 200, 360, 520: the end of a phone is outside of it."""
    segments = [(0, 360, "h#"), (360, 500, "q"), (520, 600, "ae")]
    numbers = {"h#": 3, "q": -1, "ae": 0}
    assert frame_labels(segments, 4, numbers).tolist() == [3, -1, 0, -1]


def test_a_copy_with_both_kinds_of_recordings(tree):
    """X.WAV.wav beside X.WAV: each sentence once, by the SPHERE file."""
    home = tree / "TRAIN" / "DR1" / "FABC0"
    expected = load(tree)["train"]
    for path in sorted(home.glob("*.WAV")):
        samples = read_audio(path, 16_000)
        with wave.open(f"{path}.wav", "wb") as out:
            out.setparams((1, 2, 16_000, 0, "NONE", ""))
            out.writeframes((samples // 2).astype("<i2").tobytes())
    got = load(tree)["train"]
    assert got.names == expected.names
    np.testing.assert_array_equal(got.features[0], expected.features[0])
    (home / "SX5.WAV").unlink()
    assert load(tree)["train"].names == expected.names


def test_no_tree(tmp_path):
    line = refused(find_utterances, tmp_path / "none")
    assert (
        line
        == f"{tmp_path / 'none'}: no such folder; give that of TIMIT, with TRAIN and TEST in it"
    )
    (tmp_path / "TRAIN").mkdir()
    assert "no TRAIN and TEST in it" in refused(find_utterances, tmp_path)
    (tmp_path / "TEST").mkdir()
    assert "no DRn/SPEAKER/*.WAV" in refused(find_utterances, tmp_path)


def test_missing_speakers(tree):
    for folder in tree.glob("TEST/*/M*"):
        shutil.rmtree(folder)
    line = refused(find_utterances, tree)
    missing = sum(name.startswith("m") for name in CORE_TEST)
    assert (
        f"{missing} of the 24 speakers of the core test set are missing (mdab0, mwbt0, mtas1)"
        in line
    )
    assert line.endswith("; give the whole tree")


def test_missing_phones(tree):
    home = tree / "TRAIN" / "DR1" / "FABC0"
    (home / "SX5.PHN").unlink()
    assert refused(load, tree) == f"{home / 'SX5.WAV'}: no sx5.PHN beside it; give the whole tree"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 100 h#\n100 200 zz\n", "line 2: '100 200 zz' is not FIRST END PHONE with one of"),
        ("0 h#\n", "line 1: '0 h#' is not FIRST END PHONE"),
        ("0 -3 h#\n", "line 1: '0 -3 h#' is not FIRST END PHONE"),
        ("0 100 h#\n90 200 ae\n", "line 2: samples 90 to 200 come before the end of the phone"),
        ("100 90 h#\n", "line 1: samples 100 to 90 come before"),
    ],
)
def test_spoiled_phones(tmp_path, text, message):
    (tmp_path / "a.PHN").write_text(text)
    line = refused(read_phones, tmp_path / "a.PHN")
    assert line.startswith(f"{tmp_path / 'a.PHN'}: {message}")


def test_other_settings(whole):
    with pytest.raises(UserError, match="classes: 61 is not possible, it must be 48 or 39"):
        load(whole, classes=61)
    with pytest.raises(UserError, match="normalisation: 'band' is not possible"):
        load(whole, normalisation="band")


def test_a_spoiled_recording_is_named(tree, timit_tree):
    file = tree / "TRAIN" / "DR1" / "FABC0" / "SX5.WAV"
    file.write_bytes(timit_tree.sphere(np.zeros(9, np.int16), sample_rate=8000))
    assert refused(load, tree).startswith(f"{file}: sample rate 8000, expected 16000")


def test_short_recordings_have_no_frames(tree, timit_tree):
    home = tree / "TRAIN" / "DR1" / "FABC0"
    (home / "SX5.WAV").write_bytes(timit_tree.sphere(np.zeros(300, np.int16)))
    (home / "SX5.PHN").write_text(timit_tree.phone_lines(["h#"], 300))
    data = load(tree)["train"]
    assert data.features[data.names.index("dr1-fabc0-sx5")].shape == (0, 23)
