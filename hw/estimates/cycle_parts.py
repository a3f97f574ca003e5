# SPDX-License-Identifier: Apache-2.0
"""What the cycle model knows of latencies, of a pass, and of an event list."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...golden.errors import UserError
from ..compiler.plan import INPUT, PassPlan
from ..config import AcceleratorConfig

FETCH = 5
"""Cycles from an event's turn in the fetch unit to its request to the weight store."""

LOOK_UP = 2
"""Cycles from the question for a list's state to the round that begins with the answer."""

ASK = 2
"""Cycles from a round's last event to the next question."""

CREDIT = 3
"""Cycles from the D-word that makes room behind the drain to the group that may end."""

SETTLE = 5
"""Cycles from a word into M to the step, or the round, that may read M."""

BUFFERED = 3
"""Cycles through a queue in block RAM, unless it is empty and its taker ready."""

NEXT_PASS = 4
"""Cycles from a pass that the sequencer hands out to the next one."""


def check_covered(config: AcceleratorConfig) -> None:
    """Raise UserError for an accelerator that the cycle model does not know."""
    way_out = "is not in the cycle model; simulate the network to measure its cycles"
    if config.buffered:
        raise UserError(f"sequence_words: a buffer of {config.sequence_words} words {way_out}")
    if config.levels:
        raise UserError(f"lane_kind: {config.lane_kind} {way_out}")


class PassWork:
    """What a pass costs each of the components, in their own terms."""

    def __init__(self, item: PassPlan, config: AcceleratorConfig, gates: int, *, first: bool):
        plan, path = item.plan, item.plan.path
        self.list, self.name, self.columns = plan.list, plan.name, path.columns
        self.recurrent = path.source == "h"
        self.frames = plan.producer == INPUT
        self.release = item.last_use
        self.groups = item.groups
        self.words = config.group_words(path.weight_bits)
        self.digits = config.digits(path.weight_bits)
        self.least = self.words * self.digits
        self.tail = item.chunk.count * len(path.gates) * config.cell_units
        self.tail -= (item.groups - 1) * self.words
        self.unit_words = item.chunk.count
        self.last = item.last_path
        self.flush = gates - len(path.gates) if item.last_path else 0
        self.entries = len(path.gates) + self.flush
        self.stage = plan.stage.index
        self.step_start = first
        self.layer_start = item.last_path and item.first_chunk
        self.layer_end = item.last_path and item.last_chunk
        self.tail_units = item.chunk.units - (item.chunk.count - 1) * config.unit_word


class ListTimes:
    """An event list's bank: when each event, in their order, is pushed, and when it closes."""

    EMPTY: ClassVar["ListTimes"]

    def __init__(self, pushes: npt.NDArray[np.int64], closed: int) -> None:
        self.pushes, self.closed = pushes, closed

    def seen(self, cycle: int, least: int, void: bool) -> tuple[int, int, bool]:
        """The first question from `cycle` on that is answered: (cycle, count, final).

        least: events that make a round.
        """
        if void:
            return max(cycle, self.closed + 1), 0, True
        if cycle <= self.closed and least <= len(self.pushes):
            cycle = min(max(cycle, int(self.pushes[least - 1]) + 1), self.closed + 1)
        else:
            cycle = max(cycle, self.closed + 1)
        if cycle > self.closed:
            return cycle, len(self.pushes), True
        return cycle, int(np.searchsorted(self.pushes, cycle - 1, "right")), False


ListTimes.EMPTY = ListTimes(np.zeros(0, np.int64), 0)
