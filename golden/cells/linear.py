# SPDX-License-Identifier: Apache-2.0
"""Linear layers: no state."""

from .cell import describe
from .values import Value


@describe(x="y", formats={"y": "h"})
def linear(y: Value) -> dict[str, Value]:
    return {"h": y}
