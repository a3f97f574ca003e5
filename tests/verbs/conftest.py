# SPDX-License-Identifier: Apache-2.0
"""A small network with data, and how a verb is run and read, for the verbs' tests."""

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.data import Dataset
from deltaloom.golden.models.synthetic import make_network


@pytest.fixture
def files(tmp_path):
    """NET and D: an LSTM of 6 on 5 inputs and 3 outputs; sequences of 7 and 9 frames."""
    rng = np.random.default_rng(0)
    network = make_network([("lstm", 6), ("linear", 3)], 5, threshold=2)
    walk = np.cumsum(rng.normal(size=(16, 5)), axis=0).astype(np.float32) / 4
    network.save(tmp_path / "net")
    Dataset((walk[:7], walk[7:])).save(tmp_path / "data.npz")
    return tmp_path / "net", tmp_path / "data.npz"


@pytest.fixture(scope="session")
def run():
    """run(*words): the exit code of the command line."""
    return lambda *words: cli.main([str(word) for word in words])


@pytest.fixture(scope="session")
def cells():
    """cells(text): the rows of the tables in it, by their first cell."""

    def read(text):
        lines = [row.split("│")[1:-1] for row in text.splitlines() if "│" in row]
        rows = [[cell.strip() for cell in row] for row in lines]
        return {row[0]: row[1:] for row in rows}

    return read


@pytest.fixture
def error(capsys):
    """error(): the one line of an error, without the program's name; nothing else was printed."""

    def read():
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        return err.removeprefix("deltaloom: ").rstrip("\n")

    return read
