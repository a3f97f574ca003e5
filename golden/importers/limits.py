# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint may ask for: files come from anywhere, and a few bytes can declare anything."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from ..arrays import check_shape
from ..errors import UserError

MOST_BYTES = 1 << 30
"""Bytes of all values that a file may make, unless the user says otherwise."""


@dataclass
class Budget:
    """Counts what is about to be read, so that it is refused before any memory is taken.

    most: bytes that may be read; used: those counted so far.
    """

    most: int = MOST_BYTES
    used: int = field(default=0, init=False)

    def take(self, what: str, size: int) -> None:
        """Count `size` bytes. Raises UserError, which names `what`, where they are too many."""
        self.used += size
        if self.used > self.most:
            raise UserError(
                f"{what}: makes {self.used / 1e9:.3g} GB of values, the limit is "
                f"{self.most / 1e9:.3g}; --limit GB raises it for a file that you trust"
            )

    def take_array(self, what: str, shape: Sequence[int], itemsize: int) -> int:
        """Count an array; returns its bytes."""
        check_shape(what, shape)
        size = prod(shape) * itemsize
        self.take(what, size)
        return size
