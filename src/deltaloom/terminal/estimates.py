# SPDX-License-Identifier: Apache-2.0
"""Cycles per step and area that verbs estimate without building or simulating anything."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..boards.flow.fits import BoardFit
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyNetwork
    from ..hw.compiler.plan import Plan
    from ..hw.config import AcceleratorConfig
    from ..hw.estimates.area import AreaEstimate

STEPS = 1000
"""Most frames of a data set that an estimate is over."""

DENSE_STEPS = 4
"""Steps until one takes as long as the next."""


def estimated_cycles(
    network: "AnyNetwork", word_bits: int, data: "Dataset"
) -> tuple[float, float] | None:
    """Cycles per step (dense, with the events of the data's first frames) on the accelerator that
    `network` would get; None where there is no hardware for it, or none that the estimate covers,
    or Amaranth is not installed.
    """
    plan = _plan(network, word_bits)
    if plan is None:
        return None
    dense, delta = _dense_cycles(plan), _data_cycles(network, plan, data)
    return None if dense is None or delta is None else (dense, delta)


def data_cycles(
    network: "AnyNetwork", config: "AcceleratorConfig", data: "Dataset"
) -> float | None:
    """Cycles per step with the events of the data's first frames; None where the estimate does not
    cover the accelerator.
    """
    from ..hw.compiler.plan import Plan

    return _data_cycles(network, Plan.of(network, config), data)


def _data_cycles(network: "AnyNetwork", plan: "Plan", data: "Dataset") -> float | None:
    from ..golden.evaluation.networks import input_words, run_words
    from ..hw.estimates.cycles import estimate_plan

    frames, left = [], STEPS
    for features in data.features:
        if left:
            frames.append(input_words(network, features[:left]))
            left -= len(frames[-1])
    events = [result.events for result in run_words(network, frames)]
    try:
        return estimate_plan(plan, events).cycles_per_step
    except UserError:
        return None


def _plan(network: "AnyNetwork", word_bits: int) -> "Plan | None":
    """The plan of `network` on the accelerator that it would get; None where there is none."""
    if find_spec("amaranth") is None:
        return None
    from ..hw.compiler.fit import check_fits, derive_config
    from ..hw.compiler.plan import Plan

    try:
        plan = Plan.of(network, derive_config(network, word_bits=word_bits))
        check_fits(plan)
    except UserError:
        return None
    return plan


def estimated_area(network: "AnyNetwork", word_bits: int) -> "AreaEstimate | None":
    """What the accelerator that `network` would get takes of an ECP5, buses included; None where
    there is no hardware for it, or Amaranth is not installed.
    """
    plan = _plan(network, word_bits)
    if plan is None:
        return None
    from ..hw.estimates.area import estimate_area

    return estimate_area(plan.config)


def board_fits(network: "AnyNetwork", word_bits: int) -> "tuple[BoardFit, ...]":
    """The accelerator that `network` would get on each board; none where there is no hardware for
    it, or Amaranth is not installed.
    """
    plan = _plan(network, word_bits)
    if plan is None:
        return ()
    from ..boards.flow.fits import fit_boards

    return fit_boards(plan.config)


def dense_cycles(network: "AnyNetwork", config: "AcceleratorConfig") -> float | None:
    """Cycles of a step where every element changes in every step, a sequence's first ones apart;
    None where the estimate does not cover the accelerator.
    """
    from ..hw.compiler.plan import Plan

    return _dense_cycles(Plan.of(network, config))


def _dense_cycles(plan: "Plan") -> float | None:
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
