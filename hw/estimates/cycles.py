# SPDX-License-Identifier: Apache-2.0
"""How many cycles a network takes on an accelerator, from its events alone and without simulation.

A recurrence over the program's passes, with the latencies of the components: when each group of
rows has its last beat, when its sums are taken into M, when the units leave the cell unit, and when
their events can be read. What golden does not tell is which elements fire: events are taken to be
spread evenly over their source, and so are refreshes of an SDRAM with weights. Both streams are
always ready. Several encoders are taken to keep up with the cell units.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ..compiler.networks import AnyNetwork, Network
from ..compiler.paths import path_names
from ..compiler.plan import Plan
from ..config import AcceleratorConfig
from .cycle_machine import Estimate, Events, Machine
from .cycle_parts import check_covered
from .cycle_sweeps import estimate_sweeps

__all__ = ["Estimate", "Events", "dense_events", "estimate_cycles", "estimate_plan"]


def estimate_cycles(
    network: AnyNetwork, config: AcceleratorConfig, events: Sequence[Events]
) -> Estimate:
    """Cycles of sequences that follow each other without a pause; see `estimate_plan`."""
    return estimate_plan(Plan.of(network, config), events)


def estimate_plan(plan: Plan, events: Sequence[Events]) -> Estimate:
    """Cycles of sequences that follow each other without a pause, on a network's plan.

    Parameters
    ----------
    events: of each sequence, by path name, the fired deltas per step [steps], as
        `golden.engines.engine.Result.events` has them; or, where they are known, the indices of the
        elements that fired in each step, in rising order. A path of h may have one entry more, of
        the step that does not come: the next sequence waits until that list is closed, and several
        cell units close it later the more events it has. Without, it is taken to be the last one.

    Raises UserError for what it does not cover: lanes that take terms.
    """
    check_covered(plan.config)
    lengths = [min(map(len, each.values())) for each in events]
    steps = sum(lengths)
    if not steps:
        raise UserError("events: there are no steps, a cycle count needs at least one")
    if plan.config.buffered:
        return estimate_sweeps(plan, events)
    fired = {
        name: _one_after_the_other([each[name] for each in events], lengths, path.source == "h")
        for name, path in plan.network.paths()
    }
    machine = Machine(plan, fired, {0, *accumulate(lengths)})
    ends = [machine.step(t) for t in range(steps)]
    return Estimate(ends=tuple(ends), beats=machine.beats, drained=machine.drained)


def _one_after_the_other(
    sequences: Sequence[Sequence[int] | Ints | Sequence[Ints]], lengths: Sequence[int], of_h: bool
) -> list[int | Ints]:
    """A path's events in all steps; of_h: in a sequence's first one, those of the last h before."""
    joined: list[int | Ints] = []
    behind: int | Ints = 0
    for events, steps in zip(sequences, lengths, strict=True):
        own = list(events[:steps])
        if of_h and own:
            own[0], behind = behind, events[-1]
        joined += own
    return joined


def dense_events(network: Network, steps: int) -> dict[str, Ints]:
    """The events of a sequence in whose steps every element changes."""
    dense = {}
    for layer, names in zip(network.layers, path_names(network), strict=True):
        first = slice(-1, None) if layer.backward else slice(1)  # of its own steps
        for path, name in zip(layer.paths, names, strict=True):
            dense[name] = counts = np.full(steps, path.most_events)
            if path.source == "h":
                counts[first] = 0
    return dense
