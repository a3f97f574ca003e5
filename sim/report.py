# SPDX-License-Identifier: Apache-2.0
"""What a simulation found: whether every bit was right, and how many cycles it took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..golden.engines.engine import Result
from ..golden.evaluation.networks import AnyNetwork, AnyPath
from .job import Mismatch


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationReport:
    """One simulation of one design.

    Members
    -------
    simulator, seed: which one, and the seed of its stalls.
    sequences, steps: how many were asked for, and frames of all of them.
    words: output words that were compared.
    states: state words compared, those after the last sequence.
    counters: by register name.
    events: by path name. Both are empty when a mismatch came before.
    frame_ends: clock cycle of each output frame's last word.
    ideal_cycles: what the golden events need when every cycle takes one weight word.
    mismatch: the first place where the hardware is not as golden has it; None: it is.
    seconds: the simulator's wall time.
    log, waves: files.
    """

    simulator: str
    sequences: int
    steps: int
    words: int
    states: int
    mismatch: Mismatch | None
    counters: dict[str, int]
    events: dict[str, int]
    frame_ends: tuple[int, ...]
    ideal_cycles: int
    seed: int
    seconds: float
    log: Path
    waves: Path | None

    @property
    def ok(self) -> bool:
        """Everything that was compared is as golden has it."""
        return self.mismatch is None

    @property
    def cycles_per_step(self) -> float:
        """Mean clock cycles per frame while busy, from the design's own counters; nan if none."""
        steps = self.counters.get("STEPS", 0)
        return self.counters["CYCLES"] / steps if steps else float("nan")

    @property
    def steady_cycles_per_step(self) -> float:
        """Mean distance of the ends of successive output frames; nan for a single frame."""
        ends = self.frame_ends
        return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else float("nan")

    @property
    def ideal_cycles_per_step(self) -> float:
        """`ideal_cycles` per frame."""
        return self.ideal_cycles / self.steps

    @property
    def utilisation(self) -> float:
        """Ideal cycles over measured ones; says something only with idle and backpressure 0."""
        return self.ideal_cycles_per_step / self.cycles_per_step

    def __str__(self) -> str:
        """One line: the verdict, and where to look."""
        if self.mismatch is None:
            return (
                f"{self.simulator}: {self.words} output words and {self.states} state words equal "
                f"golden over {self.steps} steps of {self.sequences} sequences"
            )
        hint = f"waveform: {self.waves}" if self.waves else "run again with --waves for a waveform"
        return (
            f"{self.simulator}: MISMATCH, {self.mismatch} (after {self.words} equal words; "
            f"seed {self.seed}); {hint}"
        )


def ideal_cycles(network: AnyNetwork, results: Iterable[Result], word_bits: int) -> int:
    """Cycles that the events of golden runs need: events * ceil(rows * weight_bits / word_bits).

    Where the results have terms, for lanes that add these up, it is terms instead of events.
    """
    paths: dict[str, AnyPath] = dict(network.paths())
    return sum(
        int(np.sum(counts)) * -(-paths[name].rows * paths[name].weight_bits // word_bits)
        for result in results
        for name, counts in (result.terms or result.events).items()
    )


def counter_mismatch(
    network: AnyNetwork,
    results: Sequence[Result],
    counters: dict[str, int],
    events: dict[str, int],
) -> Mismatch | None:
    """The first counter that is not what golden's events make it; frame errors must be none."""
    steps = sum(result.steps for result in results)
    fired = {
        name: sum(int(result.events[name].sum()) for result in results)
        for name, _ in network.paths()
    }
    expected = {
        "STEPS": steps,
        "MACS_DONE": sum(fired[name] * path.rows for name, path in network.paths()),
        "MACS_DENSE": steps * network.macs,
        "FRAME_ERRORS": 0,
    }
    for wanted, got in (
        *((("EVENTS of " + n, e), events[n]) for n, e in fired.items()),
        *((pair, counters[pair[0]]) for pair in expected.items()),
    ):
        if got != wanted[1]:
            return Mismatch(what="counter", where=wanted[0], got=got, expected=wanted[1])
    return None
