# SPDX-License-Identifier: Apache-2.0
"""What training led to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..golden.evaluation.metrics import Metric
from ..golden.models.float_model import FloatModel
from ..golden.models.network import Network

__all__ = ["Epoch", "FineTuning", "Show"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch led to, on the tuning data; number 0: the network as it was.

    Members
    -------
    loss: mean of the training batches, the penalty with it; NaN of number 0.
    error: by the metric.
    eliminated: percent of all operations that the thresholds leave out.
    score: what the best epoch has least of: the error, or with a penalty, the loss without a
        teacher and the penalty for the operations that are done.
    """

    number: int
    loss: float
    error: float
    eliminated: float
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FineTuning:
    """A training's result.

    Members
    -------
    network: of the best epoch.
    model: the float model that its weights stand for, to quantize to other bits.
    epochs: all, from number 0 on.
    best: number of the best.
    metric: of the errors.
    float_error: of the float model as it was.
    """

    network: Network
    model: FloatModel
    epochs: tuple[Epoch, ...]
    best: int
    metric: Metric
    float_error: float

    def plain(self) -> dict[str, Any]:
        """The epochs as plain data."""
        rows = [asdict(epoch) for epoch in self.epochs]
        for row in rows:
            row["loss"] = None if math.isnan(row["loss"]) else row["loss"]
        return {
            "metric": self.metric.name,
            "unit": self.metric.unit,
            "float_error": self.float_error,
            "best": self.best,
            "epochs": rows,
        }


Show = Callable[[Sequence[Epoch], float], None]
"""Called with the epochs so far, and the part of the whole training that is done, 0..1."""
