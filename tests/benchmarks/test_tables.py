# SPDX-License-Identifier: Apache-2.0
"""`make tables` on a few cases and sequences, and the committed tables."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIELDS = [
    "cell",
    "scheme",
    "error",
    "error_with_thresholds",
    "eliminated_operations",
    "eliminated_operations_with_thresholds",
    "size_mb",
    "thresholds",
]


@pytest.fixture(autouse=True, scope="module")
def _benchmarks():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(ROOT / "benchmarks" / "tables")
        yield


def make(folder, *arguments):
    """The LiGRU's base and M8 on two sequences of each data set, into the folder."""
    from make import main

    few = ["--cells", "ligru", "--schemes", "base", "M8", "--sequences", "2", "--jobs", "1"]
    assert main([*few, "-o", str(folder), *arguments]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    make(folder)
    return folder


def test_report_has_a_record_for_each_cell_and_scheme(made):
    base, m8 = json.loads((made / "report.json").read_text())
    assert [*base] == [*m8] == FIELDS
    assert (base["cell"], base["scheme"]) == ("ligru", "base")
    assert (m8["cell"], m8["scheme"]) == ("ligru", "M8")


def test_float_model_is_dense_and_has_32_bits(made):
    base, _ = json.loads((made / "report.json").read_text())
    assert base["error"] == base["error_with_thresholds"]
    assert base["eliminated_operations"] == base["eliminated_operations_with_thresholds"] == 0
    assert base["thresholds"] == {}
    weights = 2 * 128 * (40 + 128 + 128 + 128) + 39 * 128
    assert base["size_mb"] == 4 * (weights + 2 * 2 * 128 + 39) / 2**20


def test_quantized_model_skips_the_candidate_and_has_thresholds(made):
    base, m8 = json.loads((made / "report.json").read_text())
    assert [*m8["thresholds"]] == [
        "ligru.0.x",
        "ligru.0.h.z",
        "ligru.0.h.a",
        "ligru.1.x",
        "ligru.1.h.z",
        "ligru.1.h.a",
        "linear.x",
    ]
    assert m8["size_mb"] < base["size_mb"] / 4
    assert any(m8["thresholds"].values())
    assert 0 < m8["eliminated_operations"] < m8["eliminated_operations_with_thresholds"] < 100


def test_what_was_measured_is_not_measured_again(made, monkeypatch):
    import cases

    first = (made / "tables.md").read_text()
    monkeypatch.setattr(cases, "measure", lambda *_: pytest.fail("measured again"))
    make(made)
    assert (made / "tables.md").read_text() == first


def test_other_data_are_other_cases(made):
    import cases

    case = cases.paper_cases(["ligru"])[0]
    kept = {file.stem for file in (made / "cache").iterdir()}
    assert cases._digest(case, 2) in kept
    assert cases._digest(case, 3) not in kept


def test_a_part_of_the_tables_is_not_kept(tmp_path, capsys):
    with pytest.raises(SystemExit):
        make(tmp_path, "--keep")
    assert "not with a part of the tables" in capsys.readouterr().err


def test_trends_hold_in_the_papers_own_tables():
    """But for the SRU, whose operations the paper eliminates least, as it says itself."""
    import trends

    fails = {trend.text: trend.fails(trends.PUBLISHED) for trend in trends.TRENDS}
    assert {text: cells for text, cells in fails.items() if cells} == {
        "Chosen thresholds eliminate at least half at 8 bits": ["sru"]
    }


def test_committed_tables_have_every_row():
    import cases
    import pages

    text = (ROOT / "docs" / "tables.md").read_text("utf-8")
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("| scheme |")]
    names = [[line.split(" | ")[0].removeprefix("| ") for line in rows[2:]] for rows in tables]
    every = [*cases.SCHEMES, cases.OURS]
    assert names == [["8-bit", "4-bit"], every, every[1:], every[1:], [*cases.NARROW]]
    assert not any(" - |" in line for rows in tables for line in rows)
    assert set(pages.CELLS.values()) == {"LSTM", "GRU", "LiGRU", "SRU", "Elman", "minGRU"}
