# SPDX-License-Identifier: Apache-2.0
"""Cycles of an accelerator with a sequence buffer: its sequences one by one, sweep after sweep.

The core is empty between two sweeps, so that each is a run of the core's model of its own. An
output sweep, which only puts together what is kept, takes a cycle a word and one for each part.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..bus.sequence_buffer import SETTLE
from ..compiler.plan import Plan
from ..compiler.sweeps import Sweep
from .cycle_detect import words_coming
from .cycle_machine import Estimate, Events, Machine

COMPLETE = 3
"""Cycles from the last word of a sequence in the buffer to the one in which it is complete."""

FIRST_WORD = SETTLE + 3
"""Cycles from the one in which a sequence is complete, or a sweep done, to the next sweep's first
word."""

TO_CORE = 1
"""More of them where the sweep's words go to the core."""

NEXT_SEQUENCE = 2
"""Cycles from a sequence's last output to the next one's first word."""

NEXT_FRAME = 1
"""Cycles between two frames on the way into the buffer."""


def estimate_sweeps(plan: Plan, events: Sequence[Events]) -> Estimate:
    """See `cycles.estimate_plan`."""
    ends: list[int] = []
    beats = drained = cycle = 0
    inputs = plan.network.frame_words
    for each in events:
        steps = len(next(iter(each.values())))
        if not steps:
            continue
        cycle += steps * (inputs + NEXT_FRAME) - NEXT_FRAME + COMPLETE
        for sweep in plan.sweeps:
            run, *worked = _sweep(plan, sweep, each, steps)
            started = cycle + FIRST_WORD + TO_CORE * bool(sweep.layers)
            beats, drained = beats + worked[0], drained + worked[1]
            cycle = started + run[-1]
        ends += [started + end for end in run]
        cycle += NEXT_SEQUENCE
    return Estimate(ends=tuple(ends), beats=beats, drained=drained)


def _sweep(plan: Plan, sweep: Sweep, events: Events, steps: int) -> tuple[list[int], int, int]:
    """Cycles from a sweep's first word to each frame's last output, those of the array, and the
    D-words that the rows have."""
    if not sweep.layers:
        frame = int(words_coming(plan, sweep)[-1])
        return [frame + n * (frame + 1 + NEXT_FRAME) for n in range(steps)], 0, 0
    own = _alone(plan, sweep)
    turned = slice(None, None, -1 if sweep.backward else 1)
    fired = {use.name: [*events[use.name]][turned] for use in own.uses}
    machine = Machine(own, fired, {0})
    return [machine.step(t) for t in range(steps)], machine.beats, machine.drained


def _alone(plan: Plan, sweep: Sweep) -> Plan:
    """The plan of one sweep; its stages keep their numbers, so those before it are there, too."""
    return replace(
        plan,
        stages=tuple(s for s in plan.stages if s.sweep.index <= sweep.index),
        uses=tuple(use for use in plan.uses if use.stage.sweep == sweep),
        passes=tuple(p for p in plan.passes if p.use.stage.sweep == sweep),
    )
