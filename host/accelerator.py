# SPDX-License-Identifier: Apache-2.0
"""A network that runs: on a board, on a simulated board, or in golden, with one interface."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ..golden.arithmetic import Ints
from ..golden.cells import State
from ..golden.errors import UserError
from ..golden.evaluation.networks import (
    AnyNetwork,
    input_words,
    load_network,
    needs_sequences,
    real_outputs,
    word_range,
)
from ..golden.storage import AnyPath
from .driver import Counters, Driver

UNDER_WAY = 16
"""Frames that are sent ahead of the outputs, so that the line never rests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """What a throughput test measured.

    Members
    -------
    frames, seconds: how many there were, and how long they took, host and line included.
    cycles: clock cycles of an average frame in the accelerator; None: golden has no clock.
    eliminated: part of the multiply-accumulates that was not done, 0 to 1; None: not counted.
    """

    frames: int
    seconds: float
    cycles: float | None
    eliminated: float | None

    @property
    def frames_per_second(self) -> float:
        """Of all of them."""
        return self.frames / self.seconds


class Accelerator:
    """A network that runs; `Accelerator.open` makes one.

    Frames are arrays [inputs], sequences [steps, inputs]. Real features (floats) are divided by the
    network's input scales and rounded as golden does it, and outputs come as real values; integers
    are the int16 words themselves, and outputs come as int16 words; of an integer-only LSTM these
    are int8 codes. Where frames are tokens, a frame is an integer, a sequence [steps], and outputs
    come as real values; words are [1] and [steps, 1].
    """

    def __init__(self, driver: Driver, release: Callable[[], None] = lambda: None) -> None:
        self._driver, self._release = driver, release
        self._fresh = True  # the next frame starts a sequence

    @classmethod
    def open(
        cls,
        port: str,
        *,
        build: AnyPath | None = None,
        network: AnyNetwork | AnyPath | None = None,
        baud: int | None = None,
        patience: float | None = None,
        noise: float = 0.0,
        progress: Callable[[str], None] = lambda stage: None,
    ) -> "Accelerator":
        """Open an accelerator, with the network in it.

        Parameters
        ----------
        port: a serial port such as "/dev/ttyUSB0"; "sim", or "sim:BUILD": a simulated board of the
            build; "golden".
        build: folder of `deltaloom build`; golden needs none where a network is given.
        network: what is to run, itself or its file; None: the build's.
        baud: bits a second of the line; None: what the board was built for.
        patience: seconds of silence until the board counts as gone; None: 5, simulated 120.
        noise: of a simulated board, the chance that a byte is damaged on the line.
        progress: called with what is being done.

        Raises UserError where port, build and network do not belong together, and its subclass
        LinkError where nobody answers.
        """
        if port.startswith("sim:"):
            port, build = "sim", port.removeprefix("sim:")
        folder = None if build is None else Path(build)
        chosen = None if network is None else _network(network)
        if port == "golden":
            return cls(_golden(folder, chosen))
        if folder is None:
            raise UserError(
                f"port {port}: the folder of a `deltaloom build` is needed, too; give build"
            )
        from .opening import open_board

        driver, release = open_board(
            port,
            folder,
            chosen,
            baud=baud,
            patience=patience,
            noise=noise,
            progress=progress,
        )
        return cls(driver, release)

    @property
    def network(self) -> AnyNetwork:
        """What runs, with its thresholds as they are."""
        return self._driver.network

    def load(self, network: AnyNetwork | AnyPath) -> None:
        """Run another network from now on; it is written over the line and its sum is checked.

        Raises UserError where it does not fit the design that was built.
        """
        self._driver.load(_network(network))
        self._fresh = True

    def predict(self, sequence: npt.ArrayLike) -> np.ndarray:
        """The outputs [steps, outputs] of a whole sequence, which starts anew."""
        frames = np.asarray(sequence)
        if frames.ndim != 2 and not (self.network.tokens and frames.ndim == 1):
            wanted = "[steps]" if self.network.tokens else "[steps, inputs]"
            raise UserError(f"sequence: shape {frames.shape}, it must be {wanted}")
        words = self._words(frames)
        self._fresh = True
        outputs = [*self._run(words[n] for n in range(len(words)))]
        self._fresh = True
        stacked = np.array(outputs, np.int64).reshape(-1, self.network.outputs)
        return self._given(stacked, words=self._are_words(frames))

    def stream(
        self, frames: Iterable[npt.ArrayLike], *, under_way: int = UNDER_WAY
    ) -> Iterator[np.ndarray]:
        """The outputs [outputs] of each frame [inputs], one by one, as the frames come.

        The sequence goes on from stream to stream; `reset` starts a new one.

        Parameters
        ----------
        frames: may be endless.
        under_way: frames that are sent before the first outputs are waited for. 1 gives each
            frame's outputs before the next frame is asked for.

        Raises UserError for a network with backward layers, which needs whole sequences.
        """
        if needs_sequences(self.network):
            raise UserError("stream: the network has backward layers; use predict on sequences")
        if under_way < 1:
            raise UserError(f"under_way: {under_way!r} is not possible, it must be at least 1")
        kinds: list[bool] = []

        def words() -> Iterator[Ints]:
            for frame in frames:
                array = np.asarray(frame)[None]
                kinds.append(self._are_words(array))
                yield self._words(array)[0]

        for output in self._run(words(), under_way, ends=False):
            yield self._given(output, words=kinds.pop(0))

    def reset(self) -> None:
        """The next frame starts a new sequence."""
        self._fresh = True

    def set_thresholds(self, thresholds: Mapping[str, int] | int) -> None:
        """Delta thresholds in codes, by path or one for all, from the next frame on."""
        if isinstance(thresholds, int):
            chosen = (name for name, path in self.network.paths() if not path.tokens)
            thresholds = dict.fromkeys(chosen, thresholds)
        self._driver.set_thresholds(thresholds)

    @property
    def state(self) -> dict[str, State]:
        """(c, h) of every layer, int16 codes, after the last frame."""
        return self._driver.state()

    def counters(self, *, clear: bool = False) -> Counters:
        """What was counted; clear: and count from 0."""
        found = self._driver.counters()
        if clear:
            self._driver.clear_counters()
        return found

    def throughput_test(self, frames: int = 200, *, seed: int = 0) -> Throughput:
        """How fast random tokens run, or features that walk slowly. Counters are cleared."""
        if frames < 1:
            raise UserError(f"frames: {frames!r} is not possible, it must be at least 1")
        rng = np.random.default_rng(seed)
        if self.network.tokens:
            words = rng.integers(0, self.network.inputs, (frames, 1))
        else:
            low, high = word_range(self.network)
            most = 300 * high // 32767  # of a step
            walk = np.cumsum(rng.integers(-most, most + 1, (frames, self.network.inputs)), axis=0)
            words = np.clip(walk, low, high)
        self._driver.clear_counters()
        self.reset()
        started = time.perf_counter()
        for _ in self._run(words):
            pass
        seconds = time.perf_counter() - started
        self.reset()
        counted = self._driver.counters()
        cycles = None if counted.cycles is None else counted.cycles / counted.steps
        return Throughput(
            frames=frames, seconds=seconds, cycles=cycles, eliminated=counted.eliminated
        )

    def reconnect(self) -> None:
        """After an error on the line: open it again, with network and thresholds as they were."""
        self._driver.reconnect()
        self._fresh = True

    def close(self) -> None:
        """Let go of the port, and end a simulated board. Closing twice is no error."""
        self._driver.close()
        self._release()

    def __enter__(self) -> "Accelerator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _words(self, frames: np.ndarray) -> Ints:
        """Frames [steps, inputs], or tokens [steps], as int16 words."""
        if not self._are_words(frames):
            return input_words(self.network, frames)
        if frames.ndim != 2 or frames.shape[1] != (count := self.network.frame_words):
            raise UserError(f"features: shape {frames.shape}, the network takes [steps, {count}]")
        low, high = word_range(self.network)
        if frames.min(initial=0) < low or frames.max(initial=0) > high:
            word = f"int{(high - low).bit_length()}"
            raise UserError(f"features: an integer is beyond {word}; real features must be floats")
        return frames.astype(np.int64)

    def _are_words(self, frames: np.ndarray) -> bool:
        """Whether frames [steps, ..] are words already."""
        tokens = self.network.tokens and frames.ndim == 1
        return np.issubdtype(frames.dtype, np.integer) and not tokens

    def _given(self, outputs: Ints, *, words: bool) -> np.ndarray:
        """Output words as they are, or as real values."""
        return outputs.astype(np.int16) if words else real_outputs(self.network, outputs)

    def _run(
        self, frames: Iterable[Ints], under_way: int = UNDER_WAY, *, ends: bool = True
    ) -> Iterator[Ints]:
        """Feed frames and give outputs in their order. ends: the last frame ends the sequence."""
        whole = needs_sequences(self.network)
        waiting = 0
        for frame, last in _with_last(frames) if ends else ((f, False) for f in frames):
            self._driver.feed(frame, first=self._fresh, end=last)
            self._fresh = False
            waiting += 1
            while not whole and waiting and (waiting >= under_way or self._driver.ready()):
                waiting -= 1
                yield self._driver.outputs()
        for _ in range(waiting):
            yield self._driver.outputs()


def _network(network: AnyNetwork | AnyPath) -> AnyNetwork:
    return load_network(network) if isinstance(network, str | PathLike) else network


def _with_last(frames: Iterable[Ints]) -> Iterator[tuple[Ints, bool]]:
    """Each with whether it is the last."""
    end = object()
    both = iter(chain(frames, [end]))
    with contextlib.suppress(StopIteration):
        frame = next(both)
        while frame is not end:
            following = next(both)
            yield frame, following is end  # type: ignore[misc]
            frame = following


def _golden(folder: Path | None, network: AnyNetwork | None) -> Driver:
    from .golden_driver import GoldenDriver

    if network is None:
        if folder is None:
            raise UserError("port golden: a network is needed; give one, or a build's folder")
        from ..boards.flow.design import NETWORK

        network = load_network(folder / NETWORK)
    return GoldenDriver(network)
