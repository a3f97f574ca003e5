# SPDX-License-Identifier: Apache-2.0
"""When each operation of a cell's pipeline starts: as early as the results allow, then with the
fewest registers.

A value is delayed once, for all who take it. So moving an operation later saves its operands' or
costs their registers, and spares its result's: each is tried, one after the other, until none saves
any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .base import STATE_LATENCY
from .operations import Op, Ref

__all__ = ["Schedule", "schedule"]

OPEN = ("sum", "round", "relu", "clip")
"""What may stand behind a cell's last registers: the cell unit registers it."""


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """outputs: by name. start: the cycle that each operation takes its operands in, in an order in
    which these come first. latency: the cycle in which the outputs hold.
    """

    outputs: Mapping[str, Ref]
    start: Mapping[Op, int]
    latency: int

    def count(self, *kinds: str) -> int:
        return sum(op.kind in kinds for op in self.start)

    @property
    def multipliers(self) -> int:
        return self.count("mul", "table")

    @property
    def block_rams(self) -> int:
        return self.count("table")

    def ready(self, op: Op) -> int:
        """The cycle in which a result is there."""
        return self.start[op] + op.latency

    def opens(self, op: Op) -> bool:
        """Whether the outputs take it before its registers."""
        return op.kind in OPEN and self.start[op] == self.latency


def schedule(outputs: Mapping[str, Ref]) -> Schedule:
    """The schedule of what these need."""
    ops = _in_order(outputs)
    start: dict[Op, int] = {}
    for op in ops:
        start[op] = max((_ready(start, arg.op) for arg in op.args if arg.op), default=0)
    held = [ref.op for ref in outputs.values() if ref.op]
    latency = max(STATE_LATENCY, *(_held(start, op) for op in held)) if held else STATE_LATENCY
    users: dict[Op, list[Op]] = {op: [] for op in ops}
    for op in ops:
        for arg in op.args:
            if arg.op:
                users[arg.op].append(op)
    least = start
    for first in (start, _latest(ops, users, held, latency)):
        found = _fewest(ops, users, held, dict(first), latency)
        if first is start or _cost(ops, users, held, found, latency) < _cost(
            ops, users, held, least, latency
        ):
            least = found
    return Schedule(outputs, least, latency)


def _in_order(outputs: Mapping[str, Ref]) -> list[Op]:
    order: dict[Op, None] = {}

    def visit(op: Op | None) -> None:
        if op is not None and op not in order:
            for arg in op.args:
                visit(arg.op)
            order[op] = None

    for ref in outputs.values():
        visit(ref.op)
    return [*order]


def _ready(start: Mapping[Op, int], op: Op) -> int:
    return start[op] + op.latency


def _held(start: Mapping[Op, int], op: Op) -> int:
    """The first cycle in which an output may hold."""
    return start[op] + (0 if op.kind in OPEN else op.latency)


Users = Mapping[Op, list[Op]]


def _bounds(
    op: Op, users: Users, held: list[Op], start: Mapping[Op, int], latency: int
) -> tuple[int, int]:
    low = max((_ready(start, arg.op) for arg in op.args if arg.op), default=0)
    ends = [start[user] - op.latency for user in users[op]]
    if op in held:
        ends.append(latency - (0 if op.kind in OPEN else op.latency))
    return low, min(ends)


def _latest(ops: list[Op], users: Users, held: list[Op], latency: int) -> dict[Op, int]:
    start: dict[Op, int] = {}
    for op in reversed(ops):
        ends = [start[user] - op.latency for user in users[op]]
        if op in held:
            ends.append(latency - (0 if op.kind in OPEN else op.latency))
        start[op] = 0 if op.kind == "source" else min(ends)
    return start


def _registers(op: Op, users: Users, held: list[Op], start: Mapping[Op, int], latency: int) -> int:
    """Flip-flops that hold an operation's result."""
    ends = [start[user] for user in users[op]]
    if op in held:
        ends.append(latency)
    return op.bits * (max(ends) - start[op] - op.last)


def _cost(
    ops: list[Op], users: Users, held: list[Op], start: Mapping[Op, int], latency: int
) -> int:
    return sum(_registers(op, users, held, start, latency) for op in ops)


def _fewest(
    ops: list[Op], users: Users, held: list[Op], start: dict[Op, int], latency: int
) -> dict[Op, int]:
    best = _cost(ops, users, held, start, latency)
    moved = True
    while moved:
        moved = False
        for op in [*ops, *reversed(ops)]:
            if op.kind == "source":
                continue
            low, high = _bounds(op, users, held, start, latency)
            for cycle in range(low, high + 1):
                before, start[op] = start[op], cycle
                cost = _cost(ops, users, held, start, latency)
                if cost < best:
                    best, moved = cost, True
                else:
                    start[op] = before
    return start
