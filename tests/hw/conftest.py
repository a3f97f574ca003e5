# SPDX-License-Identifier: Apache-2.0
"""Cells that several tests of the hardware share."""

import pytest

from deltaloom.golden.cells import describe, registry
from deltaloom.golden.cells.values import GATE, H, mean, rshr, sat16, tanh


@pytest.fixture
def uneven():
    """A cell in whose first turn one sum is of one value a unit, and one of three."""

    @describe(x="a b", h="a", bounded=True, candidate="a", name="uneven")
    def cell(a, b, v_a):
        one, three = mean(a), mean(a, b, sat16(a - b))
        again = mean(rshr(tanh(sat16(a - one)) * v_a, GATE))
        return {"h": rshr(tanh(sat16(b - three + again)) * tanh(a), H)}

    registry.register(cell)
    yield cell
    registry._cells.pop("uneven")
