# SPDX-License-Identifier: Apache-2.0
"""What is registered in one place is known in all others: cells, kinds of lanes, verbs.

Each check does what a user would do with the thing, and so names what a new one lacks.
"""

import argparse
import re
from pathlib import Path

import pytest
from amaranth.hdl import Fragment

from deltaloom import verbs
from deltaloom.golden.cells import CELLS
from deltaloom.golden.evaluation.operations import eliminated_as_published
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.lanes.array import LANES, MacArray
from deltaloom.hw.estimates.area import estimate_area
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles
from deltaloom.hw.words import LANE_KINDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LANE_VERBS = ("generate", "build")


def network_of(kind):
    """A layer of this kind that can be one of a network's, and one behind it."""
    return make_network([("lstm", 4), (kind, 4), ("linear", 2)], 3)


def config_of(kind):
    return derive_config(network_of(kind), word_bits=64)


def count(kind):
    """Elementwise operations of a step (golden)."""
    network = network_of(kind)
    none = dict.fromkeys((name for name, _ in network.paths()), 0)
    eliminated_as_published(network, none, none, 3, 2)


def compiled(kind):
    """A circuit, and an image for it."""
    compile_network(network_of(kind), config_of(kind))


def area(kind):
    estimate_area(config_of(kind))


def cycles(kind):
    network = network_of(kind)
    estimate_cycles(network, config_of(kind), [dense_events(network, 2)])


def cell_page(kind):
    """The title of one page in docs/cells, and a row of docs/cells.md."""
    titles = [page.read_text("utf-8").splitlines()[0] for page in (DOCS / "cells").glob("*.md")]
    assert sum(f"`{kind}`" in title for title in titles) == 1
    assert re.search(rf"^\|.*`{kind}`", (DOCS / "cells.md").read_text("utf-8"), re.MULTILINE)


def lane_config(kind):
    return derive_config(network_of("lstm"), word_bits=64, lane_kind=kind)


def lanes_compiled(kind):
    config = lane_config(kind)
    compile_network(network_of("lstm"), config)


def lanes_built(kind):
    """The array, elaborated."""
    assert kind in LANES  # before there is a component that nobody elaborates
    sizes = {"delta_bits": 9, "drain_rows": 2, "lane_bits": 24, "sum_bits": 24}
    Fragment.get(MacArray(lanes=4, weight_bits=(8,), lane_kind=kind, **sizes), None)


def lane_area(kind):
    estimate_area(lane_config(kind))


def lane_options(kind):
    """What `--lanes` takes, in each verb that has it."""
    for name in LANE_VERBS:
        parser = argparse.ArgumentParser()
        verbs.load(name).configure(parser)
        (option,) = [a for a in parser._actions if "--lanes" in a.option_strings]
        assert kind in option.choices


def lane_page(kind):
    assert f"| `{kind}` |" in (DOCS / "lanes.md").read_text("utf-8")


def verb_loads(name):
    verbs.load(name)


def verb_help(name):
    assert verbs.load(name).help


def verb_page(name):
    """Some page, or the README, that shows how to call it."""
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    assert any(f"deltaloom {name}" in page.read_text("utf-8") for page in pages)


CELL_CHECKS = (count, compiled, area, cycles, cell_page)
LANE_CHECKS = (lanes_compiled, lanes_built, lane_area, lane_options, lane_page)
VERB_CHECKS = (verb_loads, verb_help, verb_page)


def lacks(name, checks):
    """What `name` has not, and why."""
    found = {}
    for check in checks:
        try:
            check(name)
        except Exception as error:
            found[check.__name__] = f"{type(error).__name__}: {error}"
    return found


def test_what_a_new_cell_lacks_is_seen(monkeypatch):
    assert lacks("mystery", CELL_CHECKS).keys() == {check.__name__ for check in CELL_CHECKS}
    monkeypatch.setitem(CELLS, "mystery", CELLS["ligru"])  # all else follows from the description
    assert lacks("mystery", CELL_CHECKS).keys() == {"cell_page"}


def test_what_a_new_kind_of_lanes_or_a_verb_lacks_is_seen():
    assert lacks("mystery", LANE_CHECKS).keys() == {check.__name__ for check in LANE_CHECKS}
    assert lacks("mystery", VERB_CHECKS).keys() == {check.__name__ for check in VERB_CHECKS}


@pytest.mark.parametrize("kind", CELLS)
def test_every_cell_is_complete(kind):
    assert lacks(kind, CELL_CHECKS) == {}


@pytest.mark.parametrize("kind", LANE_KINDS)
def test_every_kind_of_lanes_is_complete(kind):
    assert lacks(kind, LANE_CHECKS) == {}


@pytest.mark.parametrize("name", verbs.VERBS)
def test_every_verb_is_complete(name):
    assert lacks(name, VERB_CHECKS) == {}
