# SPDX-License-Identifier: Apache-2.0
"""The plan of a network: made once by whoever needs it, and what it says."""

from collections import Counter

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.hw.compiler import plan as planning
from deltaloom.hw.compiler.compile import compile_network, compile_plan
from deltaloom.hw.compiler.fit import derive_config, longest_sequence
from deltaloom.hw.compiler.plan import Outline, Plan
from deltaloom.hw.estimates.cycles import dense_events, estimate_plan
from deltaloom.hw.generate import generate

PLANNERS = ("plan_sweeps", "plan_record", "plan_stages", "plan_uses", "plan_passes")


@pytest.fixture
def calls(monkeypatch):
    """How often each planning function has been called."""
    counts = Counter()

    def counting(name, function):
        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        return call

    for name in PLANNERS:
        monkeypatch.setattr(planning, name, counting(name, getattr(planning, name)))
    return counts


def three_layers():
    return make_network([("lstm", 12), ("gru_before", 9), ("linear", 5)], 6, seed=1)


def test_a_configuration_takes_each_planning_function_once_per_network(calls):
    derive_config(three_layers())
    assert calls == dict.fromkeys(PLANNERS, 1)
    calls.clear()
    derive_config(three_layers(), make_network([("gru", 4)], 6))
    assert calls == dict.fromkeys(PLANNERS, 2)


def test_an_image_takes_each_planning_function_once(calls):
    network = three_layers()
    config = derive_config(network)
    calls.clear()
    compile_network(network, config)
    assert calls == dict.fromkeys(PLANNERS, 1)


def test_a_design_takes_each_planning_function_once_per_configuration(calls, tmp_path):
    """Once on the lanes and rows that a configuration is derived for, and once on that."""
    generate(make_network([("linear", 2)] * 3, 2), tmp_path)
    assert calls == dict.fromkeys(PLANNERS, 2)


def test_what_reads_a_plan_plans_nothing(calls):
    network = three_layers()
    plan = Plan.of(network, derive_config(network))
    calls.clear()
    compile_plan(plan)
    estimate_plan(plan, [dense_events(network, 2)])
    assert not calls


def test_the_shape_of_a_configuration_is_all_that_a_plan_reads():
    """`derive_config` plans before there are sizes: it comes to the same as a plan with them."""
    network = three_layers()
    config = derive_config(network, word_bits=64, cell_units=2, input_elements=2)
    outline = Outline.of(network)
    plan = outline.on(config)
    assert (plan.sweeps, plan.stages) == (outline.sweeps, outline.stages)
    assert config.program == len(plan.passes)
    assert config.layers == len(plan.stages) == 4
    assert config.weight_words == sum(p.weight_words for p in plan.passes)
    assert config.row_words == sum(p.d_words for p in plan.passes)
    assert config.lists == len(plan.lists)
    assert config.states == sum(plan.state_words)


def test_states_take_whole_rows_of_banks():
    network = make_network([("lstm", 3), ("gru", 5)], 2)
    plan = Plan.of(network, derive_config(network, cell_units=4))
    assert plan.state_words == (4, 8)
    assert plan.state_bases == (0, 4)


def test_uses_of_a_list_by_two_stages():
    network = make_network([("gru_before", 5)], 2)
    plan = Plan.of(network, derive_config(network))
    users = {uses[0].name: [use.stage.cell for use in uses] for uses in plan.lists}
    assert users == {
        "gru_before0.h": ["gru_reset"],
        "gru_before0.x": ["gru_reset", "gru_update"],
        "gru_before0.rh": ["gru_update"],
    }


@pytest.mark.parametrize("frames", [1, 7])
def test_frames_of_the_longest_sequence(frames):
    network = make_network([Shape(kind="lstm", units=4, both=True)], 3)
    config = derive_config(network, frames=frames)
    assert Plan.of(network, config).sequence_frames == longest_sequence(network, config) == frames
    forward = make_network([("lstm", 4)], 3)
    assert Plan.of(forward, derive_config(forward)).sequence_frames is None


def test_the_first_pass_of_each_sweep():
    network = make_network([Shape(kind="lstm", units=4, both=True), ("linear", 2)], 3)
    plan = Plan.of(network, derive_config(network))
    firsts = {p.use.stage.sweep.index: n for n, p in enumerate(plan.passes) if p.first_pass}
    assert plan.starts == firsts
    assert [*plan.starts] == [sweep.index for sweep in plan.sweeps]
    assert sum(p.last_pass for p in plan.passes) == len(plan.sweeps)


def test_widths_that_only_golden_has_are_not_planned():
    with pytest.raises(UserError, match=r"lstm0\.x: weights of 3 bits, the hardware has 2, 4"):
        Outline.of(make_network([("lstm", 5)], 3, weight_bits=3))
