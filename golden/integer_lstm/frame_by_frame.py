# SPDX-License-Identifier: Apache-2.0
"""An integer-only LSTM network one frame at a time, as the hardware runs it."""

from collections.abc import Mapping

import numpy as np

from ..arithmetic import Ints
from ..cells import State
from .engine import run
from .network import IntegerNetwork
from .steps import first_state


class IntegerStepModel:
    """Runs frame after frame and keeps the states; the integer LSTM's `engines.engine.StepModel`.

    Members
    -------
    network: with the thresholds that hold from the next frame on.
    states: c [cells] and h [outputs] of each layer after the last frame; none of a linear layer.
    events: by path, how many codes the last frame took over.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self.events: Mapping[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Begin a sequence."""
        self._states = tuple(first_state(layer, 1) for layer in self.network.layers)

    @property
    def states(self) -> list[State]:
        return [State(state.c[0], state.h[0]) for state in self._states]

    def step(self, frame: Ints) -> Ints:
        """The outputs' codes [outputs] of one frame of codes [inputs]."""
        result = run(self.network, [np.asarray(frame)[None]], self._states)
        self._states = result.states
        self.events = {name: int(counts[0].sum()) for name, counts in result.events.items()}
        outputs: Ints = result.outputs[0][0]
        return outputs
