# SPDX-License-Identifier: Apache-2.0
"""Enables for registers that have none: a register whose sources are still need not be clocked.

A register without an enable takes D at each edge. Let S be the registers, and the macros' outputs,
that D is made of, and change_S(t) whether S may get another value at edge t. Where no S changes at
edge t, D is after it what it was before, and that is what the register took at t: at edge t + 1 it
may as well keep it. So its enable is

    enable(t + 1) = OR over S of change_S(t),

a flip-flop and an OR, and the register holds in every cycle what it would hold without. What a
register without an enable changes by is its new enable; a register with an enable of the RTL
changes by that; a register in a loop by a comparison of D and Q, for which it must have a reset;
a macro's output by ren. In reset all enables are 1. So idle lanes and waiting cells stand still
without a line in the RTL, whose pipelines go on with whatever is in them: in an FPGA that is free.

A register that has an enable of the RTL is often enabled while it has nothing to take (the output
of an empty queue). What it is made of may have changed since it took it last:

    stale(t + 1) = OR over S of change_S(t)  or  stale(t) and not enable(t),

and enable and stale is an enable that does the same. So it is with a macro's ren, for which a write
is a change, too. Words of memories that are flip-flops keep their own.

The design is Yosys's JSON of single-bit cells (`write_json` after `techmap`), in two levels of
modules.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from .groups import ENABLED, OUTSIDE, Group, Groups
from .loops import components
from .nets import Design, Net

REVISION = 3
"""Of what this makes of a design: netlists of another one are made anew."""
STILL_BITS = 8
"""Least flip-flops with the same sources that are worth an enable of their own, and a gate."""
SMALL_BITS = 4
"""A loop of registers is opened by comparisons at those of so few bits first: they are control."""


def add_enables(design: dict[str, Any], *, top: str, gate_bits: int, bits: int = STILL_BITS) -> int:
    """Give enables to the registers of a design that have none; how many flip-flops got one.

    Parameters
    ----------
    design: of Yosys's JSON, changed in place.
    top: its top module, with the ports clk and rst.
    gate_bits: least flip-flops with the same enable that get a gate.
    bits: least flip-flops that are worth a new enable.
    """
    return _Stillness(Design(design, top), bits, gate_bits).run()


class _Stillness:
    def __init__(self, design: Design, bits: int, gate_bits: int) -> None:
        self._design = design
        self._gate_bits = gate_bits
        self._bits = bits
        self._reset = design.port("rst")
        self._groups = Groups(design)

    def run(self) -> int:
        self._open_loops()
        wanted = self._merge()
        self._sharpen()
        count = 0
        for group in wanted:
            enable = self._enable(group)
            for cell in self._cells_of(group):
                cell["type"] = ENABLED[cell["type"]]
                self._design.connect(cell, group.module, "E", "input", enable)
                count += 1
        for group in self._groups.all:
            if group.sharp is not None:
                pin = "ren" if group.macro else "E"
                for cell in group.cells:
                    self._design.connect(cell, group.module, pin, "input", group.sharp)
        self._design.restore(self._groups.absorbed, self._gate_bits)
        self._design.absorb_resets(least=self._gate_bits)
        return count

    def _sharpen(self) -> None:
        """Enables of the RTL that wait for something to take."""
        design = self._design
        ready = []
        for group in self._groups.all:
            if group.enabled is None or group.bits < self._bits or group.word_of_memory:
                continue
            if group.sources & OUTSIDE or any(
                s.stuck and not s.compared for s in self._groups.sources(group)
            ):
                continue
            ready.append((group, design.new_net(group.module)))
        for group, stale in ready:  # what these change by, before any is asked for it
            assert group.enabled is not None
            now = design.any_of(group.module, [stale, *([self._reset] if group.of_reset else [])])
            group.sharp = design.gate("$_AND_", group.module, group.enabled, now)
            group.changes = [group.sharp]
        for group, stale in ready:
            assert group.enabled is not None
            changes = [net for s in self._groups.sources(group) for net in self._change(s)]
            changes.append(design.gate("$_ANDNOT_", group.module, stale, group.enabled))
            changes += [group.written] if group.written is not None else []
            some = design.any_of(group.module, [*dict.fromkeys(changes), self._reset])
            design.flip_flop(group.module, some, stale)

    def _open_loops(self) -> None:
        """Comparisons where a register's next value depends on itself, or on the inputs."""
        for group in self._groups.all:
            if group.loose and group.sources & OUTSIDE:
                group.compared = group.stuck = True
        for most in (SMALL_BITS, 1 << 30):
            for loop in self._loops():
                for group in loop:
                    group.compared |= group.reset and group.bits <= most
        for loop in self._loops():  # without a reset: a comparison would never become known
            for group in loop:
                group.stuck = True

    def _loops(self) -> list[list[Group]]:
        """Groups that wait for each other's enables: strongly connected components."""
        order = {id(group): n for n, group in enumerate(self._groups.all)}
        follows = [
            [order[id(s)] for s in self._groups.sources(g) if s.loose and not s.compared]
            if g.loose and not g.compared
            else []
            for g in self._groups.all
        ]
        return [
            [self._groups.all[n] for n in part]
            for part in components(follows)
            if len(part) > 1 or part[0] in follows[part[0]]
        ]

    def _merge(self) -> list[Group]:
        """The groups that get an enable: one for all of a module with the same sources."""
        known: dict[Any, Group] = {}
        sizes: dict[int, int] = defaultdict(int)
        for group in self._in_order():
            sources = self._groups.sources(group)
            if group.stuck or any(s.stuck and not s.compared for s in sources):
                group.stuck = True
                continue
            same = frozenset(id(s if s.compared else s.twin or s) for s in sources)
            group.twin = known.setdefault((group.module, same, group.of_reset), group)
            sizes[id(group.twin)] += group.bits
        self._members: dict[int, list[Group]] = defaultdict(list)
        for group in self._groups.all:
            if group.twin is not None:
                self._members[id(group.twin)].append(group)
        return [g for g in self._groups.all if g.twin is g and sizes[id(g)] >= self._bits]

    def _in_order(self) -> Iterable[Group]:
        """Loose groups, each after those whose enables it waits for."""
        done: set[int] = set()
        for first in self._groups.all:
            waiting = [first]
            while waiting:
                group = waiting[-1]
                before = [
                    s
                    for s in self._groups.sources(group)
                    if s.loose and not s.compared and not s.stuck and id(s) not in done
                ]
                if id(group) in done or not group.loose or group.stuck:
                    waiting.pop()
                elif before:
                    waiting += before
                else:
                    done.add(id(group))
                    yield group
                    waiting.pop()

    def _cells_of(self, group: Group) -> list[Any]:
        return [cell for each in self._members[id(group)] for cell in each.cells]

    def _enable(self, group: Group) -> Net:
        """The net of its enable, made where it is not there yet."""
        twin = group.twin or group
        if twin.enable is None:
            design = self._design
            twin.enable = design.new_net(twin.module)  # it may be asked for while it is made
            changes: list[Net] = []
            for source in self._groups.sources(twin):
                changes += self._change(source)
            some = design.any_of(twin.module, [*dict.fromkeys(changes), self._reset])
            design.flip_flop(twin.module, some, twin.enable)
            if twin.of_reset:
                twin.enable = design.any_of(twin.module, [twin.enable, self._reset])
        return twin.enable

    def _change(self, group: Group) -> Sequence[Net]:
        if group.changes is None:
            if group.compared:
                pins = [cell["connections"] for cell in group.cells]
                pairs = [(each["D"][0], each["Q"][0]) for each in pins]
                group.changes = [self._design.differ(group.module, pairs)]
            else:
                group.changes = [self._enable(group)]
        return group.changes
