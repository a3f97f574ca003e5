# SPDX-License-Identifier: Apache-2.0
"""The search: methods, limits, resuming, and that the seed alone decides."""

import itertools
import json
import sys

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.search.genes import Space
from deltaloom.search.goals import Goals, nondominated
from deltaloom.search.methods import METHODS
from deltaloom.search.outputs import pick, plain
from deltaloom.search.search import network_of
from deltaloom.search.workers import Inline

QUICK = [name for name in METHODS if name != "nsga2"]


def same(a, b):
    return a.front == b.front and a.solutions == b.solutions and a.marks == b.marks


@pytest.mark.parametrize("method", QUICK)
def test_a_seed_gives_a_front(small, method):
    goals = Goals.of(["error", "size"])
    found = small.run(method=method, goals=goals)
    assert found.evaluations <= 60 and same(found, small.run(method=method, goals=goals))
    vectors = [goals.vector(one.values) for one in found.front]
    assert len(found.front) > 1
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(vectors))
    volumes = [mark.hypervolume for mark in found.marks]
    assert volumes == sorted(volumes) and 0 < found.hypervolume <= 1
    assert [mark.evaluations for mark in found.marks][:2] == [2.0, 2.0] or len(volumes) > 2
    other = small.run(method=method, goals=goals, seed=2)
    assert other.solutions != found.solutions


def test_nsga2_is_seeded_and_keeps_limits(small):
    pytest.importorskip("pymoo")
    goals = Goals.of(["error", "size"], {"error": 30})
    found = small.run(method="nsga2", goals=goals)
    assert same(found, small.run(method="nsga2", goals=goals))
    assert found.evaluations == 60 and all(one.values["error"] <= 30 for one in found.front)


def test_nsga2_without_pymoo_is_one_line(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(
        UserError, match=r"pymoo is not installed; pip install 'deltaloom\[search\]'"
    ):
        small.run(method="nsga2")


def test_the_whole_front_of_a_small_space(small):
    """Where the budget allows for all genomes, ours ends with the true front."""
    space = Space.of(small.model, weights=(2, 4, 8), activations=(4, 8), share="layer")
    goals = Goals.of(["error", "size"])
    found = small.run(space=space, goals=goals, evaluations=500)
    every = small.run(space=space, goals=goals, evaluations=500, method="random")
    assert len(found.solutions) == len(every.solutions) == space.size == 36
    assert found.evaluations < 500  # it ends where nothing is left
    vectors = np.array([goals.vector(one.values) for one in every.solutions])
    best = sorted(map(tuple, vectors[nondominated(vectors)].tolist()))
    assert sorted(tuple(goals.vector(one.values)) for one in found.front) == best


def test_three_objectives_and_more_genes(small):
    goals = Goals.of(["nmse", "bitfusion-speedup", "eliminated"], {"nmse": -3})
    settings = {"skip": ("none", "all")}
    space = Space.of(small.model, weights=(4, 8), thresholds=(0, 8), settings=settings)
    found = small.run(space=space, goals=goals, evaluations=50)
    assert all(one.values["nmse"] <= -3 for one in found.front) and found.hypervolume > 0
    assert found.front[0].values["nmse"] == min(one.values["nmse"] for one in found.front)


def test_costs_of_silicon(small):
    limits = {"energy": 1e6}
    goals = Goals.of(["nmse", "cycles", "luts"], limits, board="ulx3s_85f")
    settings = {"word_bits": (32, 64)}
    space = Space.of(small.model, thresholds=(0, 16), settings=settings)
    found = small.run(space=space, goals=goals, evaluations=14)
    assert all(one.values["board"] < 0 and one.values["cycles"] > 10 for one in found.solutions)
    top, bottom = found.solutions[:2]  # 64-bit words of 16 bits, 32-bit words of 2 bits
    assert bottom.values["cycles"] < top.values["cycles"]
    assert 0 < bottom.values["energy"] < top.values["energy"]
    with pytest.raises(UserError, match="board 'none' is unknown"):
        small.run(goals=Goals.of(["nmse", "cycles"], board="none"), evaluations=3)


def test_a_resumed_search_measures_only_what_is_missing(small, tmp_path):
    log = tmp_path / "log.jsonl"
    whole = small.run(log=log)
    lines = log.read_bytes().splitlines(keepends=True)
    assert whole.measured == len(lines) > 20
    assert small.run(log=log).measured == 0
    log.write_bytes(b"".join(lines[:15]) + lines[15][:30])  # killed while it wrote
    said = []
    again = small.run(log=log, warn=said.append)
    assert same(again, whole) and again.measured == len(lines) - 15
    assert len(said) == 1 and "line 16 damaged and left out" in said[0]
    entry = json.loads(lines[0])
    assert small.problem().digest == entry["of"] and entry["values"]["size"] > 0


def test_other_data_or_rules_are_other_evaluations(small):
    base = small.problem()
    assert base.digest == small.problem().digest
    assert base.digest != small.problem(dataset=small.data.subset([0, 1, 2])).digest
    assert base.digest != small.problem(names=("nmse", "cycles")).digest
    assert base.digest == small.problem(names=("nmse", "size")).digest


def test_no_solution_within_the_limits_is_one_line(small):
    with pytest.raises(UserError) as error:
        small.run(goals=Goals.of(["error", "size"], {"size": 0.01}), evaluations=10)
    assert str(error.value).startswith("limits: none of ")
    assert "the nearest has size 0.1" in str(error.value) and "of 0.01" in str(error.value)


def test_without_labels_nmse_is_there(small):
    unlabelled = small.data.__class__(small.data.features)
    with pytest.raises(UserError, match="no frame has a label or a target"):
        small.problem(dataset=unlabelled)
    made = small.problem(dataset=unlabelled, names=("nmse", "size"))
    found = small.run(made, goals=Goals.of(["nmse", "size"]), evaluations=30)
    assert found.front and plain(found, made)["float_error"] is None
    assert [value["name"] for value in plain(found, made)["values"]][:2] == ["nmse", "size"]


def test_thin_evaluations_are_parts(small):
    found = small.run()
    genes = sum(len(gene.values) - 1 for gene in small.space.genes)
    assert len(found.alone) == genes + 1
    assert found.evaluations == len(found.solutions) + (genes + 1) / 4


def test_a_picked_network_is_what_was_measured(small):
    goals = Goals.of(["error", "size"])
    problem = small.problem(names=goals.names)
    space = Space.of(small.model, thresholds=(0, 8))
    found = small.run(problem, space=space)
    one = pick(found, found.knee)
    network = network_of(problem, space, one)
    choice = space.choice(one.levels)
    bits = {name: (p.weight_bits, p.quantizer.bits) for name, p in network.paths()}
    assert bits == choice.bits
    again = Inline(problem).run([(choice, False)])
    assert dict(next(iter(again))[1]) == dict(one.values)
    with pytest.raises(
        UserError, match=f"--pick 99: the front has solutions 0..{len(found.front) - 1}"
    ):
        pick(found, 99)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"method": "hill"}, "method 'hill': not known; there are sensitivity, nsga2, random"),
        ({"evaluations": 1}, "evaluations: 1 is not possible, it must be at least 2"),
    ],
)
def test_what_cannot_be(small, options, line):
    with pytest.raises(UserError, match=line):
        small.run(**options)
