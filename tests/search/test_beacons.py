# SPDX-License-Identifier: Apache-2.0
"""Beacons: the paper's distance and rule, and that a search goes on with them."""

import hashlib
import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import run_dataset
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.calibration import observe
from deltaloom.search.beacons import LIST, Beacons, Rule, WithBeacons, distance
from deltaloom.search.genes import Choice, Space
from deltaloom.search.goals import Goals
from deltaloom.search.problem import Bench
from deltaloom.search.search import network_of
from deltaloom.search.workers import Inline
from deltaloom.training.options import Options

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
QUICK = Options(epochs=1, batch=4, rate=0.02)


def choice(*weights, activations=8):
    names = ("gru.0.x", "gru.0.h", "linear.x")
    bits = {name: (w, activations) for name, w in zip(names, weights, strict=True)}
    return Choice(bits, dict.fromkeys(names, 0))


@pytest.fixture
def rule(small, tmp_path):
    def make(**options):
        given = {"data": small.data, "calibration": small.data, "folder": tmp_path / "beacons"}
        return Rule(**given | {"options": QUICK, "errors": (0.0, 90.0)} | options)

    return make


def made(small, rule):
    """A problem, its beacons, and workers with them."""
    problem = replace(small.problem(), more=rule.digest)
    beacons, bench = Beacons(problem, rule), Bench(problem)
    return problem, beacons, WithBeacons(Inline(problem, bench), bench, beacons)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((2, 4, 8), (2, 4, 8), 0),
        ((2, 2, 2), (4, 8, 16), 1 + 2 + 3),
        ((16, 8, 4), (2, 8, 8), 3 + 0 + 1),
    ],
)
def test_distance(a, b, wanted):
    """Places in 2, 4, 8, 16, as in the paper; activations do not count."""
    one, other = choice(*a), choice(*b, activations=4)
    assert distance(dict(one.bits), dict(other.bits)) == wanted


@needs_torch
def test_who_is_trained_and_who_is_judged_by_whom(small, rule):
    said = []
    problem, beacons, crew = made(small, rule(distance=2, say=said.append))
    jobs = [
        (choice(2, 2, 2), False),  # the first one
        (choice(2, 4, 4), False),  # near
        (choice(8, 8, 8), False),  # far
        (choice(2, 2, 2), True),  # thin ones are as they are
        (choice(4, 4, 8), False),  # 4 from the first, 2 from the second
    ]
    plain = dict(Inline(problem).run(jobs))
    with crew:
        found = list(crew.run(jobs))
    assert [place for place, _ in found] == [*range(5)]
    assert len(beacons) == 2 and len(said) == 2
    first, second = (int(line.split(":")[0].removeprefix("beacon ")) for line in said)
    assert said[0].startswith(f"beacon {first}: 2/8 2/8 2/8, error ")
    for place, values in found:
        if jobs[place][1]:
            assert values == plain[place]
            continue
        assert values["untrained-error"] == plain[place]["error"]
        assert values["error"] <= plain[place]["error"]
        assert (values["beacon"] >= 0) == (values["error"] < plain[place]["error"])
        assert values["size"] == plain[place]["size"]
    assert found[1][1]["beacon"] in (-1, first) and found[4][1]["beacon"] in (-1, second)
    assert beacons.nearest(dict(choice(2, 4, 4).bits)) == first
    assert beacons[second].bits == dict(choice(8, 8, 8).bits)


@needs_torch
def test_errors_of_no_interest(small, rule):
    _, beacons, crew = made(small, rule(errors=(80.0, 90.0)))
    with crew:
        ((_, values),) = crew.run([(choice(2, 2, 2), False)])
    assert len(beacons) == 0 and values["beacon"] == -1


@needs_torch
def test_a_search_goes_on_with_its_beacons(small, rule, tmp_path):
    space = Space.of(small.model, weights=(2, 4), activations=(4, 8))
    goals = Goals.of(["error", "size"])

    def run(budget):
        problem, beacons, _ = made(small, rule())
        result = small.run(
            problem,
            space=space,
            goals=goals,
            evaluations=budget,
            method="random",
            log=tmp_path / "log.jsonl",
            beacons=beacons,
        )
        return problem, beacons, result

    first = run(4)
    _, kept, _ = made(small, rule())
    assert len(kept) == len(first[1]) >= 1
    problem, beacons, result = run(8)
    assert result.measured == 8 - 4
    (tmp_path / "log.jsonl").unlink()
    for file in (tmp_path / "beacons").iterdir():
        file.unlink()
    whole = run(8)[2]
    assert whole.solutions == result.solutions
    # The network of a solution is the one that was judged.
    best = min(result.solutions, key=lambda one: (-one.values["beacon"], one.values["error"]))
    network = network_of(problem, space, best, beacons)
    outputs = run_dataset(network, small.data).real(network)
    assert problem.metric(small.data, outputs) == best.values["error"]


@needs_torch
def test_settings_side_by_side_keep_their_own_beacons(small, rule, tmp_path):
    """Of the same bits, in one folder; a number is of the file's content."""
    rules = [rule(options=replace(QUICK, epochs=3, seed=seed)) for seed in (1, 2)]
    numbers = []
    for one in rules:
        crew = made(small, one)[2]
        with crew:
            list(crew.run([(choice(2, 2, 2), False)]))
        numbers.append(made(small, one)[1].nearest(dict(choice(2, 2, 2).bits)))
    assert numbers[0] != numbers[1]
    for one, number in zip(rules, numbers, strict=True):
        file = tmp_path / "beacons" / f"beacon-{number}.safetensors"
        assert int(hashlib.sha256(file.read_bytes()).hexdigest()[:12], 16) == number
        kept = made(small, one)[1]
        assert len(kept) == 1
        # From its own weights: at its own bits nothing is lost.
        again, own = kept[number].bench.quantize(choice(2, 2, 2)), Network.load(file)
        for (_, a), (_, b) in zip(again.paths(), own.paths(), strict=True):
            np.testing.assert_array_equal(a.weights, b.weights)


@needs_torch
@pytest.mark.parametrize("harm", ["lost", "damaged", "another", "not listed"])
def test_what_rests_on_a_beacon_that_is_gone_is_measured_again(small, rule, tmp_path, harm):
    space = Space.of(small.model, weights=(2, 4), activations=(4, 8))
    said = []

    def run(budget):
        problem, beacons, _ = made(small, rule(distance=1.0))
        options = {"space": space, "method": "random", "log": tmp_path / "log.jsonl"}
        options |= {"evaluations": budget, "beacons": beacons, "warn": said.append}
        return problem, beacons, small.run(problem, **options)

    first = run(8)[2]
    used = [one.values["beacon"] for one in first.solutions if one.values["beacon"] >= 0]
    gone, stays = used[0], next(number for number in used if number != used[0])
    folder = tmp_path / "beacons"
    file, other = (folder / f"beacon-{int(number)}.safetensors" for number in (gone, stays))
    lines = (folder / LIST).read_text().splitlines(keepends=True)
    if harm == "lost":
        file.unlink()
    elif harm == "damaged":
        file.write_bytes(file.read_bytes()[:-3])
    elif harm == "another":
        file.write_bytes(other.read_bytes())
    else:
        (folder / LIST).write_text("".join(line for line in lines if file.name not in line))
    problem, kept, _ = made(small, rule(distance=1.0))
    assert gone not in kept and stays in kept
    lost = next(one for one in first.solutions if one.values["beacon"] == gone)
    with pytest.raises(UserError, match=f"{file.name}: gone or damaged, and a solution"):
        network_of(problem, space, lost, kept)
    with pytest.raises(UserError, match=r"the solution is by beacon .*; give those of its search"):
        network_of(problem, space, lost)
    problem, beacons, again = run(8)
    assert again.measured == used.count(gone)
    what = "evaluation rests" if used.count(gone) == 1 else "evaluations rest"
    log = tmp_path / "log.jsonl"
    assert said == [
        f"{log}: {used.count(gone)} {what} on files that are gone or damaged; measured again"
    ]
    assert [one.levels for one in again.solutions] == [one.levels for one in first.solutions]
    for one in again.solutions:
        outputs = run_dataset(network := network_of(problem, space, one, beacons), small.data)
        assert problem.metric(small.data, outputs.real(network)) == one.values["error"]
    assert run(8)[2].measured == 0 and len(said) == 1


@needs_torch
def test_another_rule_and_a_damaged_list(small, rule, tmp_path):
    _, beacons, crew = made(small, rule())
    with crew:
        list(crew.run([(choice(2, 2, 2), False)]))
    assert len(beacons) == 1
    assert len(made(small, rule(distance=1.0))[1]) == 0
    with (tmp_path / "beacons" / LIST).open("a") as stream:
        stream.write('{"of": "')  # what a killed search was writing
    assert len(made(small, rule())[1]) == 1
    _, again, crew = made(small, rule(distance=0.0))
    with crew:
        list(crew.run([(choice(2, 2, 2), False)]))
    assert len(made(small, rule(distance=0.0))[1]) == len(again) == 1  # after what was cut
    entry = json.loads((tmp_path / "beacons" / LIST).read_text().splitlines()[0])
    (tmp_path / "beacons" / entry["file"]).unlink()
    assert len(made(small, rule())[1]) == 0


def test_data_that_does_not_fit_is_refused_before_the_search(small, rule):
    frames, labels = small.data.features, small.data.labels
    problem, other = small.problem(), tuple(np.full(len(x), 3) for x in frames)
    targets = tuple(np.zeros((len(x), 3), np.float32) for x in frames)
    for data, text in (
        (Dataset(tuple(x[:, :3] for x in frames), labels), "training data: features: 3 per frame"),
        (Dataset(frames, other), r"training data: labels: class 3, the network has outputs 0\.\.2"),
        (Dataset(frames), "training data: no frame has a label or a target"),
        (Dataset(labels, labels), "training data: tokens: the network takes 4 features a frame"),
        (
            Dataset(frames, task="regression", targets=targets),
            "tuning data: of the task classification, the training data of regression",
        ),
    ):
        with pytest.raises(UserError, match=text):
            Beacons(problem, rule(data=data))


def test_models_of_tokens_are_refused(small, rule):
    """Before the search, too."""
    problem = small.problem()
    gru, linear = problem.model.layers
    first = replace(gru, paths=(replace(gru.paths[0], tokens=True), gru.paths[1]))
    model = replace(problem.model, layers=(first, linear))
    words = tuple(np.arange(len(x)) % 4 for x in small.data.features)
    data = Dataset(words, small.data.labels)
    problem = replace(problem, model=model, dataset=data, statistics=observe(model, data))
    with pytest.raises(UserError, match="tokens: networks whose frames are tokens cannot be"):
        Beacons(problem, rule(data=data, calibration=data))


def test_without_labels_there_is_no_error_to_lower(small, rule):
    unlabelled = Dataset(small.data.features)
    problem = small.problem(dataset=unlabelled, names=("nmse", "size"))
    with pytest.raises(UserError, match="tuning data: no frame has a label or a target; give"):
        Beacons(problem, rule())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"errors": (5.0, 1.0)}, "beacon errors: 5,1 is not possible, the first must be"),
        ({"distance": -1.0}, "beacon distance: -1 is not possible, 0 or more is"),
    ],
)
def test_rules(rule, options, text):
    with pytest.raises(UserError, match=text):
        rule(**options)
