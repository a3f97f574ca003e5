# SPDX-License-Identifier: Apache-2.0
"""The golden model of an integer-only LSTM network: many sequences at once, or frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arithmetic import Ints
from ..engines.packed import Packing
from ..errors import UserError
from .network import IntegerNetwork
from .steps import Running, State, first_state
from .watch import See, ignore


@dataclass(frozen=True, slots=True)
class Result:
    """What came of some sequences.

    Members
    -------
    outputs: int8 codes [steps, outputs] of each.
    states: of each layer, after each sequence's last frame; `run` goes on from there.
    events: by path, of each sequence, how many codes it took over in each step [steps].
    """

    outputs: list[Ints]
    states: tuple[State, ...]
    events: Mapping[str, list[Ints]]


def run(
    network: IntegerNetwork,
    sequences: Sequence[npt.ArrayLike],
    states: Sequence[State] | None = None,
    sees: Sequence[See] = (),
) -> Result:
    """Run the network over sequences of codes, with its thresholds.

    Parameters
    ----------
    network: what runs; with all thresholds 0 it is equal to LiteRT in every bit.
    sequences: of each, int8 codes [steps, inputs]; a sequence may have no steps.
    states: what an earlier run of as many sequences left, to go on; None: the initial ones.
    sees: of each layer, what is shown the values that it cuts; none: nothing is.

    Raises UserError for another shape, and for what is no int8.
    """
    codes = [_checked(network, sequence) for sequence in sequences]
    count = len(codes)
    if states is None:
        states = [first_state(layer, count) for layer in network.layers]
    if any(len(state.h) != count for state in states):
        raise UserError(
            f"states: of {len(states[0].h)} sequences, {count} are given; give those of a run of "
            "as many"
        )
    packing = Packing.of([len(x) for x in codes])
    steps = list(packing.steps())
    values = packing.pack(codes, network.inputs).astype(np.int64)
    left, events = [], {}
    sees = sees or [ignore] * len(network.layers)
    for layer, state, see in zip(network.layers, states, sees, strict=True):
        running = Running(layer, state.of(packing.order), len(values), see)
        running.run(values, steps)
        values = running.y
        left.append(running.state.of(np.argsort(packing.order)))
        for source, counts in running.events.items():
            events[f"{layer.name}.{source}"] = packing.unpack(counts)
    return Result(packing.unpack(values), tuple(left), events)


def _checked(network: IntegerNetwork, sequence: npt.ArrayLike) -> Ints:
    codes = np.asarray(sequence)
    if codes.ndim != 2 or codes.shape[1] != network.inputs or codes.dtype.kind not in "iu":
        raise UserError(
            f"codes: {codes.dtype} {codes.shape}, the network takes int8 [steps, {network.inputs}]"
        )
    if codes.size and not -128 <= int(codes.min()) <= int(codes.max()) <= 127:
        raise UserError("codes: a value is outside -128..127; give int8 codes")
    return codes.astype(np.int64)


class Stream:
    """One sequence, frame by frame."""

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network
        self._states: tuple[State, ...] | None = None

    def step(self, frame: npt.ArrayLike) -> Ints:
        """The outputs' codes [outputs] of the next frame's codes [inputs]."""
        result = run(self._network, [np.asarray(frame)[None]], self._states)
        self._states = result.states
        output: Ints = result.outputs[0][0]
        return output
