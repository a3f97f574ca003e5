# SPDX-License-Identifier: Apache-2.0
"""Levenshtein's distance: by hand, and against the textbook's table."""

import numpy as np
import pytest

from deltaloom.golden.evaluation.edit_distance import edit_distance


@pytest.mark.parametrize(
    ("wanted", "given", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "", 3),
        ("", "ab", 2),
        ("kitten", "sitting", 3),
        ("sunday", "saturday", 3),
        ("abcd", "bcda", 2),
        ("aaaa", "bbbb", 4),
    ],
)
def test_by_hand(wanted, given, distance):
    codes = [[ord(letter) for letter in word] for word in (wanted, given)]
    assert edit_distance(*codes) == distance


def test_against_the_whole_table():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = (rng.integers(0, 4, rng.integers(0, 12)) for _ in range(2))
        table = {(n, 0): n for n in range(len(a) + 1)} | {(0, m): m for m in range(len(b) + 1)}
        for n, x in enumerate(a):
            for m, y in enumerate(b):
                table[n + 1, m + 1] = min(
                    table[n, m + 1] + 1, table[n + 1, m] + 1, table[n, m] + int(x != y)
                )
        assert edit_distance(a, b) == table[len(a), len(b)]
