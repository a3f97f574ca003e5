# SPDX-License-Identifier: Apache-2.0
"""The layer normalisation and the peepholes of integer-only LSTMs, as the compiler takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ...golden.integer_lstm.constants import GATE_LOG2, LstmConstants, Scaling
from ...golden.integer_lstm.layers import IntegerLstm
from ..config import LEAST_NORM_SHIFT, AcceleratorConfig
from ..words import SLOTS, norm_gate, norm_value, pack

GATE_BITS = -GATE_LOG2
"""Of the fraction of a normalised gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Norm:
    """The layer normalisation of a layer's gates, which come in the order of its cell.

    Members
    -------
    gain, bias: [gates, units]. seen: the same of the cell state's weights, 0 where there is none.
    guard, mult, shift: [gates], as `hw.words.norm_gate` has them. seen_mult, seen_shift: likewise.
    """

    gain: Ints
    bias: Ints
    seen: Ints
    guard: Ints
    mult: Ints
    shift: Ints
    seen_mult: Ints
    seen_shift: Ints


def peepholes_of(layer: IntegerLstm, k: LstmConstants) -> dict[str, tuple[Ints, Scaling]]:
    """By gate, its weights [cells] and their rescaling; a cell without its peephole has 0."""
    if layer.peephole is None or k.peephole is None:
        return {}
    there = np.arange(layer.cells) < k.seen
    return {
        gate: (
            np.where(there, layer.peephole[n], 0),
            Scaling(k.peephole.mult[n], k.peephole.shift[n]),
        )
        for n, gate in enumerate(layer.peephole_gates)
    }


def norm_of(
    layer: IntegerLstm,
    k: LstmConstants,
    constants: Mapping[str, int],
    peepholes: Mapping[str, tuple[Ints, Scaling]],
) -> Norm | None:
    """What normalises the layer's gates; constants: with those of its peepholes."""
    if layer.norm is None or layer.norm_scale is None:
        return None
    nothing = np.zeros(layer.cells, np.int64)
    scales = np.array([scale for scale, _ in k.norm])
    guards = np.array([guard for _, guard in k.norm])
    shifts = np.where(scales[:, 0] == 0, 0, -(scales[:, 1] + GATE_BITS))
    for n, gate in enumerate(layer.gates):
        if shifts[n] < -LEAST_NORM_SHIFT:
            raise UserError(
                f"{layer.name} norm of {gate}: a scale of {layer.norm_scale[n]:g} is not possible "
                f"in the accelerator, it must be below 2**{LEAST_NORM_SHIFT - GATE_BITS}; quantize "
                "anew with smaller coefficients"
            )
    seen = [peepholes[gate][0] if gate in peepholes else nothing for gate in layer.gates]
    return Norm(
        gain=layer.norm,
        bias=layer.bias,
        seen=np.array(seen),
        guard=guards,
        mult=scales[:, 0],
        shift=shifts,
        seen_mult=np.array([constants.get(f"layer_{gate}_mult", 0) for gate in layer.gates]),
        seen_shift=np.array([constants.get(f"layer_{gate}_shift", 0) for gate in layer.gates]),
    )


def value_words(
    norm: Norm, gates: Sequence[int], config: AcceleratorConfig, peephole: bool
) -> list[int]:
    """The words of `hw.words.norm_value` of some gates, in the order in which their values come.

    What is missing of a gate word's last cycle is 0.
    """
    names = ("gain", "bias", *(["seen"] if peephole else []))
    layout, units = norm_value(peephole), norm.gain.shape[1]
    rounded = ceil(units / config.norm_lanes) * config.norm_lanes
    padded = {name: np.pad(getattr(norm, name), [(0, 0), (0, rounded - units)]) for name in names}
    return [
        pack(layout, {name: padded[name][gate, unit] for name in names})
        for first in range(0, units, config.unit_word)
        for gate in gates
        for unit in range(first, min(first + config.unit_word, rounded))
    ]


def gate_words(norm: Norm, gates: Sequence[int], base: int, peephole: bool) -> list[int]:
    """The words of `hw.words.norm_gate` of some gates; base: where their values' words are.

    All `SLOTS` have what is the same for each gate.
    """
    names = ("guard", "mult", "shift", *(["seen_mult", "seen_shift"] if peephole else []))
    units = norm.gain.shape[1]
    shared = {"units": units, "reciprocal": (1 << 20) // units, "base": base}
    nothing = dict.fromkeys(names, 0)
    own = [{name: getattr(norm, name)[gate] for name in names} for gate in gates]
    own += [nothing] * (SLOTS - len(gates))
    return [pack(norm_gate(peephole), shared | each) for each in own]
