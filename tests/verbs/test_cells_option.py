# SPDX-License-Identifier: Apache-2.0
"""`--cells`: a user's own cell through the command line."""

import pytest

from deltaloom import cli
from deltaloom.golden.cells import load_cells, registry
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.sim.testing.core import check_core

OWN = """
from deltaloom.golden.cells import describe
from deltaloom.golden.cells.values import UNIT, mix, rshr, sigmoid, tanh

@describe(x="z n", h="z n", bounded=True, candidate="n")
def damped(z, n, h):
    share = rshr(0.5 * sigmoid(z), UNIT)
    return {"h": mix(h, share, tanh(n))}
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "damped.py"
    file.write_text(OWN, "utf-8")
    yield file
    registry._cells.pop("damped", None)


def test_rtl_of_an_own_cell_is_golden(own):
    load_cells(own)
    network = make_network([("damped", 5), ("damped", 3)], 3, threshold=2)
    frames = [make_frames(3, steps, seed=steps) for steps in (3, 1)]
    check_core(network, frames, word_bits=24, drain_rows=3)


def test_generate_takes_an_own_cell(own, tmp_path, capsys):
    load_cells(own)
    make_network([("damped", 4)], 3).save(tmp_path / "net")
    registry._cells.pop("damped")
    out = tmp_path / "rtl"
    assert cli.main(["generate", str(tmp_path / "net"), "-o", str(out)]) == 2
    assert "damped" in capsys.readouterr().err
    words = ["generate", str(tmp_path / "net"), "-o", str(out), "--cells", str(own)]
    assert cli.main(words) == 0
    assert list(out.glob("*.v"))


def test_a_missing_file_is_one_line(tmp_path, capsys):
    words = ["generate", "net", "-o", "out", "--cells", str(tmp_path / "none.py")]
    assert cli.main(words) == 2
    assert "cells: there is no file" in capsys.readouterr().err
