# SPDX-License-Identifier: Apache-2.0
"""Children end with their parent, however it ends; and a cache where the home has none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deltaloom.golden import processes

PARENT = """
import subprocess, sys
from deltaloom.golden.processes import start
child = start(["sh", "-c", "sleep 1000 & echo $$ $!; wait"], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
child.wait()
"""


def alive(pid):
    """Whether this process runs; a zombie, which nobody reaps here, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids, seconds=5):
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_of_children_end_with_the_parent(number):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3 and all(map(alive, pids))
    parent.send_signal(number)
    parent.communicate()
    assert gone(pids)


def test_end():
    child = processes.start(["sh", "-c", "sleep 1000 & wait"])
    processes.end(child)
    assert child.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", -9)])
def test_exit_codes(script, code):
    assert processes.start(["sh", "-c", script]).wait() == code


def test_a_program_that_is_not_there(capfd):
    assert processes.start(["/no/such"]).wait() == 127
    assert capfd.readouterr().err == "/no/such: No such file or directory\n"


def test_run():
    done = processes.run(["sh", "-c", "cat; echo wrong >&2; exit 4"], "text")
    assert (done.returncode, done.stdout, done.stderr) == (4, "text", "wrong\n")


def test_a_cache_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    processes.usable_cache()
    assert os.environ["XDG_CACHE_HOME"] == ""  # the usual one can be made
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    processes.usable_cache()
    folder = Path(os.environ["XDG_CACHE_HOME"])
    assert folder.stat().st_mode & 0o077 == 0 and folder.stat().st_uid == os.getuid()
