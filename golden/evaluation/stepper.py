# SPDX-License-Identifier: Apache-2.0
"""A float model or a network one frame at a time, in real values: for decoders and streams."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..arithmetic import Reals
from ..cells import State
from ..engines.engine import StepModel, quantize_frames, real_outputs
from ..errors import UserError
from ..integer_lstm import float_states
from ..integer_lstm import states as lstm_states
from ..integer_lstm.engine import run as run_codes
from ..integer_lstm.float_engine import run_float_states
from ..integer_lstm.float_network import FloatNetwork
from ..integer_lstm.network import IntegerNetwork
from ..integer_lstm.steps import State as LstmState
from ..models.float_model import FloatModel, run_float, widened
from ..models.network import Network
from ..models.states import States, first_codes, first_reals, named, reals_of
from .networks import AnyFloat, AnyNetwork


class Stepper:
    """Runs frame after frame, and keeps the states between: what comes out may be the next frame.

    A network runs bit for bit as the hardware does, with its thresholds.

    Parameters
    ----------
    model: what runs; a float model or a network, without backward layers.
    states: what it starts from, as for `reset`.
    """

    def __init__(self, model: AnyFloat | AnyNetwork, states: States | None = None) -> None:
        self._machine = _machine(model)
        self._inputs, self._tokens = model.inputs, model.tokens
        self.reset(states)

    def reset(self, states: States | None = None) -> None:
        """Begin a sequence.

        states: what to start from, by "LAYER.c" or "LAYER.h", real values [units], as `states` has
            them; what is not named, or None, starts as the model does.

        Raises UserError for a name that is no state, another shape, and what is beyond a format.
        """
        batch = {name: np.asarray(values)[None] for name, values in (states or {}).items()}
        self._machine.reset(batch)

    def step(self, frame: npt.ArrayLike) -> Reals:
        """The outputs [outputs] for one frame of features [inputs], both real, or for one token.

        A token is an integer or an array of one, [] or [1].

        Raises UserError for another shape, a value that is not finite, and what is no token.
        """
        x = np.asarray(frame, np.float64)
        if self._tokens:
            if x.shape not in ((), (1,)):
                raise UserError(f"frame: shape {x.shape}, the model takes one token")
            return self._machine.step(x.reshape(1))
        if x.shape != (self._inputs,):
            raise UserError(f"frame: shape {x.shape}, the model takes [{self._inputs}]")
        return self._machine.step(x[None])

    @property
    def states(self) -> dict[str, Reals]:
        """All that outlives the last step, by name, real values [units]."""
        return self._machine.states


class _Machine(Protocol):
    """Runs frames of one model."""

    def reset(self, states: States) -> None: ...
    def step(self, frames: Reals) -> Reals: ...
    @property
    def states(self) -> dict[str, Reals]: ...


def _machine(model: AnyFloat | AnyNetwork) -> _Machine:
    if isinstance(model, IntegerNetwork):
        return _IntegerLstm(model)
    if isinstance(model, FloatNetwork):
        return _FloatLstm(model)
    backward = [layer.name for layer in model.layers if layer.backward]
    if backward:
        raise UserError(
            f"{backward[0]}: runs backward, so it cannot go frame by frame; run whole sequences"
        )
    return _Float(model) if isinstance(model, FloatModel) else _Integer(model)


class _Float:
    def __init__(self, model: FloatModel) -> None:
        self._model = widened(model)
        self._states: Sequence[State] = ()

    def reset(self, states: States) -> None:
        self._states = _only(first_reals(self._model, states, 1))

    def step(self, frames: Reals) -> Reals:
        outputs, traces = run_float(self._model, frames, first=self._states)
        self._states = [State(trace.c[-1], trace.h[-1]) for trace in traces]
        result: Reals = outputs[0]
        return result

    @property
    def states(self) -> dict[str, Reals]:
        return named(self._model.layers, self._states)


class _Integer:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._steps = StepModel(network)

    def reset(self, states: States) -> None:
        self._steps.reset(_only(first_codes(self._network, states, 1)))

    def step(self, frames: Reals) -> Reals:
        words = quantize_frames(self._network, frames)
        return real_outputs(self._network, self._steps.step(words[0]))

    @property
    def states(self) -> dict[str, Reals]:
        return reals_of(self._network, self._steps.states)


class _FloatLstm:
    def __init__(self, network: FloatNetwork) -> None:
        self._network = network
        self._states: Sequence[float_states.FloatState] = ()

    def reset(self, states: States) -> None:
        self._states = float_states.first_reals(self._network, states, 1)

    def step(self, frames: Reals) -> Reals:
        outputs, self._states = run_float_states(self._network, [frames], self._states)
        result: Reals = outputs[0][0]
        return result

    @property
    def states(self) -> dict[str, Reals]:
        return _first(float_states.named_reals(self._network, self._states))


class _IntegerLstm:
    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network
        self._states: Sequence[LstmState] = ()

    def reset(self, states: States) -> None:
        self._states = lstm_states.first_codes(self._network, states, 1)

    def step(self, frames: Reals) -> Reals:
        found = run_codes(self._network, [self._network.x.codes(frames)], self._states)
        self._states = found.states
        return self._network.y.real(found.outputs[0][0])

    @property
    def states(self) -> dict[str, Reals]:
        return _first(lstm_states.reals_of(self._network, self._states))


def _first(states: dict[str, Reals]) -> dict[str, Reals]:
    """Of the one sequence."""
    return {name: values[0] for name, values in states.items()}


def _only(states: Sequence[State]) -> list[State]:
    """Of the one sequence."""
    return [State(state.c[0], state.h[0]) for state in states]
