# SPDX-License-Identifier: Apache-2.0
"""A sample of `make fuzz`: wrong inputs are refused in one line, with exit code 2."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import run as fuzz

SEEDS = range(120)


def test_a_sample_of_wrong_inputs(tmp_path):
    codes = set()
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        verdict = fuzz.run(seed, folder)
        assert not verdict.fault, (seed, verdict)
        codes.add(verdict.code)
    assert codes == {0, 2}


def test_faults_are_seen():
    """A test of the test."""
    assert fuzz._fault(fuzz.BUG, "Traceback\nKeyError: 'a'\n") == "traceback: KeyError: 'a'"
    assert fuzz._fault(2, "deltaloom: a\nb\n").startswith("not one line")
    assert fuzz._fault(2, "deltaloom: \x1b[2J\n") == "not printable"
    assert fuzz._fault(-signal.SIGXCPU, "") == "more than 20 s"
    assert fuzz._fault(-signal.SIGALRM, "") == "no end after 200 s"
    assert fuzz._fault(2, "deltaloom: there is not enough memory\n") == "more than 2 GB"
    assert fuzz._fault(2, "deltaloom: a: no such file\n") == fuzz._fault(0, "") == ""
