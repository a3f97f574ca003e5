# SPDX-License-Identifier: Apache-2.0
"""How far a network is from the float model that it was quantized from: no labels are needed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..errors import UserError

__all__ = ["Fidelity", "OutputError", "compare"]


@dataclass(frozen=True, slots=True)
class OutputError:
    """One output over all frames.

    Members
    -------
    name: its label, or its number.
    nmse: 10 log10(sum (y - f)**2 / sum f**2) dB, f the float model's.
    snr: 10 log10(variance of f / mean (y - f)**2) dB: less than -nmse where f is far from 0 always.
    """

    name: str
    nmse: float
    snr: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The outputs of a network against those of its float model.

    Members
    -------
    nmse: over all outputs and frames, dB; -inf where all are equal.
    outputs: one by one.
    worst_sequence: the one of the largest NMSE, by its name, or its number.
    worst_nmse: its NMSE, dB.
    """

    nmse: float
    outputs: tuple[OutputError, ...]
    worst_sequence: str
    worst_nmse: float

    @property
    def worst_output(self) -> OutputError:
        """The output of the least SNR."""
        return min(self.outputs, key=lambda output: output.snr)

    def rows(self, network: str) -> list[tuple[str, str]]:
        """In words with its value, for a table; network: what it is called."""
        worst = self.worst_output
        return [
            (f"NMSE to float, {network}", f"{self.nmse:.2f} dB"),
            (f"- of the worst sequence, {self.worst_sequence}", f"{self.worst_nmse:.2f} dB"),
            (f"- SNR of the worst output, {worst.name}", f"{worst.snr:.2f} dB"),
        ]


def compare(
    dataset: Dataset,
    wanted: Sequence[Reals],
    found: Sequence[Reals],
    labels: Sequence[str] = (),
) -> Fidelity:
    """The error of real outputs [steps, outputs] of each sequence against the float model's.

    Parameters
    ----------
    dataset: whose sequences these are, for their names.
    wanted, found: of the float model, and of the network.
    labels: names of the outputs; none: their numbers.
    """
    if not sum(map(len, wanted)):
        raise UserError("data set: no frames; give at least one")
    noises = [np.square(y - f) for y, f in zip(found, wanted, strict=True)]
    powers = [np.square(f) for f in wanted]
    every = np.concatenate(wanted)
    noise = np.concatenate(noises).sum(axis=0)
    power, spread = np.concatenate(powers).sum(axis=0), len(every) * every.var(axis=0)
    by_sequence = [
        _decibels(float(n.sum()), float(p.sum())) for n, p in zip(noises, powers, strict=True)
    ]
    worst = max(range(len(wanted)), key=lambda n: (by_sequence[n], -n))
    return Fidelity(
        nmse=_decibels(float(noise.sum()), float(power.sum())),
        outputs=tuple(
            OutputError(
                labels[n] if labels else f"{n}",
                _decibels(float(noise[n]), float(power[n])),
                -_decibels(float(noise[n]), float(spread[n])),
            )
            for n in range(len(noise))
        ),
        worst_sequence=dataset.sequence_name(worst),
        worst_nmse=by_sequence[worst],
    )


def _decibels(noise: float, power: float) -> float:
    """10 log10(noise / power); -inf without noise, inf without power."""
    if not noise:
        return -math.inf
    return 10 * math.log10(noise / power) if power else math.inf
