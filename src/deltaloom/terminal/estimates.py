# SPDX-License-Identifier: Apache-2.0
"""Cycles per step, area and energy that verbs estimate without building or simulating anything."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyNetwork
    from ..hw.compiler.plan import Plan
    from ..hw.config import AcceleratorConfig
    from ..hw.estimates.cycle_machine import Events
    from ..hw.estimates.energy import EnergyEstimate

STEPS = 1000
"""Most frames of a data set that an estimate is over."""

DENSE_STEPS = 4
"""Steps until one takes as long as the next."""


def data_events(network: "AnyNetwork", data: "Dataset") -> "list[Events]":
    """What fires in the data's first frames."""
    from ..golden.evaluation.networks import input_words, run_words

    frames, left = [], STEPS
    for features in data.features:
        if left:
            frames.append(input_words(network, features[:left]))
            left -= len(frames[-1])
    return [result.events for result in run_words(network, frames)]


def planned(network: "AnyNetwork", word_bits: int) -> "Plan | str":
    """The network's plan on the accelerator that it would get; where there is no hardware for it,
    or Amaranth is not installed, why.
    """
    if find_spec("amaranth") is None:
        return "Amaranth is not installed; pip install deltaloom brings it"
    from ..hw.compiler.fit import check_fits, derive_config
    from ..hw.compiler.plan import Plan

    try:
        plan = Plan.of(network, derive_config(network, word_bits=word_bits))
        check_fits(plan)
    except UserError as error:
        return str(error)
    return plan


def estimated_cycles(plan: "Plan", events: "Sequence[Events]") -> tuple[float, float] | None:
    """Cycles per step, with every element in each step of these sequences and with these events;
    None where the estimate does not cover it.
    """
    dense, delta = (event_cycles(plan, each) for each in (dense_as(plan, events), events))
    return None if dense is None or delta is None else (dense, delta)


def dense_as(plan: "Plan", events: "Sequence[Events]") -> "list[Events]":
    """The events of as many sequences, each as long, where every element changes in each step."""
    from ..hw.estimates.cycles import dense_events

    lengths = [len(next(iter(each.values()))) for each in events]
    return [dense_events(plan.network, steps) for steps in lengths]


def estimated_energy(
    plan: "Plan", events: "Sequence[Events]"
) -> "tuple[float, EnergyEstimate] | None":
    """Energy of a frame in standard cells: dense, J, and with these events; None as for cycles."""
    dense, delta = (event_energy(plan, each) for each in (dense_as(plan, events), events))
    return None if dense is None or delta is None else (dense.total, delta)


def without_energy(plan: "Plan") -> str:
    """Why there is no `estimated_energy`, in words; "" where there is."""
    from ..hw.estimates.energy import check_covered

    try:
        check_covered(plan.config)
    except UserError as error:
        return str(error)
    return ""


def event_energy(plan: "Plan", events: "Sequence[Events]") -> "EnergyEstimate | None":
    """Energy of a frame with these events; None where the estimate does not cover it."""
    from ..hw.estimates.energy import estimate_energy

    try:
        return estimate_energy(plan, events)
    except UserError:
        return None


def event_cycles(plan: "Plan", events: "Sequence[Events]") -> float | None:
    """Cycles per step with these events; None where the estimate does not cover the accelerator."""
    from ..hw.estimates.cycles import estimate_plan

    try:
        return estimate_plan(plan, events).cycles_per_step
    except UserError:
        return None


def dense_cycles(network: "AnyNetwork", config: "AcceleratorConfig") -> float | None:
    """`dense_plan_cycles` of the network on an accelerator."""
    from ..hw.compiler.plan import Plan

    return dense_plan_cycles(Plan.of(network, config))


def dense_plan_cycles(plan: "Plan") -> float | None:
    """Cycles of a step where every element changes in every step, a sequence's first ones apart;
    None where the estimate does not cover the accelerator.
    """
    from ..hw.estimates.cycles import dense_events, estimate_plan

    def ends(steps: int) -> tuple[int, ...]:
        return estimate_plan(plan, [dense_events(plan.network, steps)]).ends

    try:
        last = ends(DENSE_STEPS)
        if plan.config.buffered:  # whose outputs all come at a sequence's end
            return (ends(2 * DENSE_STEPS)[-1] - last[-1]) / DENSE_STEPS
        return last[-1] - last[-2]
    except UserError:
        return None
