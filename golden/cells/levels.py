# SPDX-License-Identifier: Apache-2.0
"""The turns of a cell that takes means over a layer's units.

There is one more than the longest chain of means that wait for each other. All are one stage: in
each turn all units go through it, and it computes all that it can, as "sum_n" the values whose mean
is the nth, and what the cell leaves. What a mean goes into that is not known yet is wrong, and
nobody takes it; the next turn reads as "mean_n" what has become known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import UserError
from .graph import Node, walk
from .stages import Stage, constants_of

__all__ = ["with_means"]


def with_means(
    name: str, gates: Sequence[str], nodes: Mapping[str, Node], vectors: Sequence[str]
) -> Stage:
    """The stage of a cell that leaves these nodes."""
    levels: dict[int, int] = {}
    for node in walk(nodes.values()):
        below = max((levels[id(arg)] for arg in node.args), default=0)
        levels[id(node)] = below + (node.op == "mean")
    means = [node for node in walk(nodes.values()) if node.op == "mean"]
    constants = constants_of(vectors)
    for node in means:
        inputs = {str(each.attr) for each in walk(node.args) if each.op == "input"}
        if inputs <= {*constants}:
            raise UserError(
                f"{node.line}: a mean of what is the same for all units; leave mean out"
            )
    made: dict[int, Node] = {}  # what is computed, or read, in the place of a node
    for n, node in enumerate(means):
        made[id(node)] = replace(node, op="input", args=(), attr=f"mean_{n}")
    for node in walk(nodes.values()):
        if id(node) not in made:
            args = tuple(made[id(arg)] for arg in node.args)
            made[id(node)] = replace(node, args=args) if args != node.args else node
    outputs = {key: made[id(node)] for key, node in nodes.items()}
    outputs |= {f"sum_{n}": made[id(node.args[0])] for n, node in enumerate(means)}
    counts = {n: int(str(node.attr)) for n, node in enumerate(means)}
    turns = tuple(
        {n: counts[n] for n, node in enumerate(means) if levels[id(node)] == level + 1}
        for level in range(max(levels.values()))
    )
    return Stage(
        name=name,
        gates=tuple(gates),
        outputs=outputs,
        vectors=tuple(v for v in vectors if v not in constants),
        constants=constants,
        turns=turns,
    )
