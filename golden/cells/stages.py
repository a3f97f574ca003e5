# SPDX-License-Identifier: Apache-2.0
"""A cell's stages, each over all units of a layer: a source made in the middle of a step makes two.

The first stage takes the gates that the source does not feed, and leaves the state as it is but for
c, which keeps the one value that the second stage needs of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arithmetic import Ints
from ..errors import UserError
from .graph import MOST_C_EXPONENT, Node, walk
from .state import Numbers, State, named_inputs
from .steps import Integers

__all__ = ["ALIKE", "Stage", "constants_of", "split"]

ALIKE = "epsilon_"
"""What the names of vectors begin with that are the same for all units: what norms add to a
variance, with integers in its format."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """What is done with all units of a layer before anything else: in one turn, or in several where
    it takes means over them.

    name: the cell's own where it has one stage. gates: those that it takes. outputs: what it leaves
    of "c", "h" and, where the next stage has a source of it, "out"; and, as "sum_n", the values
    whose mean over the units it reads as "mean_n", in the turns after that. vectors: those that a
    unit's word has, all of the cell's in its order, or none where it reads none. constants: vectors
    that are the same for all units, and in no word. first, last: of the cell's. most_c_exponent: as
    the cell's. prepared: what is done to its gates before it takes them: "norm", layer
    normalisation over the units, "norm_c", a peephole before that. turns: of each but the last, by
    n, how many values sum_n is the sum of; all units go through the stage once more than there are
    such (`levels`).
    """

    name: str
    gates: tuple[str, ...]
    outputs: Mapping[str, Node]
    vectors: tuple[str, ...] = ()
    first: bool = True
    last: bool = True
    most_c_exponent: int = MOST_C_EXPONENT
    prepared: frozenset[str] = frozenset()
    constants: tuple[str, ...] = ()
    turns: tuple[Mapping[int, int], ...] = ()

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Names of all that it reads."""
        nodes = walk(self.outputs.values())
        return frozenset(str(node.attr) for node in nodes if node.op == "input")

    def run(
        self, inputs: Mapping[str, Ints], c_exponent: int, vector_shift: int
    ) -> dict[str, Ints]:
        """All that it leaves, by name, from all that it reads."""
        found = self._integers(inputs, c_exponent, vector_shift)
        return dict(zip(self.outputs, found, strict=True))

    @cached_property
    def _integers(self) -> Integers:
        return Integers(tuple(self.outputs.values()))

    def step(
        self, p: Mapping[str, Ints], state: State, numbers: Numbers
    ) -> tuple[State, Ints | None]:
        """The state that it leaves, c being 0 where it leaves none, and what goes out besides."""
        inputs = named_inputs(p, state, numbers)
        named = self.run(inputs, numbers.c_exponent, numbers.vector_shift)
        return State(named.get("c", np.zeros_like(named["h"])), named["h"]), named.get("out")


def constants_of(vectors: Iterable[str]) -> tuple[str, ...]:
    """Those of a cell's vectors that are the same for all units."""
    return tuple(name for name in vectors if name.startswith(ALIKE))


def split(
    name: str,
    gates: Sequence[str],
    late: Sequence[str],
    nodes: Mapping[str, Node],
    names: Sequence[str],
    vectors: Sequence[str],
) -> tuple[Stage, ...]:
    """The stages, by `names`, of a cell that leaves these nodes; `rh` feeds the `late` gates."""
    if "rh" not in nodes:
        return (Stage(name=name, gates=tuple(gates), outputs=nodes, vectors=tuple(vectors)),)
    source, h = nodes["rh"], nodes["h"]
    early_gates = tuple(gate for gate in gates if gate not in late)
    needs = _needs(nodes.values())
    if found := needs[id(source)] & {*late}:
        raise UserError(f"{source.line}: rh needs {', '.join(sorted(found))}, which it feeds")
    carried = _carried(h, needs, {*early_gates}, {*late})
    old_h = next((n for n in walk(nodes.values()) if n.op == "input" and n.attr == "h"), None)
    if "c" in nodes or old_h is None or len(carried) > 1 or any(n.bits > 16 for n in carried):
        raise UserError(
            f"{source.line}: a cell that makes a source in its step may keep h and one value of 16 "
            f"bits until the next stage, here it would be {len(carried)} and "
            f"{'c' if 'c' in nodes else 'no c'}"
        )
    first = {"h": old_h, "out": source} | dict(zip("c", carried, strict=False))
    second = {"h": _with_input(h, carried)}
    return (
        _stage(names[0], early_gates, first, vectors, last=False),
        _stage(
            names[1], tuple(gate for gate in gates if gate in late), second, vectors, first=False
        ),
    )


def _stage(
    name: str,
    gates: tuple[str, ...],
    outputs: Mapping[str, Node],
    vectors: Sequence[str],
    *,
    first: bool = True,
    last: bool = True,
) -> Stage:
    whole = Stage(name=name, gates=gates, outputs=outputs, first=first, last=last)
    reads_any = not whole.inputs.isdisjoint(vectors)
    return replace(whole, vectors=tuple(vectors) if reads_any else ())


def _needs(roots: Iterable[Node]) -> dict[int, set[str]]:
    """The inputs that each node needs, by its id."""
    needs: dict[int, set[str]] = {}
    for node in walk(roots):
        own = {str(node.attr)} if node.op == "input" else set()
        needs[id(node)] = own.union(*(needs[id(arg)] for arg in node.args))
    return needs


def _carried(
    root: Node, needs: Mapping[int, set[str]], early: set[str], late: set[str]
) -> list[Node]:
    """What the second stage takes from the first: the last that needs early gates alone."""

    def is_early(node: Node) -> bool:
        return bool(needs[id(node)] & early) and not needs[id(node)] & late

    if is_early(root):
        return [root]
    found = {
        id(arg): arg
        for node in walk([root])
        if not is_early(node)
        for arg in node.args
        if is_early(arg)
    }
    return list(found.values())


def _with_input(root: Node, carried: Sequence[Node]) -> Node:
    """The node with an input c in the place of what is carried."""
    made = {id(node): replace(node, op="input", args=(), attr="c") for node in carried}
    for node in walk([root]):
        if id(node) not in made:
            args = tuple(made[id(arg)] for arg in node.args)
            made[id(node)] = replace(node, args=args) if args != node.args else node
    return made[id(root)]
