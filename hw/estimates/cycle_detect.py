# SPDX-License-Identifier: Apache-2.0
"""Cycle model of datapath/detect and datapath/events: when the events of a list can be read."""

from collections import deque
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import numpy.typing as npt

from ...golden.arithmetic import Ints
from ..compiler.paths import INPUT
from ..compiler.plan import Plan
from ..compiler.sweeps import Sweep
from ..datapath.detect.encoder import recovery
from ..datapath.detect.tokens import RECOVERY as TOKEN_RECOVERY
from ..datapath.fetch.sequencer import STEPS
from .cycle_parts import BANK_FREE, NEVER, PUSHED, STEP_ROOM, ListTimes

Cycles = npt.NDArray[np.int64]


def words_coming(plan: Plan, sweep: Sweep) -> Cycles:
    """Cycles from the first word of a sweep's frame to each of its words.

    Each part that the sequence buffer puts a frame together of takes a cycle more.
    """
    config = plan.config
    if not config.buffered:
        return np.arange(ceil(sweep.inputs(plan.network) / config.input_elements))
    sizes = [plan.network.words_of([source]) for source in sweep.sources]
    return np.arange(sum(sizes)) + np.repeat(np.arange(len(sizes)), sizes)


class DetectModel:
    """The frames' words, and the lists that their encoders and those of the states write.

    Members
    -------
    recovery: cycles from a source's last element to the next source
    encoded: when the encoders are through with the stage that was the last to be encoded
    """

    def __init__(self, plan: Plan, fired: Mapping[str, Sequence[int | Ints]]) -> None:
        config = plan.config
        self.recovery = recovery(config.encoder_shifts, config.delta_modes)
        self.encoded = NEVER
        self._config = config
        # Of a frame of the sweep: its words, and the cycles from the first one to each of them.
        sweep = plan.passes[0].use.stage.sweep
        self._coming = words_coming(plan, sweep)
        self._tokens = sweep.tokens(plan.network)
        self._fired = fired
        self._uses = [users[0] for users in plan.lists if users]
        self._lists: dict[tuple[int, int], ListTimes] = {}
        self._frame_end = NEVER
        # When the banks of a step's frames are free again; when the rows had taken the last pass.
        self._released: list[int] = []
        self._finished: deque[int] = deque([NEVER] * STEPS, maxlen=STEPS)

    def frame(self, t: int) -> int:
        """Writes the lists of step t's frame; the cycle of its first word."""
        recovery = TOKEN_RECOVERY if self._tokens else self.recovery
        start = max(0, self._frame_end + recovery + 1, self._finished[0] + STEP_ROOM)
        free = self._released[t - 2] + BANK_FREE if t > 1 else 0
        elements = self._config.input_elements
        if elements == 1:
            start = max(start, free)
        coming = start + self._coming
        self._frame_end = int(coming[-1])
        for use in self._uses:
            if use.path.tokens:
                self._write_token(use.list, t, use.name)
            elif use.producer == INPUT:
                at = coming[self._elements(use.name, t, use.path.columns) // elements]
                self._write(use.list, t, at, self._frame_end, elements, free)
        return start

    def end_step(self, *, released: int, finished: int) -> None:
        """A step is through: the fetch unit has released the frames' lists, the rows have taken its
        last pass."""
        self._released.append(released)
        self._finished.append(finished)

    def encode(self, stage: int, t: int, unit_words: Sequence[int], end: int) -> None:
        """Writes the lists of a stage's states in step t.

        unit_words: when the first unit of each comes; end: when the last of all units does
        """
        config, times = self._config, np.array(unit_words)
        self.encoded = end + self.recovery - 1
        for use in self._uses:
            if use.producer == stage:
                unit = self._elements(use.name, t + (use.path.source == "h"), use.path.columns)
                row = unit % config.unit_word // config.cell_units
                at = times[unit // config.unit_word] + row
                self._write(use.list, t, at, end, config.cell_units, NEVER)

    def bank_of(self, n: int, bank: int) -> ListTimes | None:
        """A bank of list n; None: since reset, nothing has been written to it."""
        return self._lists.get((n, bank))

    def _write_token(self, n: int, t: int, name: str) -> None:
        """A token's list: the last of its events closes it, another comes a cycle before."""
        fired = self._fired[name][t] if t < len(self._fired[name]) else 0
        count = len(fired) if isinstance(fired, np.ndarray) else int(fired)
        closed = self._frame_end + TOKEN_RECOVERY - PUSHED
        self._lists[n, t & 1] = ListTimes(closed - np.arange(count)[::-1], closed)

    def _write(self, n: int, t: int, at: Cycles, end: int, slices: int, free: int) -> None:
        """A list: its events' elements came at `at`, the source's last one at `end`."""
        early = self.recovery - PUSHED
        pushes, closed = at + early, end + early
        if slices > 1:
            # One event a cycle out of the slices' queues, and the list is opened before.
            order = np.arange(len(at))
            pushes = np.maximum(pushes + 1, free) - order
            pushes = np.maximum.accumulate(pushes) + order
            closed = max(closed + 2, free, int(pushes[-1]) + 1 if len(at) else 0)
        self._lists[n, t & 1] = ListTimes(pushes, closed)

    def _elements(self, name: str, t: int, columns: int) -> Cycles:
        """Which elements of a path's source fire in a step: spread evenly where it is not known."""
        fired = self._fired[name][t] if t < len(self._fired[name]) else 0
        if isinstance(fired, np.ndarray):
            return fired
        return (2 * np.arange(int(fired)) + 1) * columns // (2 * max(int(fired), 1))
