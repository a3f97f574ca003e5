# SPDX-License-Identifier: Apache-2.0
"""docs/quantization.md against the code: its tables, its file, its commands."""

import re
from pathlib import Path

import pytest

from deltaloom.cli import make_parser
from deltaloom.golden.quantization.clipping import CLIPPINGS
from deltaloom.golden.quantization.paper_sizes import size_table
from deltaloom.golden.quantization.presets import METHODS, PRESETS, read_scheme
from deltaloom.golden.quantization.scheme import Scheme

TEXT = (Path(__file__).parents[3] / "docs" / "quantization.md").read_text("utf-8")
TABLES = [
    [[cell.strip() for cell in row.strip("|\n").split("|")] for row in table.splitlines()]
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)
]
COMMANDS = re.findall(r"^    deltaloom (.*)$", TEXT.replace("\\\n", " "), re.MULTILINE)


def table(heading):
    """The rows of the one table with this first heading."""
    (found,) = [rows for rows in TABLES if rows[0][0] == heading and set(rows[1]) <= {"---"}]
    return found[2:], found[0]


def test_presets():
    (rows, _), *_ = [(rows[2:], rows[0]) for rows in TABLES if rows[0][1] == "first input"]
    assert {name: cells for name, *cells in rows} == {
        name: ["/".join(map(str, bits)) for bits in columns] for name, columns in PRESETS.items()
    }


def test_sizes():
    (found,) = [rows for rows in TABLES if rows[0][1] == "skip"]
    assert [found[0], *found[2:]] == size_table()


def test_rules_and_methods():
    rows, _ = table("rule")
    assert [row[0].strip("`") for row in rows] == [*CLIPPINGS]
    rows, _ = table("method")
    assert [row[0].split("`")[1] for row in rows] == [*METHODS]


def test_file(tmp_path):
    block = TEXT.split("## A file for everything")[1].split("## ")[0]
    lines = re.findall(r"^    (.*)$", block, re.MULTILINE)
    file = tmp_path / "own.toml"
    file.write_text("\n".join(lines))
    scheme = read_scheme(str(file))
    assert scheme.overrides == {"lstm.0.h": (4, 8), "lstm.1.h.g": (16, 16)}
    own = {"roles", "overrides", "weight_bits", "activation_bits"}
    names = {line.split(" = ")[0] for line in lines if " = " in line}
    assert {*Scheme.__dataclass_fields__} - own <= names  # it shows all settings


def test_measured_are_all_pairs():
    (rows,) = [rows for rows in TABLES if rows[0][:2] == ["W/A", "method"]]
    assert rows[0][2:] == ["LSTM", "GRU", "LiGRU", "SRU"]
    assert all(re.fullmatch(r"\d\d\.\d\d", cell) for row in rows[2:] for cell in row[2:])


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command):
    words = command.replace("METHOD", "gptq").split()
    make_parser([words[0]]).parse_args(words)
