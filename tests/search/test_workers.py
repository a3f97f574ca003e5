# SPDX-License-Identifier: Apache-2.0
"""Processes: the same values, and a lost one loses nothing."""

import os
import signal

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.search import workers
from deltaloom.search.goals import Goals
from deltaloom.search.workers import BREAKS, Inline, Processes, batches

JOBS = 5


@pytest.fixture
def jobs(small):
    return [(small.space.choice((n % 4,) * 6), n == JOBS - 1) for n in range(JOBS)]


def expected(small, jobs):
    return dict(Inline(small.problem()).run(jobs))


def test_batches_part_thin_from_full():
    jobs = list(enumerate([("a", False), ("b", True), ("c", False), ("d", False)]))
    found = batches(jobs, 2)
    assert [[place for place, _ in batch] for batch in found] == [[0, 2], [3], [1]]
    many = list(enumerate([("a", False)] * 40))
    assert max(map(len, batches(many, 2))) == workers.MOST
    assert batches([], 2) == []


def test_processes_give_the_same_values(small, jobs):
    with Processes(small.problem(), 2) as crew:
        assert dict(crew.run(jobs)) == expected(small, jobs)
        assert dict(crew.run(jobs[:1])) == {0: expected(small, jobs)[0]}  # the same processes
        victim = next(iter(crew._pool._processes))
        os.kill(victim, signal.SIGKILL)
        assert dict(crew.run(jobs)) == expected(small, jobs)


def test_a_process_killed_at_work_loses_nothing(small, jobs, tmp_path):
    """The first batch kills its process, once."""
    own = tmp_path / "own.py"
    flag = tmp_path / "killed"
    own.write_text(
        "import os, pathlib, signal\n"
        f"flag = pathlib.Path({str(flag)!r})\n"
        "def cost(found):\n"
        "    if not flag.exists():\n"
        "        flag.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return found.work.macs\n"
    )
    problem = small.problem(names=("error", f"{own}:cost"))
    with Processes(problem, 1) as crew:
        found = dict(crew.run(jobs))
    assert sorted(found) == [*range(JOBS)] and flag.exists()
    assert found == dict(Inline(problem).run(jobs))


def test_processes_that_always_end_are_given_up(small, jobs, tmp_path):
    own = tmp_path / "own.py"
    own.write_text("import os\ndef cost(found):\n    os._exit(1)\n")
    problem = small.problem(names=("error", f"{own}:cost"))
    with (
        Processes(problem, 1) as crew,
        pytest.raises(UserError, match=f"workers: ended {BREAKS} times without a result"),
    ):
        list(crew.run(jobs[:1]))


def test_an_objective_that_raises_is_one_line_from_a_process(small, jobs, tmp_path):
    own = tmp_path / "own.py"
    own.write_text("def cost(found):\n    return 1 / 0\n")
    problem = small.problem(names=("error", f"{own}:cost"))
    with (
        Processes(problem, 1) as crew,
        pytest.raises(UserError, match=r"own.py:cost: raised ZeroDivisionError: division by zero"),
    ):
        list(crew.run(jobs[:1]))


def test_no_workers_are_none(small):
    with pytest.raises(UserError, match="workers: 0 is not possible, it must be at least 1"):
        Processes(small.problem(), 0)


@pytest.mark.slow
def test_any_number_of_workers_finds_the_same_front(small):
    goals = Goals.of(["error", "size"])
    one = small.run(goals=goals, evaluations=40)
    two = small.run(
        goals=goals, evaluations=40, workers=lambda problem, bench: Processes(problem, 2)
    )
    assert two.front == one.front and two.marks == one.marks
