# SPDX-License-Identifier: Apache-2.0
"""How to train."""

import math
from dataclasses import dataclass

from ..golden.errors import UserError

__all__ = ["Options", "check_torch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to train.

    Members
    -------
    epochs: passes over the training data, at most.
    patience: epochs without a better network, after which training ends.
    batch: pieces of a batch. longest: frames of a piece; longer sequences are cut.
    rate: of Adam at its peak, for each path's weights as a part of their root mean square.
    delta_penalty: times the part of a dense step's operations that changes ask for, about, is added
        to the loss; see `loss.Changes`.
    teacher: share of the loss that is by the float model's outputs, 0..1.
    noise: deviation of what is added to training frames, as a part of that of all their values.
    seed: of all that is random.

    Raises UserError for a value that is none of these.
    """

    epochs: int = 10
    patience: int = 5
    batch: int = 32
    longest: int = 300
    rate: float = 0.01
    delta_penalty: float = 0.0
    teacher: float = 0.5
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch", "longest"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("rate", 0 < self.rate <= 1, "above 0 and at most 1")
        self._check("teacher", 0 <= self.teacher <= 1, "within 0..1")
        for name in ("delta_penalty", "noise", "seed"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "0 or more")

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            what, value = name.replace("_", " "), getattr(self, name)
            raise UserError(f"{what}: {value} is not possible, it must be {rule}")


def check_torch() -> None:
    """Raise UserError where PyTorch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UserError(
            "training needs PyTorch, which is not installed: `pip install 'deltaloom[torch]'`"
        ) from error
