# SPDX-License-Identifier: Apache-2.0
"""Sizes of the paper's models against its tables, and against real models of those shapes."""

import pytest

from deltaloom.golden.quantization.paper_sizes import MODELS, SCHEMES, size_mb, size_table
from deltaloom.golden.quantization.presets import PRESETS

PUBLISHED = {
    # Table 2, MB, with the candidate's recurrent path skipped: LSTM, GRU, LiGRU, SRU
    "base": (54.4, 53, 38.2, 21.2),
    "16-bit": (27.2, 26.6, 19.1, 10.6),
    "8-bit": (14.8, 14.8, 10.5, 5.3),
    "4-bit": (8.5, 8.8, 6.2, 2.7),
    "M1": (7, 7.4, 5.6, 2.9),
    "M2": (6, 6.4, 4.6, 1.9),
    "M3": (5.5, 5.9, 4.1, 1.4),
    "M4": (5.4, 5.8, 4.1, 1.3),
    "M5": (8.6, 8.9, 6.2, 2.7),
    "M6": (6, 6.4, 4.6, 1.9),
    "M7": (5.7, 6, 4.2, 1.5),
    "M8": (5.7, 6, 4.2, 1.4),
}
ALIKE = ("LSTM", "GRU", "LiGRU as published", "SRU")
SKIPPING = {
    # Table 1, MB: no skip, skip, skip part
    ("LSTM", "8-bit"): (13.6, 14.8, 14.2),
    ("LSTM", "4-bit"): (6.8, 8.5, 7.7),
    ("GRU", "8-bit"): (13.3, 14.8, 14.2),
    ("GRU", "4-bit"): (6.7, 8.8, 8),
    ("LiGRU as published", "8-bit"): (9.6, 10.5, 10),
    ("LiGRU as published", "4-bit"): (4.8, 6.2, 5.7),
}


WHOLE = {("GRU", "base", "none"): 53, ("LiGRU as published", "8-bit", "part"): 10}
"""Published without a decimal, and more than 0.1 MB off: rounded to whole MB."""


def near(model, scheme, skip, published):
    found = size_mb(model, scheme, skip)
    if WHOLE.get((model, scheme, skip)) == published:
        return abs(found - published) > 0.1 and round(found) == published
    return abs(found - published) <= 0.1


def test_weights_by_hand():
    """50,600 + 3 * 2,420,000 + 4 * 1,210,000 + 2,129,600 of the LSTM, and so on."""
    weights = {name: model.weights for name, model in MODELS.items()}
    ligru = 25_300 + 4 * 1_210_000 + 5 * 605_000 + 2_129_600
    assert weights == {
        "LSTM": 14_280_200,
        "GRU": 13_965_050,
        "LiGRU": ligru,
        "LiGRU as published": ligru,
        "SRU": 5_549_500,
    }


def test_lstm_by_hand():
    """M7: x of layer 0 at 8, U of layer 0 at 4, the rest 2, FC 2; a quarter of each U at 16."""
    bits = 8 * 50_600 + 2 * 3 * 2_420_000 + 2 * 2_129_600
    bits += (0.75 * 4 + 0.25 * 16) * 1_210_000 + 3 * (0.75 * 2 + 0.25 * 16) * 1_210_000
    assert size_mb("LSTM", "M7") == pytest.approx((bits + 16 * 4400) / 8 / 2**20)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_table_2(scheme):
    skip = "none" if scheme == "base" else "all"
    for model, published in zip(ALIKE, PUBLISHED[scheme], strict=True):
        assert near(model, scheme, skip, published), model


@pytest.mark.parametrize(("model", "scheme"), SKIPPING)
def test_table_1(model, scheme):
    for skip, published in zip(("none", "all", "part"), SKIPPING[model, scheme], strict=True):
        assert near(model, scheme, skip, published), skip


def test_nothing_is_missing():
    assert [*PUBLISHED] == [*SCHEMES] and {*PRESETS} < {*SCHEMES}


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("8-bit", 11.0),
        ("4-bit", 6.95),
        ("M1", 6.46),
        ("M2", 5.45),
        ("M3", 4.94),
        ("M4", 4.92),
        ("M5", 6.96),
        ("M6", 5.45),
        ("M8", 5.00),
    ],
)
def test_what_ligru_really_takes(scheme, size):
    assert size_mb("LiGRU", scheme) == pytest.approx(size, abs=0.01)


def test_skipping_is_nothing_to_an_sru():
    assert size_mb("SRU", "M1", "all") == size_mb("SRU", "M1", "none")


def test_table_has_each_row_once():
    heading, *rows = size_table()
    assert heading == ["scheme", "skip", *MODELS]
    assert len(rows) == 2 + 3 * 10 == len({tuple(row[:2]) for row in rows})
    assert ["M1", "all", "6.99", "7.41", "6.46", "5.62", "2.89"] in rows
