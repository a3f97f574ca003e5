# SPDX-License-Identifier: Apache-2.0
"""What training lowers: an error that has a gradient, and what changes cost."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..golden.data import IGNORED
from ..golden.models import graph
from ..golden.models.network import Network
from .batches import Batch

__all__ = ["Changes", "error_of"]


def error_of(batch: Batch, outputs: Tensor, teacher: float) -> Tensor:
    """The error of real outputs [rows, outputs], the batch's offset added.

    Of a classification, the cross-entropy with the labels, in nats a scored frame; of a
    regression, the squared error over the targets' energy. The share `teacher` of it is by the
    teacher's outputs instead: the divergence (Kullback and Leibler) of their softmaxes, or likewise
    the squared error.
    """
    if batch.offset is not None:
        outputs = outputs + batch.offset
    parts = []
    if teacher < 1:
        parts.append((1 - teacher) * _supervised(batch, outputs))
    if teacher > 0:
        parts.append(teacher * _taught(batch, outputs))
    return torch.stack(parts).sum()


def _supervised(batch: Batch, outputs: Tensor) -> Tensor:
    if batch.targets is not None:
        return _energy(outputs, batch.targets)
    assert batch.labels is not None
    total = functional.cross_entropy(outputs, batch.labels, ignore_index=IGNORED, reduction="sum")
    return total / (batch.labels != IGNORED).sum().clamp(min=1)


def _taught(batch: Batch, outputs: Tensor) -> Tensor:
    assert batch.teacher is not None
    if batch.targets is not None:
        return _energy(outputs, batch.teacher)
    own, wanted = (functional.log_softmax(v, dim=1) for v in (outputs, batch.teacher))
    return functional.kl_div(own, wanted, reduction="batchmean", log_target=True)


def _energy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / targets.square().sum().clamp(min=1e-12)


class Changes:
    """About which part of a dense step's operations the changes of layers' outputs ask for.

    An element that moves by v codes in all fires some v / (threshold + 1) times, if it moves
    slowly, and each time asks for a column of its path's matrix. This has a gradient everywhere,
    the events do not. What the frames ask for cannot be trained, and is not in it.
    """

    def __init__(self, network: Network) -> None:
        layers = network.layers
        self._costs = [torch.zeros(layer.units) for layer in layers]
        for n, layer in enumerate(layers):
            for path in layer.paths:
                rise = path.quantizer.mult * 0.5**path.quantizer.shift / (path.threshold + 1)
                cost = path.rows * rise / network.macs
                if path.source == "h":
                    self._costs[graph.h_source(layers, n)] += cost
                elif path.source == "x":
                    for m in graph.inputs_of(layers, n):
                        if m != graph.FRAMES:
                            self._costs[m] += cost

    def __call__(self, batch: Batch, words: Sequence[Tensor]) -> Tensor:
        """The part, of an average frame; words: [rows, units] of each layer's outputs."""
        packed = batch.packed
        start = packed.sequences
        rows = torch.arange(start, packed.frames)  # from the second step on
        before = packed.before[start:] - start
        moved = [
            ((own[rows] - own[before]).abs().sum(0) * cost).sum()
            for own, cost in zip(words, self._costs, strict=True)
            if cost.any()
        ]
        return torch.stack(moved).sum() / packed.frames if moved else torch.zeros(())
