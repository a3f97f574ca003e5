# SPDX-License-Identifier: Apache-2.0
"""Tables keep their numbers in pipes and on narrow terminals."""

import io

import pytest
from rich import console
from rich.table import Table

from deltaloom.terminal.tables import print_table

NAME = "encoder.layers.0.recurrent.forward_direction.weights_of_the_input"
NUMBERS = ["1,234,567", "0.0001..123.4567", "98.76", "-123.4", "16/16", "1,048,576"]


def wide_table():
    table = Table("path")
    for n in range(len(NUMBERS)):
        table.add_column(f"number\n{n}", justify="right")
    table.add_row(NAME, *NUMBERS)
    return table


def numbers_of(text):
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    return [cell.strip() for cell in rows[0][1:]]


def test_in_a_pipe_a_row_is_one_line(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(wide_table())
    text = capsys.readouterr().out
    assert numbers_of(text) == NUMBERS
    assert NAME in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_names_are_folded_and_numbers_are_whole(monkeypatch, width):
    screen = io.StringIO()
    real = console.Console
    monkeypatch.setattr(
        console,
        "Console",
        lambda **options: real(file=screen, force_terminal=True, **{"width": width} | options),
    )
    print_table(wide_table())
    text = screen.getvalue().replace("\x1b[0m", "").replace("\x1b[1m", "")
    assert numbers_of(text) == NUMBERS
    assert "…" not in text
    column = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert "".join(column) == NAME
    assert max(map(len, text.splitlines())) <= max(width, 90)


def test_texts_are_folded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = Table("part", "nodes")
    table.add_row("network", ", ".join([NAME] * 5))
    print_table(table)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
