# SPDX-License-Identifier: Apache-2.0
"""Thresholds of networks that are quantized already, integer-only LSTMs among them."""

import itertools
import json
import math
import pickle
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import size_bits
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.area import estimate_area
from deltaloom.search.genes import Space
from deltaloom.search.goals import DENSE, Goals
from deltaloom.search.network_problem import NetworkProblem
from deltaloom.search.outputs import page, plain, scheme_text
from deltaloom.search.search import network_of, search
from deltaloom.search.work import Work
from deltaloom.search.workers import Inline

DATA = Dataset(
    tuple(make_frames(4, [30, 22, 17, 9, 12])),
    tuple(
        np.random.default_rng(n).integers(0, 3, size) for n, size in enumerate((30, 22, 17, 9, 12))
    ),
)


def lstm(variant="plain"):
    floats = make_lstm_network(variant, (4, 6), classes=3)
    return quantize(floats, DATA), floats


def run(
    network, model=None, *, names=("error", "eliminated"), thresholds=(0, 9, 40), evaluations=30
):
    metric = metric_of(DATA)
    goals = Goals.of(names, exact="float" if model else DENSE)
    problem = NetworkProblem(
        network=network, model=model, dataset=DATA, metric=metric, names=goals.names
    )
    space = Space.of_network(network, thresholds=thresholds)
    return search(problem, space, goals, Inline, evaluations=evaluations), problem, space


@pytest.mark.parametrize("variant", ["plain", "projection", "norm"])
def test_every_solution_is_what_evaluate_says(variant):
    network, floats = lstm(variant)
    found, problem, space = run(network, floats, names=("error", "eliminated", "nmse"))
    assert space.size == 3 ** len(problem.paths) and len(found.solutions) > 15
    for one in found.solutions[::5]:
        own = network_of(problem, space, one)
        wanted = dl.evaluate(own, DATA, floats)
        assert one.values["error"] == wanted.delta_error
        assert one.values["eliminated"] == wanted.eliminated_operations
        assert one.values["nmse"] == pytest.approx(wanted.fidelity["delta"].nmse)
        assert one.values["size"] == network.size_bits / 8000
        assert {p.threshold for _, p in own.paths()} <= {0, 9, 40}
    assert found.float_error == dl.evaluate(network, DATA, floats).float_error


def test_the_whole_front_of_a_small_space():
    network, _ = lstm()
    found, problem, space = run(network, thresholds=(0, 30), evaluations=64)
    points = []
    for levels in itertools.product(range(2), repeat=len(problem.paths)):
        one = dl.evaluate(space.choice(levels).with_thresholds(network), DATA)
        points.append((one.delta_error, -one.eliminated_operations))
    front = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert {(s.values["error"], -s.values["eliminated"]) for s in found.front} == front
    assert math.isnan(found.float_error)


def test_without_a_model_nmse_is_to_thresholds_0():
    network, _ = lstm()
    found, problem, space = run(network, names=("nmse", "cycles"))
    top = next(one for one in found.solutions if one.levels == space.tops)
    assert top.values["nmse"] == -300
    exact = dl.run(network, DATA).outputs
    one = found.front[-1]
    change = np.concatenate(dl.run(network_of(problem, space, one), DATA).outputs)
    exact = np.concatenate(exact)
    nmse = 10 * np.log10(np.square(change - exact).sum() / np.square(exact).sum())
    assert one.values["nmse"] == pytest.approx(nmse)
    titles = {value["name"]: value["title"] for value in plain(found, problem)["values"]}
    assert titles["nmse"] == "NMSE to thresholds 0"


def test_costs_of_silicon():
    network, floats = lstm("all")
    found, problem, space = run(
        network, floats, names=("error", "cycles", "luts"), thresholds=(0, 20)
    )
    one = found.front[0]
    own = network_of(problem, space, one)
    estimate = dl.estimate(own, DATA)
    assert one.values["luts"] == estimate_area(derive_config(own, word_bits=256)).luts
    assert one.values["cycles"] == pytest.approx(estimate.cycles_per_step)
    with pytest.raises(UserError, match=r"^objective energy: the energy model does not have"):
        run(network, floats, names=("error", "energy"))


def test_networks_of_our_own_arithmetic():
    network = make_network([("gru", 5), ("linear", 3)], 4, activation_bits=4)
    found, problem, space = run(network, thresholds=(0, 16, 48))
    for one in found.solutions[::5]:
        own = network_of(problem, space, one)
        assert one.values["error"] == dl.evaluate(own, DATA).delta_error
        assert one.values["size"] == size_bits(network) / 8000
        assert {p.threshold for _, p in own.paths()} <= {0, 1, 3}  # of 4 bits


def test_the_work_of_an_integer_network():
    network, _ = lstm("projection")
    work = Work.of(network, [name for name, _ in network.paths()])
    assert (work.macs, work.size_bits) == (network.macs, network.size_bits)
    assert {(p.weight_bits, p.activation_bits) for p in work.products} == {(8, 8)}
    assert work.elementwise == sum(layer.elementwise for layer in network.layers) > 0


def test_spaces():
    network, _ = lstm("projection")
    space = Space.of_network(network, share="layer")
    assert [gene.paths for gene in space.genes] == [
        ("lstm.0.x", "lstm.0.h", "lstm.0.m"),
        ("linear.0.x",),
    ]
    assert space.genes[0].values == (48, 32, 24, 16, 12, 8, 6, 4, 2, 0)
    choice = space.choice(space.bottoms)
    assert choice.bits["lstm.0.m"] == (8, 8) and choice.thresholds["lstm.0.m"] == 48
    for options, text in (
        ({"thresholds": (0,)}, "genes: nothing varies"),
        ({"thresholds": (0, 256)}, "threshold: 256 is not possible, it must be 0..255"),
        ({"settings": {"skip": ["none", "all"]}}, "skip: cannot vary, the network is quantized"),
        ({"share": "all"}, "share: 'all' is not possible, it must be path or layer"),
    ):
        with pytest.raises(UserError, match=f"^{text}"):
            Space.of_network(network, **options)


def test_a_digest_is_of_network_and_model_but_not_of_thresholds():
    network, floats = lstm()
    metric = metric_of(DATA)

    def digest(network, model=None):
        problem = NetworkProblem(network=network, model=model, dataset=DATA, metric=metric)
        return pickle.loads(pickle.dumps(problem)).digest  # as workers get it

    other, _ = lstm("norm")
    assert digest(network) == digest(network.with_thresholds({"lstm.0.x": 9}))
    assert len({digest(network), digest(other), digest(network, floats)}) == 3


def test_data_and_model_must_fit():
    network, floats = lstm()
    metric = metric_of(DATA)
    other = make_lstm_network("plain", (4, 6))
    with pytest.raises(UserError, match=r"^model: 4 inputs and 6 outputs, the network has 4 and 3"):
        NetworkProblem(network=network, model=other, dataset=DATA, metric=metric)
    bare = replace(DATA, labels=None)
    with pytest.raises(UserError, match=r"take nmse in place of error"):
        NetworkProblem(network=network, model=floats, dataset=bare, metric=metric)


def test_what_a_solution_is_in_text():
    network, floats = lstm()
    found, problem, _ = run(network, floats)
    one = found.front[-1]
    text = scheme_text(found, problem, one)
    chosen = network_of(problem, found.space, one)
    options = [line for line in text.splitlines() if not line.startswith("#")]
    assert options == [f"--threshold {n}={p.threshold}" for n, p in chosen.paths()]
    data = json.loads(json.dumps(plain(found, problem), allow_nan=False))
    assert data["front"][-1]["scheme"] == text
    assert set(data["front"][0]["bits"]) == set(problem.paths)
    assert "--threshold lstm.0.h=" in page(found, problem, "title")


def test_the_page_shades_thresholds_where_all_bits_are_the_same(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    network, floats = lstm()
    found, problem, _ = run(network, floats)
    file = tmp_path / "page.html"
    file.write_text(page(found, problem, "a search"), encoding="utf-8")
    driver = Path(__file__).with_name("page_driver.js")
    process = subprocess.run([node, driver, file], capture_output=True, text=True, check=False)
    seen = json.loads(process.stdout)
    front = plain(found, problem)["front"]
    codes = {code for one in front for code in one["thresholds"].values()}
    assert seen["shades"] == len(codes) > 1 and seen["rows"] == len(front)
