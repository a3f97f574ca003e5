# SPDX-License-Identifier: Apache-2.0
"""Rows of registers, and the trees of multiplexers that stand between them."""

from collections.abc import Sequence
from typing import Any, overload

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data

__all__ = ["delay", "history", "select"]


@overload
def delay(
    m: Module, value: data.View, cycles: int, name: str, *, reset: bool = False
) -> data.View: ...
@overload
def delay(m: Module, value: ValueLike, cycles: int, name: str, *, reset: bool = False) -> Value: ...
def delay(m: Module, value: Any, cycles: int, name: str, *, reset: bool = False) -> Any:
    """`value` as it was `cycles` (0 or more) cycles ago; a view stays one.

    The registers are called name_1, name_2, ..; `reset` resets them to 0.
    """
    return history(m, value, cycles, name, reset=reset)[-1]


@overload
def history(
    m: Module, value: data.View, cycles: int, name: str, *, reset: bool = False
) -> list[data.View]: ...
@overload
def history(
    m: Module, value: ValueLike, cycles: int, name: str, *, reset: bool = False
) -> list[Value]: ...
def history(m: Module, value: Any, cycles: int, name: str, *, reset: bool = False) -> Any:
    """`value` now and as it was 1, 2, .. `cycles` cycles ago: entry n is n cycles late.

    The registers are those of `delay`.
    """
    taps = [value if isinstance(value, data.View) else Value.cast(value)]
    for n in range(cycles):
        register: Any = Signal(taps[-1].shape(), name=f"{name}_{n + 1}", reset_less=not reset)
        m.d.sync += register.eq(taps[-1])
        taps.append(register)
    return taps


def select(values: Sequence[Value], index: Value) -> Value:
    """values[index], as a tree of multiplexers that are right for any number of values."""
    if len(values) == 1:
        return values[0]
    pairs = zip(values[::2], values[1::2], strict=False)
    layer = [Mux(index[0], odd, even) for even, odd in pairs]
    return select([*layer, *values[len(values) // 2 * 2 :]], index[1:])
