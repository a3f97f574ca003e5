# SPDX-License-Identifier: Apache-2.0
"""Nothing runs on after a verb that was killed, and the next one cleans up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.models.synthetic import make_network

PROGRAM = [sys.executable, "-m", "deltaloom"]


def running(text):
    """The command lines with this text in them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if text in words:
            found.append(words)
    return found


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_simulator_ends_with_its_verb(files, tmp_path):
    net, data = files
    rng = np.random.default_rng(0)
    Dataset((rng.normal(size=(4000, 5)).astype(np.float32),)).save(data)
    words = ["simulate", net, "--data", data, "--sim", "icarus", "--frames", "4000"]
    command = [*PROGRAM, *words, "--workdir", tmp_path / "work", "--word-bits", "32"]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as verb:
            wait_for(lambda: any("vvp " in line for line in running(f"{tmp_path}/work/runs")))
            verb.send_signal(number)
            out, err = verb.communicate()
        assert verb.returncode == code
        assert out == b"" and b"Traceback" not in err
        wait_for(lambda: not running(str(tmp_path)), 5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_tune_and_its_workers_end_quietly(tmp_path, number):
    rng = np.random.default_rng(0)
    make_network([("lstm", 32), ("linear", 4)], 8).save(tmp_path / "net")
    features = tuple(rng.normal(size=(3000, 8)).astype(np.float32) for _ in range(9))
    labels = tuple(rng.integers(0, 4, 3000) for _ in range(9))
    Dataset(features, labels).save(tmp_path / "data.npz")
    words = ["tune", "net", "--data", "data.npz", "-o", "tuned", "--workers", "2"]
    with subprocess.Popen(
        [*PROGRAM, *words, "--candidates", ",".join(map(str, range(60)))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup ignores it
    ) as verb:
        log = tmp_path / "tuned.trials.jsonl"
        wait_for(lambda: log.is_file() and log.read_text().count("\n") > 1)  # all have started
        os.kill(verb.pid, number)
        out, err = verb.communicate()
    assert verb.returncode == {signal.SIGKILL: -9}.get(number, 128 + number)
    assert (out, err) == (b"", b"")

    def group_gone():
        try:
            os.killpg(verb.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(group_gone, 5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.npz", "net", log.name]
