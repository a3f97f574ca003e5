# SPDX-License-Identifier: Apache-2.0
"""What stands behind an `Accelerator`: a board, or golden."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..golden.arithmetic import Ints
from ..golden.cells import State
from ..golden.evaluation.networks import AnyNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """What an accelerator counted since it was opened, or its counters were cleared.

    Members
    -------
    steps: frames completed.
    macs_done, macs_dense: multiply-accumulates done, and those that dense steps would have taken.
    events: fired deltas by path; paths that share a list are counted as the first of them.
    cycles: clock cycles while a frame was under way; None: golden has no clock, and a design
        without counters (`AcceleratorConfig.counted`) counts nothing.
    busy: of these, those in which a weight word entered the array; None likewise.
    frame_errors, sequence_cuts: see the register map.
    """

    steps: int
    macs_done: int
    macs_dense: int
    events: Mapping[str, int]
    cycles: int | None = None
    busy: int | None = None
    frame_errors: int = 0
    sequence_cuts: int = 0

    @property
    def eliminated(self) -> float | None:
        """Part of the multiply-accumulates that was not done, 0 to 1; None: nothing was counted."""
        return 1 - self.macs_done / self.macs_dense if self.macs_dense else None


class Driver(Protocol):
    """What `Accelerator` needs; all of it raises LinkError where nobody answers."""

    @property
    def network(self) -> AnyNetwork:
        """What runs, with its thresholds as they are."""

    def load(self, network: AnyNetwork) -> None:
        """Run another network from now on; UserError where it does not fit."""

    def set_thresholds(self, thresholds: Mapping[str, int]) -> None:
        """Delta thresholds by path, in codes, from the next frame on."""

    def feed(self, frame: Ints, *, first: bool, end: bool) -> None:
        """A frame of int16 words; first, end: it begins a sequence, it ends one."""

    def outputs(self) -> Ints:
        """The next frame's int16 outputs, as soon as they are there."""

    def ready(self) -> int:
        """Frames whose outputs are there already."""

    def state(self) -> dict[str, State]:
        """(c, h) of every layer, int16 codes."""

    def counters(self) -> Counters:
        """What was counted."""

    def clear_counters(self) -> None:
        """Count from 0."""

    def reconnect(self) -> None:
        """Open the line again; what runs is as it was, every sequence begins anew."""

    def close(self) -> None:
        """Let go of it."""
