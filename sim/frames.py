# SPDX-License-Identifier: Apache-2.0
"""Which frames of a data set a simulation runs."""

from collections.abc import Sequence

from ..golden.arithmetic import Ints
from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.evaluation.networks import AnyNetwork, input_words

SEQUENCES = 2
"""That share the frames where nothing else is asked for: what starts a sequence is worth a test."""


def choose_frames(
    network: AnyNetwork,
    dataset: Dataset,
    frames: int,
    *,
    start: int = 0,
    sequences: int | None = None,
) -> list[Ints]:
    """The network's input words for `frames` frames of `dataset`, or for all if it has fewer.

    Parameters
    ----------
    start: number of the first sequence to take frames from.
    sequences: how many to take frames from, of each at most its share of the frames; those without
        frames do not count. None: at most half of the frames of each, from as many as it takes.
    """
    if frames < 1:
        raise UserError(f"frames: {frames} is not possible, it must be at least 1")
    if sequences is not None and sequences < 1:
        raise UserError(f"sequences: {sequences} is not possible, it must be at least 1")
    dataset.check_width(network.inputs, tokens=network.tokens)
    if dataset.states:
        raise UserError(
            f"state {next(iter(dataset.states))}: the data says what sequences start from, an "
            "accelerator starts all from the network's own states; leave the states out"
        )
    if not dataset.frames:
        raise UserError("data set: no frames; give at least one")
    if start not in range(len(dataset)):
        raise UserError(
            f"start: {start} is not possible, the data has sequences 0..{len(dataset) - 1}"
        )
    share = -(-frames // (sequences or SEQUENCES))
    chosen: list[Ints] = []
    left = frames
    for features in dataset.features[start:]:
        part = features[: min(left, share)]
        if len(part) and (sequences is None or len(chosen) < sequences):
            chosen.append(input_words(network, part))
            left -= len(part)
    if not chosen:
        raise UserError(f"start: from sequence {start} on, the data has no frames; start earlier")
    return chosen


def shortfall(chosen: Sequence[Ints], frames: int, sequences: int | None = None) -> str:
    """What is less than asked for in `choose_frames`, in a line; nothing where nothing is."""
    less = []
    found = sum(map(len, chosen))
    if found < frames:
        less.append(f"{found:,} of {frames:,} frames")
    if sequences is not None and len(chosen) < sequences:
        less.append(f"{len(chosen):,} of {sequences:,} sequences")
    if not less:
        return ""
    return f"only {' and '.join(less)} are run: the data has no more in the sequences chosen"
