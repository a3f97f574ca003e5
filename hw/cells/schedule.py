# SPDX-License-Identifier: Apache-2.0
"""When each operation of a cell's pipeline starts: as early as the results allow, then with the
fewest registers.

What comes of means over a layer's units alone, or of its constants, is steady: it is the same for
all units of the layer, and is made once, before the first of them. Whoever takes it needs not wait,
nor it a register. A value whose mean is taken leaves as soon as it is there.

A value is delayed once, for all who take it. So moving an operation later saves its operands' or
costs their registers, and spares its result's: each is tried, one after the other, until none saves
any more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ...golden.arithmetic import Ints
from ...golden.integer_lstm.cells import Lookup
from ..parts.rescale_twice import rescale_multipliers
from .base import CONSTANT, CONSTANT_LATENCY, STATE_LATENCY
from .lookup import corrected
from .operations import Op, Ref, most_power
from .roots import roots_registers
from .size import Size

__all__ = ["SUM", "Schedule", "schedule"]

SUM = "sum_"
"""What the names of outputs begin with whose mean over the units is taken."""

OPEN = ("sum", "round", "relu", "clip")
"""What may stand behind a cell's last registers: the cell unit registers it."""


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """outputs: by name. start: the cycle that each operation takes its operands in, in an order in
    which these come first. latency: the cycle in which the outputs hold, but for sums, which do
    when they are made. registers: flip-flops that hold results, and those inside shifters. steady:
    the operations whose results are the same for all units of a layer; their cycles are counted
    from when the means hold.
    """

    outputs: Mapping[str, Ref]
    start: Mapping[Op, int]
    latency: int
    registers: int
    steady: frozenset[Op] = frozenset()

    def settles(self, turns: Sequence[Iterable[int]]) -> tuple[int, ...]:
        """Cycles from the means of each turn to the next one's first unit; turns: their means."""
        made_in = {f"mean_{n}": turn for turn, means in enumerate(turns) for n in means}
        found = [0] * len(turns)

        @cache
        def waits_for(op: Op) -> int:  # the turn whose means it needs, -1 where it needs none
            args = [waits_for(arg.op) for arg in op.args if arg.op]
            return max([made_in.get(op.name, -1), *args])

        for op in self.steady:
            if (turn := waits_for(op)) >= 0:
                found[turn] = max(found[turn], self.start[op] + op.latency)
        return tuple(found)

    def holds(self, name: str) -> int:
        """The cycle in which an output holds."""
        op = self.outputs[name].op
        if not name.startswith(SUM):
            return self.latency
        assert op is not None  # the mean of a constant is none
        return self.start[op] + op.latency

    def opens(self, op: Op) -> bool:
        """Whether the outputs take it before its registers."""
        return op.kind in OPEN and self.start[op] == self.latency

    @property
    def size(self) -> Size:
        ops = [*self.start]
        roots = _of(ops, "root")
        sums = [op for op in ops if op.kind in ("sum", "round")]
        narrowed = [op for op in [*sums, *_of(ops, "clip")] if op.wide > op.bits]
        return Size(
            tables=len(_of(ops, "table")) + bool(roots),
            multipliers=sum(map(_multipliers, ops)) + bool(roots),
            registers=self.registers,
            added=sum(max(op.wide, op.bits) + 1 for op in sums),
            saturated=sum(op.bits for op in narrowed),
            shifted=sum(op.bits * op.latency for op in _of(ops, "shift")) + _of_roots(roots)[1],
            lookups=tuple(corrected(t) for op in _of(ops, "lookup") for t in _tables(op)),
            rescaled=tuple(map(_rescaling, _of(ops, "rescale"))),
        )


def schedule(outputs: Mapping[str, Ref]) -> Schedule:
    """The schedule of what these need."""
    search = _Search(outputs)
    found = [search.fewest(start) for start in (search.earliest(), search.latest())]
    start = min(found, key=search.cost)
    inside = sum(op.bits * (op.latency - 1) for op in _of(search.ops, "shift"))
    inside += _of_roots(_of(search.ops, "root"))[0]
    own = sum(op.bits for op in _of(search.ops, "mul"))
    registers = search.cost(start) + inside - own
    return Schedule(outputs, start, search.latency, registers, frozenset(search.steady))


class _Search:
    """All operations that some outputs need, arguments first, and who takes their results."""

    def __init__(self, outputs: Mapping[str, Ref]) -> None:
        self.held = {ref.op for n, ref in outputs.items() if ref.op and not n.startswith(SUM)}
        self.summed = {ref.op for n, ref in outputs.items() if ref.op and n.startswith(SUM)}
        order: dict[Op, None] = {}

        def visit(op: Op) -> None:
            if op not in order:
                for arg in op.args:
                    if arg.op:
                        visit(arg.op)
                order[op] = None

        for ref in outputs.values():
            if ref.op:
                visit(ref.op)
        self.ops = [*order]
        self.steady = {op for op in self.ops if op.steady}
        # Those of them that come of constants alone, which the layer's first unit has to wait for;
        # the means are later.
        self.of_constants: set[Op] = set()
        for op in self.ops:
            args = {arg.op for arg in op.args if arg.op}
            own = op.name.startswith(CONSTANT) if op.kind == "source" else args <= self.of_constants
            if op in self.steady and own:
                self.of_constants.add(op)
        self.users: dict[Op, list[Op]] = {op: [] for op in self.ops}
        for op in self.ops:
            for arg in op.args:
                if arg.op:
                    self.users[arg.op].append(op)
        start = self._first = self.earliest()
        self.latency = max([STATE_LATENCY, *(start[op] + self._to_output(op) for op in self.held)])

    def earliest(self) -> dict[Op, int]:
        start: dict[Op, int] = {}
        for op in self.ops:
            start[op] = self._from(op, start)
        return start

    def latest(self) -> dict[Op, int]:
        start: dict[Op, int] = {}
        for op in reversed(self.ops):
            start[op] = 0 if op.kind == "source" else self._until(op, start)
        return start | {op: first for op, first in self.earliest().items() if op in self.steady}

    def cost(self, start: Mapping[Op, int]) -> int:
        """Flip-flops that hold results."""
        return sum(self._registers(op, start) for op in self.ops)

    def fewest(self, start: dict[Op, int]) -> dict[Op, int]:
        """From these, the starts that no single move makes better."""
        best, moved = self.cost(start), True
        while moved:
            moved = False
            for op in [*self.ops, *reversed(self.ops)]:
                if op.kind == "source" or op in self.steady:
                    continue
                for cycle in range(self._from(op, start), self._until(op, start) + 1):
                    before, start[op] = start[op], cycle
                    cost = self.cost(start)
                    if cost < best:
                        best, moved = cost, True
                    else:
                        start[op] = before
        return start

    def _from(self, op: Op, start: Mapping[Op, int]) -> int:
        """The first cycle in which all operands are there."""
        args = [arg.op for arg in op.args if arg.op]
        waits = [start[arg] + arg.latency for arg in args if not self._is_there(arg, op)]
        if op not in self.steady:
            late = [arg for arg in args if arg in self.of_constants]
            waits += [CONSTANT_LATENCY + start[arg] + arg.latency for arg in late]
        return max(waits, default=0)

    def _is_there(self, op: Op, user: Op) -> bool:
        """Whether the user need not wait for it."""
        return op in self.steady and user not in self.steady

    def _until(self, op: Op, start: Mapping[Op, int]) -> int:
        """The last cycle in which its result is not too late."""
        ends = [start[user] - op.latency for user in self.users[op]]
        if op in self.held:
            ends.append(self.latency - self._to_output(op))
        return min(ends) if ends else self._first[op]  # a sum, which nothing else takes

    def _to_output(self, op: Op) -> int:
        return 0 if op.kind in OPEN else op.latency

    def _registers(self, op: Op, start: Mapping[Op, int]) -> int:
        if op in self.steady:
            return op.bits * (op.latency - op.last)
        ends = [start[user] for user in self.users[op]]
        if op in self.held:
            ends.append(self.latency)
        if op in self.summed:
            ends.append(start[op] + op.latency)
        return op.bits * (max(ends) - start[op] - op.last)


def _multipliers(op: Op) -> int:
    """Multipliers of 18 x 18 bits."""
    if op.kind == "rescale":
        assert op.args[0].op is not None
        return rescale_multipliers(op.args[0].op.bits)
    if op.kind == "lookup":
        return len(_tables(op))
    return int(op.kind in ("table", "mul"))


def _tables(op: Op) -> list[Ints]:
    """Those of a lookup."""
    assert op.node is not None and isinstance(op.node.attr, Lookup)
    return [*op.node.attr.tables.values()]


def _rescaling(op: Op) -> tuple[int, tuple[int, int], int]:
    """Bits of the value, shifts, bits of the result."""
    assert op.node is not None and op.args[0].op is not None
    shift = op.node.args[2]
    return op.args[0].op.bits, (shift.low, shift.high), op.bits


def _of_roots(roots: Sequence[Op]) -> tuple[int, int]:
    """Flip-flops of the circuit that they share, and bits of its shifters."""
    if not roots:
        return 0, 0
    bits = max(root.args[0].op.bits for root in roots if root.args[0].op)
    return roots_registers(len(roots), bits, most_power(roots))


def _of(ops: Iterable[Op], kind: str) -> list[Op]:
    return [op for op in ops if op.kind == kind]
