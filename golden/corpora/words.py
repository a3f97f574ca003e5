# SPDX-License-Identifier: Apache-2.0
"""Texts as tokens: which words there are, and which number each has."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arithmetic import Ints
from ..data import Dataset
from ..errors import UserError

UNKNOWN = "<unk>"
"""Stands for every word that has no token of its own."""
END = "<eos>"
"""Ends a line of a text that a language model reads."""
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[.,;:!?()]")
_MARKUP = re.compile(r"<[^>]*>")


def words_of(text: str) -> list[str]:
    """The words of running text in small letters, and its punctuation; HTML tags are left out."""
    return _WORD.findall(_MARKUP.sub(" ", text).lower().replace("\u2019", "'"))


@dataclass(frozen=True)
class Vocabulary:
    """The words that have a token. names: by token; all different."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], size: int) -> "Vocabulary":
        """The most frequent words of texts, and `UNKNOWN`, which is token 0; at most `size`.

        The more frequent one is first, of equally frequent ones the one that comes first.
        """
        if size < 2:
            raise UserError(f"vocabulary: {size} words are not possible, it must be at least 2")
        counts = Counter(word for text in texts for word in text if word != UNKNOWN)
        names = (UNKNOWN, *(word for word, _ in counts.most_common(size - 1)))
        return cls(names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The token of each word."""
        return {name: n for n, name in enumerate(self.names)}

    def tokens(self, words: Sequence[str]) -> Ints:
        """[words] their tokens; those that have none are `UNKNOWN`."""
        unknown = self.numbers[UNKNOWN]
        return np.array([self.numbers.get(word, unknown) for word in words], np.int64)


def language_data(tokens: Ints, length: int) -> Dataset:
    """A text [words] in sequences of `length` tokens, each labelled with the one that follows."""
    if length < 1:
        raise UserError(f"length: {length} is not possible, it must be at least 1")
    places = range(0, max(len(tokens) - 1, 0), length)
    return Dataset(
        tuple(tokens[n : min(n + length, len(tokens) - 1)] for n in places),
        tuple(tokens[n + 1 : n + 1 + length] for n in places),
        task="language",
    )


def class_data(
    texts: Sequence[Ints], classes: Sequence[int], names: Sequence[str], length: int
) -> Dataset:
    """Texts, each with a class that is asked for at its last word; of long ones the last words.

    Texts without a word are left out.

    Parameters
    ----------
    texts, classes: tokens [words] and the class of each.
    names: of the classes.
    length: tokens of a text at most.
    """
    if length < 1:
        raise UserError(f"length: {length} is not possible, it must be at least 1")
    pairs = [(t[-length:], c) for t, c in zip(texts, classes, strict=True) if len(t)]
    labels = tuple(np.where(np.arange(len(t)) == len(t) - 1, c, -1) for t, c in pairs)
    return Dataset(tuple(t for t, _ in pairs), labels, label_names=tuple(names))
