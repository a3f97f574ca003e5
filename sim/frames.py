# SPDX-License-Identifier: Apache-2.0
"""Which frames of a data set a simulation runs."""

from ..golden.arithmetic import Ints
from ..golden.data import Dataset
from ..golden.engines.engine import quantize_frames
from ..golden.errors import UserError
from ..golden.models.network import Network


def choose_frames(network: Network, dataset: Dataset, frames: int) -> list[Ints]:
    """The network's int16 words for `frames` frames of `dataset`, or for all if it has fewer.

    From the first sequences in their order, of each at most half of the frames, so that there are
    two where the data has two: what starts a sequence is worth a test.
    """
    if frames < 1:
        raise UserError(f"frames: {frames} is not possible, it must be at least 1")
    dataset.check_width(network.inputs)
    if not dataset.frames:
        raise UserError("data set: no frames; give at least one")
    chosen = []
    left = frames
    for features in dataset.features:
        part = features[: min(left, -(-frames // 2))]
        if len(part):
            chosen.append(quantize_frames(network, part))
            left -= len(part)
    return chosen
