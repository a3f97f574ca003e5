# SPDX-License-Identifier: Apache-2.0
"""Puts the modules of a checkpoint in order, as their widths and the file's own order tell."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

from ..errors import UserError
from ..models.float_model import FloatLayer
from .modules import Module, mismatch
from .norm_places import is_norm, with_norms_placed
from .tensors.directions import Stage, both_ways

SEARCH_STEPS = 100_000
"""How long an order is looked for: a second."""
MOST_SEARCHED = 200
"""Modules of which an order is looked for."""
_SAY = "say which with the modules' names: --order FIRST,SECOND,..."


def chain(modules: list[Module], *, ordered: bool, told: bool = False) -> list[Module]:
    """The one order in which every module takes what the one before puts out.

    Where several fit, the file's own is taken if it is one of them and the file keeps an order.
    told: a configuration tells that this is the network's.
    """
    _check_decoders(modules)
    placed = modules if told else with_norms_placed(modules) if ordered else None
    if placed is not None and all(b.inputs in a.widths for a, b in pairwise(placed)):
        return placed
    if not ordered:  # then an error had better not begin with what is last in most networks
        modules = sorted(modules, key=lambda module: module.last.kind == "linear")
    chains, longest = _search(modules)
    if not chains:
        left = next(module for module in modules if module not in longest)
        raise UserError(
            f"{mismatch(longest[-1].last, left.stages[0].first, longest[-1].widths[0])}; "
            "only a single chain of layers can be imported"
        )
    if len(chains) > 1:
        n = next(k for k in range(len(modules)) if chains[0][k] is not chains[1][k])
        a, b = chains[0][n].stages[0], chains[1][n].stages[0]
        widths = [f"{stage.first.name} ({stage.inputs} -> {stage.outputs})" for stage in (a, b)]
        raise UserError(f"{' and '.join(widths)} fit in either order; {_SAY}")
    return chains[0]


def _check_decoders(modules: Sequence[Module]) -> None:
    """Raise UserError for a recurrent encoder and decoder, which weights show as a stack."""
    recurrent = [m.name for m in modules if any(a.cell.recurrent for a in m.stages[-1].layers)]
    encoder, decoder = (
        next((name for name in recurrent if re.search(rf"(^|[^a-z]){what}", name.lower())), "")
        for what in ("enc", "dec")
    )
    if encoder and decoder:
        raise UserError(
            f"{encoder} and {decoder}: the file does not tell whether the decoder takes the "
            "encoder's outputs, or its last state, which no network here can; --order "
            f"{','.join(module.name for module in modules)} says that they are a stack, --only "
            "PATTERN reads one"
        )


def _search(modules: list[Module]) -> tuple[list[list[Module]], list[Module]]:
    """Up to two orders that chain, and the longest beginning of one.

    Raises UserError where that takes more than SEARCH_STEPS.
    """
    chains: list[list[Module]] = []
    longest: list[Module] = []
    dead: set[tuple] = set()  # widths that remain without a way on: keeps the search short
    steps = 0

    def extend(taken: list[Module], left: list[Module]) -> None:
        nonlocal longest, steps
        steps += 1 + len(left)
        if steps > SEARCH_STEPS:
            raise UserError(f"{len(modules)} modules fit in too many orders; {_SAY}")
        if len(taken) > len(longest):
            longest = taken
        if not left:
            chains.append(taken)
            return
        widths = sorted((module.inputs, module.widths, is_norm(module)) for module in left)
        state = ((taken[-1].widths, is_norm(taken[-1])) if taken else None, *widths)
        if state in dead:
            return
        before = len(chains)
        for k, module in enumerate(left):
            if len(chains) < 2 and (not taken or _follows(taken[-1], module)):
                extend([*taken, module], left[:k] + left[k + 1 :])
        if len(chains) == before:
            dead.add(state)

    if len(modules) > MOST_SEARCHED:
        raise UserError(f"{len(modules)} modules, whose order the file does not keep; {_SAY}")
    extend([], modules)
    return chains, longest


def _follows(first: Module, second: Module) -> bool:
    """Whether one may take what another puts out; a norm of a norm does nothing."""
    return second.inputs in first.widths and not (is_norm(first) and is_norm(second))


def named_order(modules: list[Module], order: Sequence[str]) -> list[Module]:
    by_name = {module.name: module for module in modules}
    if sorted(order) != sorted(by_name):
        raise UserError(
            f"order {','.join(order)}: name each of the modules once: {', '.join(by_name)}"
        )
    chain = [by_name[name] for name in order]
    for a, b in pairwise(chain):
        if b.inputs not in a.widths:
            raise UserError(mismatch(a.last, b.stages[0].first, a.widths[0]))
    return chain


def settled(modules: Sequence[Module], backwards: Collection[str]) -> list[Stage]:
    """All stages, with both directions where what follows asks for them.

    backwards: names of modules that take and put out the frames they get last to first, so that
    what follows has them in that order, too.
    """
    stages: list[Stage] = []
    turned = False
    for n, module in enumerate(modules):
        follower = modules[n + 1].inputs if n + 1 < len(modules) else module.widths[0]
        doubles = module.open and follower == module.widths[1]
        turned ^= module.name in backwards
        for stage in module.stages:
            whole = both_ways(stage) if doubles else stage
            stages.append(whole.change(_turned) if turned else whole)
    return stages


def _turned(layer: FloatLayer) -> FloatLayer:
    """The layer in the other direction; one without a state has none."""
    return layer if not layer.cell.state else replace(layer, backward=not layer.backward)
