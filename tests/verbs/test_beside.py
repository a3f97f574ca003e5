# SPDX-License-Identifier: Apache-2.0
"""Verbs run beside each other, as the demo does."""

import json
import subprocess
import time

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.terminal.beside import Beside, Command
from deltaloom.terminal.progress import Stages


def beside(tmp_path, words, result):
    command = Command(title="it", words=words, result=result)
    return Stages(), command, tmp_path / "it.log"


def test_a_verb_beside(files, tmp_path, capsys):
    result = tmp_path / "out.json"
    words = ["evaluate", files[0], "--data", files[1], "--json", result]
    stages, command, log = beside(tmp_path, words, result)
    with stages, Beside(command, log, stages) as verb:
        verb.wait()
    assert json.loads(result.read_text())["steps"] == 16
    assert stages.seconds.keys() == {"it"} and capsys.readouterr().err.endswith(" s  it\n")


def test_a_verb_beside_that_fails(tmp_path):
    result = tmp_path / "old.json"
    result.write_text("{}")
    words = ["evaluate", tmp_path / "absent", "--data", "d", "--json", result]
    stages, command, log = beside(tmp_path, words, result)
    with (
        pytest.raises(UserError, match=r"^\S*absent: no such file"),
        Beside(command, log, stages) as verb,
    ):
        verb.wait()
    assert "absent" in log.read_text()


def test_a_verb_beside_without_a_result(tmp_path):
    stages, command, log = beside(tmp_path, ["--version"], tmp_path / "never")
    with (
        pytest.raises(UserError, match=r"--version ended with code 0: .*; see .*it\.log"),
        Beside(command, log, stages) as verb,
    ):
        verb.wait()


def test_a_verb_beside_ends_with_the_block(files, tmp_path):
    """Also what it has started: no simulator stays behind."""
    words = ["simulate", files[0], "--data", files[1], "--sim", "icarus", "--frames", 16]
    words += ["--word-bits", 32, "--workdir", tmp_path / "sim", "--idle", 0.99999]
    stages, command, log = beside(tmp_path, words, tmp_path / "never")
    with pytest.raises(ZeroDivisionError), Beside(command, log, stages):
        for _ in range(600):
            if log.exists() and "stalled" in log.read_text():
                break
            time.sleep(0.1)
        time.sleep(1)
        raise ZeroDivisionError
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(tmp_path / "sim") not in left
