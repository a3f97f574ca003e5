# SPDX-License-Identifier: Apache-2.0
"""What the cycle model knows of latencies, of a pass, and of an event list."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...golden.errors import UserError
from ..compiler.passes import PassPlan
from ..config import AcceleratorConfig

NEVER = -(10**9)
"""A cycle long before all others, where what is asked for has not happened yet."""

# Latencies through several components, which none of them has alone.

FIRST_PASS = 2
"""Cycles from a frame's first word to its step's first pass, at the fetch unit and the rows."""

PASS_ROOM = 2
"""Cycles from a pass that the accumulators take to the one that the fetch unit then may take."""

STEP_ROOM = 3
"""Cycles from a step's last pass that the accumulators take to the frame that then may start."""

BANK_FREE = 4
"""Cycles from the end of a list's last pass to the frame that may write its bank."""

PUSHED = 2
"""Cycles before an encoder has recovered from an element in which it pushes the element's event, or
closes the list."""

LOOK_UP = 2
"""Cycles from the question for a list's state to the round that begins with the answer."""

ASK = 2
"""Cycles from a round's last event to the next question."""

CREDIT = 3
"""Cycles from the D-word that makes room behind the drain to the group that may end."""

QUEUE_ROOM = 3
"""Cycles from a word that the cell unit takes to the turn of a D-word that then finds room."""

OUTPUT_ROOM = 4
"""Cycles from a unit-word's last output to the turn of a D-word that then finds room."""


def check_covered(config: AcceleratorConfig) -> None:
    """Raise UserError for an accelerator that the cycle model does not know."""
    way_out = "is not in the cycle model; simulate the network to measure its cycles"
    if config.levels:
        raise UserError(f"lane_kind: {config.lane_kind} {way_out}")


class PassWork:
    """What a pass costs each of the components, in their own terms.

    Members
    -------
    list, name, columns: of the path, whose list it replays
    recurrent: the list was written in the step before; frames: it is of the frames' elements
    release: the last use of the list in a step
    weight_base: its first weight word
    groups, words, tail: groups of rows, their D-words, and those of the last one
    digits: cycles that a D-word drains; least: that a whole group does
    stage: index of the stage
    step_start: the first pass of a step
    layer_start, layer_end: its first word for the cell unit is the stage's first, its last the last
    last: its words go to the cell unit
    unit_words, tail_units: unit-words, and units of the last one
    entries, flush: D-words of a unit-word, and those of them without sums
    """

    def __init__(self, item: PassPlan, config: AcceleratorConfig, *, first: bool):
        use, path = item.use, item.use.path
        gates = len(use.stage.gates)
        self.list, self.name, self.columns = use.list, use.name, path.columns
        self.recurrent = path.source == "h"
        self.frames = use.of_frames
        self.release = item.last_use
        self.weight_base = item.weight_base
        self.groups = item.groups
        self.words = config.group_words(path.weight_bits)
        self.tail = item.d_words * config.cell_units - (item.groups - 1) * self.words
        self.digits = config.digits(path.weight_bits)
        self.least = self.words * self.digits
        self.stage = use.stage.index
        self.step_start = first
        self.layer_start = item.last_path and item.first_chunk
        self.layer_end = item.last_path and item.last_chunk
        self.last = item.last_path
        self.unit_words = item.chunk.count
        self.tail_units = item.chunk.units - (item.chunk.count - 1) * config.unit_word
        self.flush = gates - len(path.gates) if item.last_path else 0
        self.entries = len(path.gates) + self.flush


class ListTimes:
    """A bank of an event list.

    Members
    -------
    pushes: when each event is pushed, in their order
    closed: when the list closes
    """

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
