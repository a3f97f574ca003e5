# SPDX-License-Identifier: Apache-2.0
"""Cycles per step and area that verbs estimate without building or simulating anything."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.models.network import Network
    from ..hw.config import AcceleratorConfig
    from ..hw.estimates.area import AreaEstimate

STEPS = 1000
"""Most frames of a data set that an estimate is over."""

DENSE_STEPS = 4
"""Steps until one takes as long as the next."""


def estimated_cycles(
    network: "Network", word_bits: int, data: "Dataset"
) -> tuple[float, float] | None:
    """Cycles per step (dense, with the events of the data's first frames) on the accelerator that
    `network` would get; None where there is no hardware for it, or none that the estimate covers,
    or Amaranth is not installed.
    """
    config = _accelerator(network, word_bits)
    if config is None:
        return None
    dense, delta = dense_cycles(network, config), data_cycles(network, config, data)
    return None if dense is None or delta is None else (dense, delta)


def data_cycles(network: "Network", config: "AcceleratorConfig", data: "Dataset") -> float | None:
    """Cycles per step with the events of the data's first frames; None where the estimate does not
    cover the accelerator.
    """
    from ..golden.engines.engine import quantize_frames, run
    from ..hw.estimates.cycles import estimate_cycles

    frames, left = [], STEPS
    for features in data.features:
        if left:
            frames.append(quantize_frames(network, features[:left]))
            left -= len(frames[-1])
    events = [result.events for result in run(network, frames)]
    try:
        return estimate_cycles(network, config, events).cycles_per_step
    except UserError:
        return None


def _accelerator(network: "Network", word_bits: int) -> "AcceleratorConfig | None":
    """The accelerator that `network` would get; None where there is none."""
    if find_spec("amaranth") is None:
        return None
    from ..hw.compiler.compile import check_fits, derive_config
    from ..hw.compiler.plan import plan_paths

    try:
        config = derive_config(network, word_bits=word_bits)
        check_fits(network, config, plan_paths(network, config))
    except UserError:
        return None
    return config


def estimated_area(network: "Network", word_bits: int) -> "AreaEstimate | None":
    """What the accelerator that `network` would get takes of an ECP5, buses included; None where
    there is no hardware for it, or Amaranth is not installed.
    """
    config = _accelerator(network, word_bits)
    if config is None:
        return None
    from ..hw.estimates.area import estimate_area

    return estimate_area(config)


def dense_cycles(network: "Network", config: "AcceleratorConfig") -> float | None:
    """Cycles of a step where every element changes in every step, a sequence's first ones apart;
    None where the estimate does not cover the accelerator.
    """
    from ..hw.estimates.cycles import dense_events, estimate_cycles

    try:
        ends = estimate_cycles(network, config, [dense_events(network, DENSE_STEPS)]).ends
    except UserError:
        return None
    return ends[-1] - ends[-2]
