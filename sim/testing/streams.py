# SPDX-License-Identifier: Apache-2.0
"""Testbench helpers for Amaranth's simulator: range-checked values, and streams in and out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from amaranth.hdl import Elaboratable, Shape, ShapeLike, Value
from amaranth.lib import data, stream
from amaranth.sim import Simulator

__all__ = ["Pause", "checked", "get", "no_pause", "put", "receive", "run", "send", "set_value"]

Pause = Callable[[], int]
"""How many cycles a stream rests before its next transfer."""


def no_pause() -> int:
    """Never rest."""
    return 0


def checked(shape: ShapeLike, value: Any) -> Any:
    """`value` as the simulator takes it, if it fits `shape`; ValueError where it does not.

    A struct takes a mapping with exactly its fields, an array a sequence of exactly its length.
    The simulator itself would drop the bits that do not fit, and leave out fields at 0.
    """
    match shape:
        case data.StructLayout():
            if not isinstance(value, Mapping) or value.keys() != shape.members.keys():
                raise ValueError(f"fields must be {list(shape.members)}, got {value!r}")
            return {name: checked(field, value[name]) for name, field in shape.members.items()}
        case data.ArrayLayout():
            if not isinstance(value, Sequence) or len(value) != shape.length:
                raise ValueError(f"an array of {shape.length} is needed, got {value!r}")
            return [checked(shape.elem_shape, element) for element in value]
    cast = Shape.cast(shape)
    low = -(1 << (cast.width - 1)) if cast.signed and cast.width else 0
    high = (1 << max(cast.width - cast.signed, 0)) - 1
    if not low <= int(value) <= high:
        raise ValueError(f"{value!r} does not fit {cast!r}, {low}..{high}")
    return int(value)


def set_value(ctx: Any, target: Any, value: Any) -> None:
    """`ctx.set` of a value that fits its target; ValueError for one that does not."""
    shape = target.shape() if hasattr(target, "shape") else Value.cast(target).shape()
    ctx.set(target, checked(shape, value))


async def put(ctx: Any, target: stream.Interface, payload: Any) -> None:
    """Hold `payload` valid until it is accepted."""
    set_value(ctx, target.payload, payload)
    ctx.set(target.valid, 1)
    await _until(ctx, target.ready, target.payload)
    ctx.set(target.valid, 0)


async def get(ctx: Any, source: stream.Interface) -> Any:
    """Wait for a payload and accept it."""
    if not source.signature.always_ready:
        ctx.set(source.ready, 1)
    payload = await _until(ctx, source.valid, source.payload)
    if not source.signature.always_ready:
        ctx.set(source.ready, 0)
    return payload


async def send(
    ctx: Any, target: stream.Interface, payloads: Iterable[Any], pause: Pause = no_pause
) -> None:
    """Put every payload in turn, resting `pause()` cycles before each."""
    for payload in payloads:
        await _rest(ctx, pause())
        await put(ctx, target, payload)


async def receive(
    ctx: Any, source: stream.Interface, count: int, pause: Pause = no_pause
) -> list[Any]:
    """Get `count` payloads, resting `pause()` cycles before each."""
    payloads = []
    for _ in range(count):
        await _rest(ctx, pause())
        payloads.append(await get(ctx, source))
    return payloads


async def _until(ctx: Any, condition: Value, sampled: Any) -> Any:
    """`sampled` in the first cycle, of this and the later ones, in which `condition` holds.

    Unlike `ctx.tick().until()`, this may be abandoned where `run` times out.
    """
    while True:
        _, _, holds, result = await ctx.tick().sample(condition, sampled)
        if holds:
            return result


async def _rest(ctx: Any, cycles: int) -> None:
    if cycles:
        await ctx.tick().repeat(cycles)


def run(
    dut: Elaboratable, *testbenches: Callable[[Any], Any], cycles: int, period: float = 1e-8
) -> None:
    """Simulate until every testbench has ended; TimeoutError after `cycles` clock cycles."""
    simulator: Any = Simulator(dut)
    simulator.add_clock(period)
    pending = len(testbenches)

    def counted(testbench: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def wrapper(ctx: Any) -> None:
            nonlocal pending
            await testbench(ctx)
            pending -= 1

        return wrapper

    async def watchdog(ctx: Any) -> None:
        for _ in range(cycles):
            if not pending:
                return
            await ctx.tick()
        raise TimeoutError(f"{pending} testbenches have not ended after {cycles} cycles")

    for testbench in testbenches:
        simulator.add_testbench(counted(testbench))
    simulator.add_testbench(watchdog)
    simulator.run()
