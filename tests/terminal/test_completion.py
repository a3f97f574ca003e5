# SPDX-License-Identifier: Apache-2.0
"""Completion by Tab, as bash itself does it with the script that is printed."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from deltaloom import cli
from deltaloom.boards.registry import BOARDS
from deltaloom.terminal.completion import SHELLS
from deltaloom.verbs import VERBS

pytest.importorskip("shtab")
BASH = shutil.which("bash")
ASK = """
source ./completion
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
$(complete -p deltaloom | sed 's/.*-F \\([^ ]*\\) .*/\\1/') deltaloom "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def place(tmp_path, capsys):
    """A folder with the script for bash, a file and a folder."""
    assert cli.main(["--print-completion", "bash"]) == 0
    (tmp_path / "completion").write_text(capsys.readouterr().out)
    (tmp_path / "network.safetensors").touch()
    (tmp_path / "nets").mkdir()
    return tmp_path


@pytest.fixture
def ask(place):
    """ask(*words): what bash offers for the last of them."""
    if BASH is None:
        pytest.skip("needs bash")

    def run(*words):
        command = [BASH, "--norc", "-c", ASK, "bash", "deltaloom", *words]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=20)
        assert done.stderr == ""
        return {word.strip() for word in done.stdout.split("\n") if word.strip()}

    return run


def test_verbs(ask):
    assert ask("") >= set(VERBS)
    assert ask("s") == {"sweep", "search", "simulate"}


@pytest.mark.parametrize("verb", VERBS)
def test_options_of_every_verb(verb, ask):
    assert ask(verb, "--") >= {"--json", "--quiet", "--cells", "--help"}


def test_values(ask):
    assert ask("simulate", "net", "--sim", "") == {"icarus", "verilator"}
    assert ask("build", "net", "--board", "") == set(BOARDS)
    assert ask("build", "net", "--board", "ecp") == {"ecpix5_45f", "ecpix5_85f"}


def test_files_and_folders(ask):
    assert ask("evaluate", "net") >= {"network.safetensors", "nets"}
    assert ask("build", "n", "-o", "ne") == {"nets"}


def test_a_terminal_with_tab(place):
    """The whole of it: an interactive bash, a key, and the word that stands there then."""
    if BASH is None:
        pytest.skip("needs bash")
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(place)
        os.execve(BASH, [BASH, "--norc", "--noprofile", "-i"], {"TERM": "dumb", "PS1": "> "})
    try:
        os.write(terminal, b"source ./completion\n")
        _read(terminal, b"source ./completion")
        os.write(terminal, b"deltaloom simul\t")
        assert b"deltaloom simulate " in _read(terminal, b"simulate ")
        os.write(terminal, b"network.s\t--wave\t")
        assert b"network.safetensors --waves " in _read(terminal, b"--waves ")
    finally:
        os.close(terminal)  # hangs up
        os.waitpid(pid, 0)


def _read(terminal, until):
    """What the terminal shows until these bytes came, for ten seconds."""
    shown, end = b"", time.monotonic() + 10
    while until not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    return shown


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell(shell, tmp_path, capsys):
    assert cli.main(["--print-completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS) and "--word-bits" in text
    program = shutil.which(shell)
    if program is not None:
        (tmp_path / "script").write_text(text)
        done = subprocess.run([program, "-n", tmp_path / "script"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["--print-completion", "bash"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "pip install 'deltaloom[completion]'" in err
    assert cli.main(["--print-completion", "ksh"]) == 2
    assert "invalid choice: 'ksh'" in capsys.readouterr().err
