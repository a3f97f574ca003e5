# SPDX-License-Identifier: Apache-2.0
"""Cycle model of datapath/statistics: a layer's gates gather, and go on when all have come."""

from collections.abc import Callable
from math import ceil

from ..compiler.plan import Plan
from ..datapath.statistics.timing import SETUP, back_cycles, has_peephole, turns
from ..parts.queue import BUFFERED_CYCLES
from .cycle_parts import NEVER


class NormModel:
    """The layer normalisation, between the queue to the cell unit and that.

    Members
    -------
    free: from when on words of another layer may pass, or be taken
    left: when the last unit up to now has left the cells
    """

    def __init__(self, plan: Plan) -> None:
        self.free = self.left = NEVER
        self._plan = plan
        self._waits = has_peephole(plan.config)
        self._lanes = plan.config.norm_lanes
        # Of the layer that is gathered: all words' cycles, and when their last values have come.
        self._words: list[int] = []
        self._finals: list[int] = []

    def take(self, came: int, last_taken: int, units: int) -> int:
        """When a layer's next word, of so many units, is taken from the queue that it came to."""
        free = self._finals[-1] if self._words else self.free
        if self._waits and not self._words:
            free = max(free, self.left + 1)
        if came < free or came <= last_taken:
            came = max(came + BUFFERED_CYCLES, free, last_taken + 1)
        taken = came if self._words else came + SETUP
        self._words.append(ceil(units / self._lanes))
        self._finals.append(taken + self._words[-1])
        return taken

    def give(self, stage: int, accept: Callable[[int], int]) -> None:
        """Gives the layer that has been taken to the cell unit.

        accept: of the cycle in which a word is there for it, the one in which that takes it
        """
        config, gates = self._plan.config, len(self._plan.stages[stage].gates)
        there = turns(config, self._finals[-gates:]) + back_cycles(config) - 1
        accepted = NEVER
        for cycles in self._words:
            there += cycles
            accepted = accept(max(there, accepted + cycles))
        self.free, self._words, self._finals = accepted + 1, [], []
