# SPDX-License-Identifier: Apache-2.0
"""The Penn Treebank as language models have it: Mikolov's three files of 10,000 words.

One sentence a line, words apart by spaces, rare ones already `<unk>`; the end of a line is a word.
"""

from pathlib import Path

from ..data import Dataset
from ..errors import UserError
from .words import END, Vocabulary, language_data

PARTS = {"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"}
LENGTH = 100
"""Tokens of a sequence where nobody says otherwise."""


def load_penn_treebank(
    folder: Path, *, size: int | None = None, length: int = LENGTH
) -> tuple[dict[str, Dataset], Vocabulary]:
    """The data sets of `PARTS`, and the words.

    Parameters
    ----------
    folder: with the three files.
    size: of the vocabulary; None: all words of the training text.
    length: tokens of a sequence; each starts anew.

    Raises UserError where a file is missing or holds something else.
    """
    texts = {part: _words(folder / file) for part, file in PARTS.items()}
    words = Vocabulary.of([texts["train"]], size or len({*texts["train"]}) + 1)
    data = {part: language_data(words.tokens(text), length) for part, text in texts.items()}
    return data, words


def _words(file: Path) -> list[str]:
    if not file.is_file():
        names = ", ".join(PARTS.values())
        raise UserError(
            f"{file}: there is no such file; give the folder of {names}, as they are in "
            "simple-examples/data of Mikolov's RNNLM toolkit; the Penn Treebank is not free, and "
            "not here"
        )
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as text ({error}); give Mikolov's file") from error
    words = [word for line in lines if line.strip() for word in (*line.split(), END)]
    if not words:
        raise UserError(f"{file}: holds no word; give Mikolov's file")
    return words
