# SPDX-License-Identifier: Apache-2.0
"""Film reviews and whether they are good ones: IMDb as Maas et al. (2011) gave it out.

Either the folder aclImdb, with train and test / neg and pos / *.txt, or Keras's imdb.npz, which has
the same reviews as the ranks of their words by frequency.
"""

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ..arithmetic import Ints
from ..arrays import DAMAGED, reason
from ..data import Dataset
from ..errors import UserError
from .words import UNKNOWN, Vocabulary, class_data, words_of

PARTS = ("train", "test")
CLASSES = ("neg", "pos")
SIZE, LENGTH = 2000, 200
"""Words, and tokens of a review, where nobody says otherwise."""
_SAFE = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
"""What a pickle of NumPy's object arrays names, and nothing else may be named."""


def load_imdb(
    place: Path, *, size: int = SIZE, length: int = LENGTH
) -> tuple[dict[str, Dataset], Vocabulary]:
    """The data sets of `PARTS`, each review with its class at its last word, and the words.

    Parameters
    ----------
    place: the folder aclImdb, or the file imdb.npz, in which words are numbers.
    size: words that have a token, the most frequent ones of the training reviews.
    length: tokens of a review; of longer ones the last.

    Raises UserError where it is neither.
    """
    if size < 2:
        raise UserError(f"vocabulary: {size} words are not possible, it must be at least 2")
    if place.is_dir():
        return _from_folder(place, size, length)
    if place.is_file() and zipfile.is_zipfile(place):
        return _from_keras(place, size, length)
    raise UserError(
        f"{place}: is neither the folder aclImdb (train/neg/*.txt and so on) nor Keras's imdb.npz; "
        "get one, from ai.stanford.edu/~amaas/data/sentiment or by keras.datasets.imdb"
    )


def _from_folder(folder: Path, size: int, length: int) -> tuple[dict[str, Dataset], Vocabulary]:
    texts: dict[str, list[list[str]]] = {}
    classes: dict[str, list[int]] = {}
    for part in PARTS:
        texts[part], classes[part] = [], []
        for number, name in enumerate(CLASSES):
            files = sorted((folder / part / name).glob("*.txt"))
            if not files:
                raise UserError(
                    f"{folder / part / name}: no .txt files; give aclImdb's own tree, with "
                    f"{' and '.join(PARTS)} / {' and '.join(CLASSES)}"
                )
            for file in files:
                try:
                    texts[part].append(words_of(file.read_text("utf-8")))
                except (OSError, UnicodeDecodeError) as error:
                    raise UserError(f"{file}: cannot be read as text ({error})") from error
                classes[part].append(number)
    words = Vocabulary.of(texts["train"], size)
    return {
        part: class_data([words.tokens(t) for t in texts[part]], classes[part], CLASSES, length)
        for part in PARTS
    }, words


def _from_keras(file: Path, size: int, length: int) -> tuple[dict[str, Dataset], Vocabulary]:
    """Ranks from 1 on become tokens; those from `size` on, and 0, the token 0."""
    data = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for part in PARTS:
                reviews = _array(archive, f"x_{part}.npy")
                labels = _array(archive, f"y_{part}.npy")
                texts = [_tokens(review, size) for review in reviews]
                data[part] = class_data(texts, _classes(labels, len(texts)), CLASSES, length)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except DAMAGED as error:
        raise UserError(f"{file}: not a whole imdb.npz ({reason(error)}); get it anew") from error
    return data, Vocabulary((UNKNOWN, *(f"word {n}" for n in range(1, size))))


def _tokens(review: Any, size: int) -> Ints:
    ranks = np.asarray(review)
    if ranks.ndim != 1 or (ranks.size and ranks.dtype.kind not in "iu"):
        raise UserError("a review is no list of integers; give Keras's own imdb.npz")
    known = (ranks > 0) & (ranks < size)
    return np.where(known, ranks, 0).astype(np.int64)


def _classes(labels: np.ndarray, count: int) -> Sequence[int]:
    values = np.asarray(labels)
    if values.shape != (count,) or not np.isin(values, (0, 1)).all():
        raise UserError(f"labels: expected 0 or 1 for each of {count} reviews")
    return [int(value) for value in values]


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of the file, whose objects may be lists of numbers."""
    if name not in archive.namelist():
        raise UserError(f"{name} is missing; give Keras's own imdb.npz")
    with archive.open(name) as stream:
        npy.read_magic(stream)
        shape, _, dtype = npy.read_array_header_1_0(stream)
        if dtype.hasobject:
            values = np.asarray(_Numbers(stream).load(), object)
            return values.reshape(shape)
    with archive.open(name) as stream:
        return npy.read_array(stream, allow_pickle=False)


class _Numbers(pickle.Unpickler):
    """Makes lists and NumPy's arrays, and calls nothing else that a file may name."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE:
            raise UserError(f"names {module}.{name}, which is not run; give Keras's own imdb.npz")
        return super().find_class(module, name)
