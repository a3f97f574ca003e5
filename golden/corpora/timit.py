# SPDX-License-Identifier: Apache-2.0
"""TIMIT's folder tree (LDC93S1 or a copy of it) as data sets of filter banks and phones.

The tree is TRAIN and TEST / DRn / SPEAKER / SENTENCE.WAV and .PHN, in capitals or not. The sa
sentences, which all speakers read, are left out. Training: all 462 speakers of TRAIN; test: the
core test set of 24 speakers; development: the 50 other speakers of TEST that are usual.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import IGNORED, Dataset, Features, Labels
from ..errors import UserError
from ..quantization.calibration import Progress, ignore_progress
from ..storage import check_file
from .audio import read_audio
from .filter_banks import HOP, RATE, WINDOW, filter_banks
from .timit_phones import CLASSES, CORE_TEST, DEVELOPMENT, PHONES

PARTS = ("train", "dev", "test")
NORMALISATIONS = ("speaker", "utterance", "none")
"""Over what the mean and the deviation of each band are taken."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence of one speaker. name: "dr1-fcjf0-si1027"."""

    name: str
    speaker: str
    audio: Path
    phones: Path


def find_utterances(tree: Path) -> dict[str, list[Utterance]]:
    """The utterances of each of `PARTS`, by name.

    Raises UserError where the tree is not TIMIT's, or lacks a speaker of the test or development
    set.
    """
    root = _find_root(tree)
    train, test = (list(_walk(_child(root, part))) for part in ("train", "test"))
    if not train:
        raise UserError(f"{_child(root, 'train')}: no DRn/SPEAKER/*.WAV; give TIMIT's own tree")
    present = {u.speaker for u in test}
    for what, speakers in (("core test", CORE_TEST), ("development", DEVELOPMENT)):
        missing = [name for name in speakers if name not in present]
        if missing:
            raise UserError(
                f"{_child(root, 'test')}: {len(missing)} of the {len(speakers)} speakers of the "
                f"{what} set are missing ({', '.join(missing[:3])}); give the whole tree"
            )
    return {
        "train": train,
        "dev": [u for u in test if u.speaker in DEVELOPMENT],
        "test": [u for u in test if u.speaker in CORE_TEST],
    }


def load(
    tree: Path,
    *,
    classes: int = 48,
    normalisation: str = "speaker",
    progress: Progress = ignore_progress,
) -> dict[str, Dataset]:
    """The data sets of `PARTS`: log filter banks [frames, 23] and a phone for each frame.

    classes: 48, which the networks learn and `timit_phones.FOLD` folds to 39, or 39 at once.
    normalisation: each band gets mean 0 and deviation 1 over a speaker's or an utterance's frames.
    A frame's label is the phone at the middle of its window, or `IGNORED` in a glottal stop (q) and
    outside of all phones.
    """
    if classes not in CLASSES:
        raise UserError(f"classes: {classes} is not possible, it must be 48 or 39")
    if normalisation not in NORMALISATIONS:
        rule = ", ".join(NORMALISATIONS)
        raise UserError(f"normalisation: {normalisation!r} is not possible, it must be of {rule}")
    parts = find_utterances(tree)
    names = CLASSES[classes]
    numbers = {phone: _number(pair, classes, names) for phone, pair in PHONES.items()}
    total, done = sum(map(len, parts.values())), 0
    result = {}
    for part, utterances in parts.items():
        features: list[Features] = []
        labels: list[Labels] = []
        for utterance in utterances:
            features.append(filter_banks(read_audio(utterance.audio, RATE)))
            labels.append(frame_labels(read_phones(utterance.phones), len(features[-1]), numbers))
            done += 1
            progress("filter banks", done / total)
        groups = [_group(u, normalisation) for u in utterances]
        if normalisation != "none":
            features = normalise(features, groups)
        result[part] = Dataset(
            features=tuple(features),
            labels=tuple(labels),
            label_names=names,
            names=tuple(u.name for u in utterances),
        )
    return result


def read_phones(file: Path) -> list[tuple[int, int, str]]:
    """The (first sample, end, phone) of a .PHN file, in order of time.

    Raises UserError for a line that is not "FIRST END PHONE" with one of TIMIT's 61 phones.
    """
    check_file(file)
    segments: list[tuple[int, int, str]] = []
    for n, line in enumerate(file.read_text("ascii", errors="replace").splitlines()):
        words = line.split()
        if not words:
            continue
        whole = len(words) == 3 and words[0].isdecimal() and words[1].isdecimal()
        if not whole or words[2].lower() not in PHONES:
            raise UserError(
                f"{file}: line {n + 1}: {line!r} is not FIRST END PHONE with one of TIMIT's 61 "
                "phones; copy it again"
            )
        first, end = int(words[0]), int(words[1])
        if end < first or (segments and first < segments[-1][1]):
            raise UserError(
                f"{file}: line {n + 1}: samples {first} to {end} come before the end of the phone "
                "before; copy it again"
            )
        segments.append((first, end, words[2].lower()))
    return segments


def frame_labels(
    segments: Sequence[tuple[int, int, str]], frames: int, numbers: Mapping[str, int]
) -> Labels:
    """[frames] the number of the phone at the middle of each window, or `IGNORED`."""
    middles = np.arange(frames) * HOP + WINDOW // 2
    labels = np.full(frames, IGNORED, np.int64)
    for first, end, phone in segments:
        labels[(middles >= first) & (middles < end)] = numbers[phone]
    return labels


def normalise(features: Sequence[Features], groups: Sequence[str]) -> list[Features]:
    """Each band of [frames, bands] with mean 0 and deviation 1 over all frames of its group.

    A band that does not move becomes 0.
    """
    result = [np.zeros_like(x) for x in features]
    for group in dict.fromkeys(groups):
        places = [n for n, own in enumerate(groups) if own == group]
        values = np.concatenate([features[n] for n in places]).astype(np.float64)
        if not len(values):
            continue
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        for n in places:
            scaled = (features[n] - mean) / np.where(deviation > 0, deviation, np.inf)
            result[n] = scaled.astype(np.float32)
    return result


def _number(pair: tuple[str, str] | None, classes: int, names: Sequence[str]) -> int:
    return IGNORED if pair is None else names.index(pair[0 if classes == 48 else 1])


def _group(utterance: Utterance, normalisation: str) -> str:
    return utterance.speaker if normalisation == "speaker" else utterance.name


def _find_root(tree: Path) -> Path:
    """The folder with TRAIN and TEST: `tree`, or a folder in it or in one of those."""
    if not tree.is_dir():
        raise UserError(f"{tree}: no such folder; give that of TIMIT, with TRAIN and TEST in it")
    level = [tree]
    for _ in range(3):
        for folder in level:
            if all(_child(folder, part).is_dir() for part in ("train", "test")):
                return folder
        level = [inner for folder in level for inner in sorted(folder.iterdir()) if inner.is_dir()]
    raise UserError(f"{tree}: no TRAIN and TEST in it or two folders down; give TIMIT's folder")


def _child(folder: Path, name: str) -> Path:
    """The entry of this name in any case; where there is none, the name in capitals."""
    found = (inner for inner in sorted(folder.iterdir()) if inner.name.lower() == name)
    return next(found, folder / name.upper())


def _walk(part: Path) -> Iterator[Utterance]:
    """The sentences but sa of DRn/SPEAKER folders, by name."""
    for region in _folders(part):
        if not region.name.lower().startswith("dr"):
            continue
        for speaker in _folders(region):
            files = {path.name.lower(): path for path in sorted(speaker.iterdir())}
            # Some copies hold X.WAV (SPHERE) and X.WAV.wav (RIFF); the former will do.
            recordings = {n.partition(".")[0]: p for n, p in _recordings(files)}
            for stem, audio in sorted(recordings.items()):
                if stem.startswith("sa"):
                    continue
                phones = files.get(f"{stem}.phn")
                if phones is None:
                    raise UserError(f"{audio}: no {stem}.PHN beside it; give the whole tree")
                name = f"{region.name}-{speaker.name}-{stem}".lower()
                yield Utterance(name, speaker.name.lower(), audio, phones)


def _recordings(files: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Recordings by name in small letters, the preferred one of a sentence last."""
    for suffix in (".wav.wav", ".wav"):
        for name, path in files.items():
            if name.endswith(suffix) and name.count(".") == suffix.count("."):
                yield name, path


def _folders(folder: Path) -> list[Path]:
    inner = [path for path in folder.iterdir() if path.is_dir()]
    return sorted(inner, key=lambda path: path.name.lower())
