# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.golden.cells import State
from deltaloom.golden.engines.engine import run
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.sim.job import Job, LayerState, Mismatch, Outcome, Progress, batches
from deltaloom.sim.report import counter_mismatch, ideal_cycles
from deltaloom.sim.stimulus import Stimulus


def test_job_survives_its_files(tmp_path):
    job = Job(
        frames=(make_frames(3, 4, seed=1), make_frames(3, 2, seed=2)),
        outputs=(make_frames(2, 4, seed=3), make_frames(2, 2, seed=4)),
        states=(State(np.array([1, -32768]), np.array([32767, -1])),),
        layers=(LayerState(name="one", base=7, has_c=True),),
        lists=2,
        stimulus=Stimulus(
            seed=5,
            idle=0.25,
            backpressure=0.5,
            patience=99,
            new_sequence="register",
            reset_after=3,
        ),
        thresholds={1: 65535},
        image=np.array([[0x800000, 0xFFFFFFFF]]),
    )
    job.save(tmp_path)
    got = Job.load(tmp_path)
    for name in ("frames", "outputs"):
        for mine, theirs in zip(getattr(job, name), getattr(got, name), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(got.states[0].c, job.states[0].c)
    np.testing.assert_array_equal(got.states[0].h, job.states[0].h)
    np.testing.assert_array_equal(got.image, job.image)
    for name in ("layers", "lists", "stimulus", "patience", "thresholds"):
        assert getattr(got, name) == getattr(job, name)


@pytest.mark.parametrize(
    "mismatch", [None, Mismatch(what="output", sequence=1, step=2, index=3, got=-4, expected=5)]
)
def test_outcome_survives_its_file(tmp_path, mismatch):
    outcome = Outcome(words=3, frame_ends=[1, 2], counters={"STEPS": 2}, events=[9])
    outcome.mismatch = mismatch
    outcome.save(tmp_path)
    assert Outcome.load(tmp_path) == outcome


def test_progress(tmp_path):
    progress = Progress(tmp_path)
    assert progress.read() == 0
    progress.write(3)
    progress.write(4)  # too soon after the other
    assert progress.read() == 3
    progress.write(5, last=True)
    assert progress.read() == 5


def test_batches():
    image = [(0, 1), (4, 2), (12, 3), (8, 4), (12, 5)]
    assert batches(image) == [(0, [1, 2]), (12, [3]), (8, [4, 5])]
    assert batches([]) == []


@pytest.mark.parametrize(
    ("mismatch", "text"),
    [
        (
            Mismatch(what="output", sequence=0, step=2, index=1, got=-4, expected=5),
            "output at sequence 0, step 2, unit 1: got -4, expected 5",
        ),
        (Mismatch(what="stall", sequence=1, step=0), "stall at sequence 1, step 0"),
        (
            Mismatch(what="counter", where="STEPS", got=0, expected=3),
            "counter STEPS: got 0, expected 3",
        ),
        (Mismatch(what="surplus output"), "surplus output"),
    ],
)
def test_mismatch_as_text(mismatch, text):
    assert str(mismatch) == text


def test_counters_that_golden_wants():
    network = make_network([("lstm", 3), ("linear", 2)], 4, seed=1, threshold=3)
    results = run(network, [make_frames(4, 6, seed=1), make_frames(4, 3, seed=2)])
    rows = {"lstm0.x": 12, "lstm0.h": 12, "linear1.x": 2}
    totals = {name: sum(int(r.events[name].sum()) for r in results) for name in rows}
    good = {
        "STEPS": 9,
        "MACS_DONE": sum(rows[name] * n for name, n in totals.items()),
        "MACS_DENSE": 9 * (12 * 4 + 12 * 3 + 2 * 3),
        "FRAME_ERRORS": 0,
        "CYCLES": 1234,
        "BUSY": 12,
    }
    assert counter_mismatch(network, results, good, totals) is None
    for name in ("STEPS", "MACS_DONE", "MACS_DENSE", "FRAME_ERRORS"):
        wrong = counter_mismatch(network, results, {**good, name: 77777}, totals)
        assert (wrong.where, wrong.got, wrong.expected) == (name, 77777, good[name])
    other = {**totals, "lstm0.h": totals["lstm0.h"] + 1}
    wrong = counter_mismatch(network, results, good, other)
    assert (wrong.where, wrong.got - wrong.expected) == ("EVENTS of lstm0.h", 1)
    # 64-bit words of 8-bit weights: 12 rows take 2 words, 2 rows take 1.
    assert ideal_cycles(network, results, 64) == (
        2 * (totals["lstm0.x"] + totals["lstm0.h"]) + totals["linear1.x"]
    )
