# SPDX-License-Identifier: Apache-2.0
"""What the runner asks of the bench inside the simulator, and what the bench answers, as files."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..golden.arithmetic import Ints
from ..golden.cells import State
from .stimulus import Stimulus

INTERVAL = 0.2
"""Seconds between two reports of progress, and between two looks at them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerState:
    """Where a layer's states are.

    Members
    -------
    name: the layer's.
    base: the first unit's word in the state memory.
    has_c, has_h: whether c is compared, and h.
    """

    name: str
    base: int
    has_c: bool
    has_h: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run of the bench.

    Members
    -------
    frames: of each sequence, int16 words [steps, inputs].
    outputs: of each sequence, golden's int16 words [steps, outputs].
    states: of each of `layers`, golden's after the last sequence, int16 words [units].
    layers: where these are in the design.
    lists: number of event lists to count.
    stimulus: how the streams are driven; its patience is a number.
    thresholds: by list index, in codes, written before the first frame.
    image: writes [writes, 2] of (byte address, value) before everything else.
    """

    frames: tuple[Ints, ...]
    outputs: tuple[Ints, ...]
    states: tuple[State, ...]
    layers: tuple[LayerState, ...]
    lists: int
    stimulus: Stimulus
    thresholds: Mapping[int, int] = field(default_factory=dict)
    image: Ints = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @property
    def patience(self) -> int:
        """Clock cycles without an output frame that count as stuck."""
        return self.stimulus.patience or 1

    def save(self, folder: Path) -> None:
        """Write the job into its folder."""
        arrays = {"image": self.image}
        for n, (frames, outputs) in enumerate(zip(self.frames, self.outputs, strict=True)):
            arrays[f"frames_{n}"] = frames.astype(np.int16)
            arrays[f"outputs_{n}"] = outputs.astype(np.int16)
        for n, state in enumerate(self.states):
            arrays[f"c_{n}"], arrays[f"h_{n}"] = state
        np.savez(folder / "job.npz", **arrays)  # type: ignore[arg-type]
        plain = {
            "sequences": len(self.frames),
            "layers": [asdict(layer) for layer in self.layers],
            "lists": self.lists,
            "stimulus": asdict(self.stimulus),
            "thresholds": self.thresholds,
        }
        (folder / "job.json").write_text(json.dumps(plain), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Job":
        """Read the job that `save` wrote."""
        plain = json.loads((folder / "job.json").read_text("utf-8"))
        sequences = plain.pop("sequences")
        plain["layers"] = tuple(LayerState(**layer) for layer in plain["layers"])
        plain["stimulus"] = Stimulus(**plain["stimulus"])
        plain["thresholds"] = {int(n): value for n, value in plain["thresholds"].items()}
        with np.load(folder / "job.npz") as arrays:

            def read(name: str) -> Ints:
                values: Ints = arrays[name].astype(np.int64)
                return values

            return cls(
                frames=tuple(read(f"frames_{n}") for n in range(sequences)),
                outputs=tuple(read(f"outputs_{n}") for n in range(sequences)),
                states=tuple(
                    State(read(f"c_{n}"), read(f"h_{n}")) for n in range(len(plain["layers"]))
                ),
                image=read("image"),
                **plain,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """The first place where the hardware is not as golden has it.

    Members
    -------
    what: "output", "frame length", "stall", "surplus output", "state c", "state h", "register" or
        "counter".
    where: the layer, path, register or counter, where there is one.
    sequence, step, index: of the output word, or the unit of a state; -1 where there is none.
    """

    what: str
    where: str = ""
    sequence: int = -1
    step: int = -1
    index: int = -1
    got: int | None = None
    expected: int | None = None

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (
                ("sequence", self.sequence),
                ("step", self.step),
                ("unit", self.index),
            )
            if value >= 0
        ]
        head = f"{self.what} {self.where}".strip()
        values = "" if self.got is None else f": got {self.got}, expected {self.expected}"
        return head + (f" at {', '.join(place)}" if place else "") + values


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What the bench saw.

    Members
    -------
    words: output words that were compared.
    frame_ends: clock cycle of each output frame's last word.
    counters: by register name.
    events: by list index.
    """

    words: int = 0
    frame_ends: list[int] = field(default_factory=list)
    states: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    mismatch: Mismatch | None = None

    def save(self, folder: Path) -> None:
        """Write the outcome beside the job."""
        (folder / "outcome.json").write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Outcome":
        """Read the outcome that `save` wrote."""
        plain: dict[str, Any] = json.loads((folder / "outcome.json").read_text("utf-8"))
        mismatch = plain.pop("mismatch")
        return cls(mismatch=None if mismatch is None else Mismatch(**mismatch), **plain)


class Progress:
    """Frames done, through a file: the bench writes it, the runner reads it while it waits."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "progress"
        self._written = 0.0

    def write(self, frames: int, *, last: bool = False) -> None:
        """Say how many frames are done; no more often than anybody looks, except the last time."""
        now = time.monotonic()
        if last or now - self._written >= INTERVAL:
            self._file.write_text(str(frames), "utf-8")
            self._written = now

    def read(self) -> int:
        """Frames done so far; 0 before the first word from the bench."""
        try:
            return int(self._file.read_text("utf-8"))
        except (OSError, ValueError):  # not there yet, or being written just now
            return 0


def batches(image: Sequence[tuple[int, int]] | Ints) -> list[tuple[int, list[int]]]:
    """(byte address, values) of each run of writes to consecutive words, in order."""
    runs: list[tuple[int, list[int]]] = []
    for address, value in image:
        if runs and address == runs[-1][0] + 4 * len(runs[-1][1]):
            runs[-1][1].append(int(value))
        else:
            runs.append((int(address), [int(value)]))
    return runs
