# SPDX-License-Identifier: Apache-2.0
"""The stages of a cell that takes means over a layer's units: one more than means depend on means.

A stage leaves, as "sum_n", the values whose means the stages after it need, and these read them as
"mean_n", once all units have been through. Each stage is given the gates' pre-activations and the
state, and computes again what else it needs of the stages before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import UserError
from .graph import Node, walk
from .stages import Stage

__all__ = ["split_at_means"]


def split_at_means(
    names: Sequence[str], gates: Sequence[str], nodes: Mapping[str, Node], vectors: Sequence[str]
) -> tuple[Stage, ...]:
    """The stages, by `names`, of a cell that leaves these nodes."""
    levels: dict[int, int] = {}
    for node in walk(nodes.values()):
        below = max((levels[id(arg)] for arg in node.args), default=0)
        levels[id(node)] = below + (node.op == "mean")
    means = [node for node in walk(nodes.values()) if node.op == "mean"]
    count = 1 + max(levels.values())
    if len(names) != count:
        raise UserError(
            f"{means[0].line}: stages {tuple(names)}, one name is needed for each of {count}: "
            "means make one more, and means of what needs means another"
        )
    made: dict[int, Node] = {}  # what a stage computes or reads in the place of a node
    for n, node in enumerate(means):
        made[id(node)] = replace(node, op="input", args=(), attr=f"mean_{n}")
    for node in walk(nodes.values()):
        if id(node) not in made:
            args = tuple(made[id(arg)] for arg in node.args)
            made[id(node)] = replace(node, args=args) if args != node.args else node
    states = {
        str(node.attr): node
        for node in walk(nodes.values())
        if node.op == "input" and node.attr in ("c", "h")
    }
    stages = []
    for level, name in enumerate(names):
        last = level == count - 1
        sums = {
            f"sum_{n}": made[id(node.args[0])]
            for n, node in enumerate(means)
            if levels[id(node)] == level + 1
        }
        outputs = {key: made[id(node)] for key, node in nodes.items()} if last else states | sums
        stage = Stage(name=name, gates=tuple(gates), outputs=outputs, first=level == 0, last=last)
        own = tuple(vector for vector in vectors if vector in stage.inputs)
        stages.append(replace(stage, vectors=own))
    return tuple(stages)
