# SPDX-License-Identifier: Apache-2.0
"""Whole sequences through a float model or a network, in real values, with their states."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Reals
from ..cells import State
from ..data import Dataset
from ..engines.engine import quantize_frames, real_outputs, run
from ..engines.float_engine import run_float_batch
from ..engines.packed import Packing
from ..integer_lstm import engine as integer_engine
from ..integer_lstm import float_states
from ..integer_lstm import states as lstm_states
from ..integer_lstm.float_engine import run_float_states
from ..integer_lstm.float_network import FloatNetwork
from ..integer_lstm.network import IntegerNetwork
from ..models.float_model import FloatModel, Trace
from ..models.states import first_codes, first_reals, named, reals_of
from .networks import AnyFloat, AnyNetwork


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of a data set.

    Members
    -------
    outputs: real [steps, outputs] of each sequence.
    states: what each sequence left, by "LAYER.c" or "LAYER.h", real [sequences, units]: what
        `Dataset.states` takes, so that sequences can go on elsewhere. A backward layer ends at the
        first frame.
    """

    outputs: tuple[Reals, ...]
    states: Mapping[str, Reals]


def run_whole(model: AnyFloat | AnyNetwork, data: Dataset) -> Run:
    """Run all sequences, from the data's first states where it has some.

    model: a network runs bit for bit as the hardware does, with its thresholds.
    """
    data.check_width(model.inputs, tokens=model.tokens)
    if isinstance(model, FloatModel):
        return _run_float(model, data)
    if isinstance(model, FloatNetwork):
        reals = float_states.first_reals(model, data.states, len(data))
        real, left = run_float_states(model, data.features, reals)
        return Run(tuple(real), float_states.named_reals(model, left))
    if isinstance(model, IntegerNetwork):
        codes = [model.x.codes(x) for x in data.features]
        start = lstm_states.first_codes(model, data.states, len(data))
        found = integer_engine.run(model, codes, start)
        real = [model.y.real(y) for y in found.outputs]
        return Run(tuple(real), lstm_states.reals_of(model, found.states))
    words = [quantize_frames(model, x) for x in data.features]
    first = first_codes(model, data.states, len(data))
    results = run(model, words, first=first)
    for n, state in enumerate(first):
        for place, result in enumerate(results):
            state.c[place], state.h[place] = result.states[n]
    outputs = tuple(real_outputs(model, result.outputs) for result in results)
    return Run(outputs, reals_of(model, first))


def _run_float(model: FloatModel, data: Dataset) -> Run:
    first = first_reals(model, data.states, len(data))
    last = [State(np.array(state.c), np.array(state.h)) for state in first]
    packing = Packing.of([len(x) for x in data.features])

    def see(n: int, trace: Trace) -> None:
        at = 0 if model.layers[n].backward else -1
        for every, kept in zip((trace.c, trace.h), last[n], strict=True):
            for place, rows in enumerate(packing.unpack(every)):
                if len(rows):
                    kept[place] = rows[at]

    outputs = run_float_batch(model, data.features, observe=see, first=first)
    return Run(tuple(outputs), named(model.layers, last))
