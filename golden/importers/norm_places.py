# SPDX-License-Identifier: Apache-2.0
"""Where norms of a list of their own stand: a file has them one after the other.

A module keeps its layers in one list and their norms in another, or as lstm1, lstm2, ln1, ln2. A
norm of a norm does nothing, so that the file's order cannot be the network's there.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from .modules import Module
from .tensors.layout import NORM_KIND

__all__ = ["is_norm", "with_norms_placed"]

_NUMBERED = re.compile(r"(?P<list>.*?)[._]?(?P<number>\d+)")


def is_norm(module: Module) -> bool:
    """Whether a module is layer normalization alone."""
    return module.stages[0].first.kind == NORM_KIND and module.stages[0].first is module.last


def with_norms_placed(modules: Sequence[Module]) -> list[Module] | None:
    """The modules in the file's order, norms in a row beside the layers of their numbers.

    Behind them or before them, as only one of the two fits; None where it is not clear.
    """
    pairs = [pair for pair in pairwise(modules) if is_norm(pair[0]) and is_norm(pair[1])]
    norms = [*{id(norm): norm for pair in pairs for norm in pair}.values()]
    if not norms:
        return list(modules)
    places = _places(modules, norms)
    behind = all(norm.inputs in layer.widths for layer, norm in places)
    if not places or behind == all(norm.inputs == layer.inputs for layer, norm in places):
        return None
    beside = {id(layer): norm for layer, norm in places}
    taken = {id(norm) for norm in norms}
    placed: list[Module] = []
    for module in modules:
        pair = [module, beside[id(module)]] if id(module) in beside else [module]
        placed += [] if id(module) in taken else pair if behind else pair[::-1]
    return placed


def _places(modules: Sequence[Module], norms: Sequence[Module]) -> list[tuple[Module, Module]]:
    """(layer, norm) of the same number, of the one list that has them all; none for no such."""
    lists: dict[str, dict[str, Module]] = {}
    for module in modules:
        match = _NUMBERED.fullmatch(module.name)
        if match and not is_norm(module):
            lists.setdefault(match["list"], {})[match["number"]] = module
    matches = [_NUMBERED.fullmatch(norm.name) for norm in norms]
    numbers = [match["number"] for match in matches if match]
    found = [own for own in lists.values() if {*numbers} <= own.keys()]
    if len(found) != 1 or len({*numbers}) < len(norms):
        return []
    return [(found[0][n], norm) for n, norm in zip(numbers, norms, strict=True)]
