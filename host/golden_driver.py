# SPDX-License-Identifier: Apache-2.0
"""Golden in an accelerator's place: the same bits without any hardware."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..golden.arithmetic import Ints
from ..golden.cells import State
from ..golden.evaluation.networks import AnyNetwork, needs_sequences, run_words, step_model
from .driver import Counters
from .link import LinkError


class GoldenDriver:
    """Runs frames in golden, one by one, or in whole sequences where layers are backward."""

    def __init__(self, network: AnyNetwork) -> None:
        self._outputs: deque[Ints] = deque()
        self._closed = False
        self.load(network)

    @property
    def network(self) -> AnyNetwork:
        return self._network

    def load(self, network: AnyNetwork) -> None:
        self._network = network
        self._model: Any = step_model(network)
        self._whole = needs_sequences(network)
        self._sequence: list[Ints] = []
        self._states: tuple[State, ...] = tuple(self._model.states)
        self.clear_counters()

    def set_thresholds(self, thresholds: Mapping[str, int]) -> None:
        self._network = self._model.network = self._network.with_thresholds(dict(thresholds))

    def feed(self, frame: Ints, *, first: bool, end: bool) -> None:
        if self._closed:
            raise LinkError("the accelerator is closed; open it again")
        if not self._whole:
            if first:
                self._model.reset()
            self._outputs.append(self._model.step(frame))
            self._count(1, self._model.events)
            self._states = tuple(self._model.states)
            return
        self._sequence = [frame] if first else [*self._sequence, frame]
        if end:
            (result,) = run_words(self._network, [np.array(self._sequence)])
            self._outputs.extend(result.outputs)
            self._count(result.steps, {name: int(n.sum()) for name, n in result.events.items()})
            self._states, self._sequence = result.states, []

    def outputs(self) -> Ints:
        if not self._outputs:
            raise LinkError("no frame is under way; feed one first")
        return self._outputs.popleft()

    def ready(self) -> int:
        return len(self._outputs)

    def state(self) -> dict[str, State]:
        return {
            layer.name: State(state.c.copy(), state.h.copy())
            for layer, state in zip(self._network.layers, self._states, strict=True)
        }

    def counters(self) -> Counters:
        rows = {name: path.rows for name, path in self._network.paths()}
        return Counters(
            steps=self._steps,
            macs_done=sum(self._events[name] * rows[name] for name in rows),
            macs_dense=self._steps * self._network.macs,
            events={name: self._events[name] for name in rows},
        )

    def clear_counters(self) -> None:
        self._steps, self._events = 0, Counter[str]()

    def reconnect(self) -> None:
        self.close()
        self._closed = False
        self._model.reset()
        self.clear_counters()

    def close(self) -> None:
        self._closed = True
        self._outputs.clear()
        self._sequence = []

    def _count(self, steps: int, events: Mapping[str, int]) -> None:
        self._steps += steps
        self._events.update(events)
