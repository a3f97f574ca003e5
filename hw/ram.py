# SPDX-License-Identifier: Apache-2.0
"""Memories whose word is not read in the cycle in which it is written, or does not matter then."""

from typing import Any

from amaranth.hdl import ShapeLike
from amaranth.lib.memory import Memory


def block_ram(shape: ShapeLike, *, depth: int, init: Any = ()) -> Any:
    """A memory without the logic that would make such a collision read the old word.

    Synthesis may then use a block RAM as it is; with the collision defined, it adds a comparator
    and a multiplexer per bit behind each one. That the memory is never read where it is written is
    for each use to see to.
    """
    attributes: Any = {"no_rw_check": 1}
    return Memory(shape=shape, depth=depth, init=list(init), attrs=attributes)
