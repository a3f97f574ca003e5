# SPDX-License-Identifier: Apache-2.0
"""Whether a network's memories fit an ECP5 device, before anything is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...golden.errors import UserError
from ...hw.estimates.ecp5 import plain_memory
from ..board import Device
from ..family.memory import Memory

_BITS = (16, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """What a memory takes: block RAMs, or LUTs when it is small enough for distributed memory.

    The LUTs that choose between several block RAMs count as logic.
    """

    brams: int
    luts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What a design takes of a device, as estimated before synthesis."""

    brams: int
    luts: int
    dsps: int
    memories: Mapping[str, MemoryFit]


def memory_fit(memory: Memory) -> MemoryFit:
    """What ``memory`` takes, as Yosys builds it on its own (see `hw.estimates.ecp5`)."""
    area = plain_memory(
        memory.depth, memory.width, reads=memory.read_ports, asynchronous=memory.asynchronous
    )
    brams = round(area.block_rams)
    return MemoryFit(brams=brams, luts=0 if brams else round(area.luts))


def _way_out(
    total: int, largest: Memory, device: Device, name: str, others: Mapping[str, Device]
) -> str:
    """What would fit instead: fewer bits, a larger device, and what always helps."""
    ways = []
    used = memory_fit(largest).brams
    for bits in _BITS:
        if largest.bits is not None and bits < largest.bits:
            needed = memory_fit(largest.quantized(bits)).brams
            if total - used + needed <= device.brams:
                ways.append(f"quantize to {bits} bits ({needed})")
                break
    fitting = [other for other, board in others.items() if board.brams >= total and other != name]
    if fitting:
        ways.append(f"build for {fitting[0]} ({others[fitting[0]].brams})")
    ways.append("use fewer units")
    return " or ".join((", ".join(ways[:-1]), ways[-1])) if len(ways) > 1 else ways[0]


def fit(
    memories: Sequence[Memory],
    *,
    device: Device,
    name: str | None = None,
    luts: int = 0,
    dsps: int = 0,
    others: Mapping[str, Device] | None = None,
) -> Fit:
    """Check that a design fits ``device``, before synthesis.

    Parameters
    ----------
    name
        What to call the device in errors, such as the board's name.
    luts, dsps
        Estimates of the logic (without the memories) and of the multipliers.
    others
        What else could be built for, by name: errors suggest the first that fits.

    Raises
    ------
    UserError
        Which resource, how many too many, and what would fit.
    """
    name = name or device.name
    others = others or {}
    fits = {memory.name: memory_fit(memory) for memory in memories}
    if len(fits) != len(memories):
        raise ValueError("memories must have different names")
    brams = sum(entry.brams for entry in fits.values())
    if brams > device.brams:
        largest = max(memories, key=lambda memory: fits[memory.name].brams)
        used = fits[largest.name].brams
        at = f" at {largest.bits} bits" if largest.bits is not None else ""
        rest = f" and everything else {brams - used}" if brams > used else ""
        raise UserError(
            f"{largest.name} take {used} block RAMs{at}{rest}, {name} has {device.brams} "
            f"({brams - device.brams} too few): "
            f"{_way_out(brams, largest, device, name, others)}"
        )
    luts += sum(entry.luts for entry in fits.values())
    for what, needed, have, advice in (
        ("LUTs", luts, device.luts, "use a narrower weight word (word_bits)"),
        ("multipliers", dsps, device.dsps, "use a narrower weight word (word_bits)"),
    ):
        if needed > have:
            field = "luts" if what == "LUTs" else "dsps"
            larger = [other for other in others if getattr(others[other], field) >= needed]
            way = f"{advice} or build for {larger[0]}" if larger else advice
            raise UserError(
                f"the design takes about {needed} {what}, {name} has {have} "
                f"({needed - have} too few): {way}"
            )
    return Fit(brams=brams, luts=luts, dsps=dsps, memories=fits)
