# SPDX-License-Identifier: Apache-2.0
"""The epsilon of norms, which tensors do not tell."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from ..cells.norm import LEAST, PREFIX
from ..errors import UserError
from .modules import Module
from .norm_places import is_norm
from .tensors.layer_norm import checked_epsilon, with_epsilon

__all__ = ["with_epsilon_of_all", "with_epsilons_in_order"]


def with_epsilon_of_all(
    modules: Sequence[Module], epsilon: float | None
) -> tuple[list[Module], str]:
    """The modules with this epsilon in all norms, None: as they are; and a note on it, or "".

    Raises UserError where there is no norm, and for an epsilon that none has.
    """
    found = sorted({e for module in modules for e in _found(module)})
    if epsilon is None:
        text = " and ".join(f"{e:g}" for e in found)
        note = f"layer normalization: epsilon is taken to be {text}; --norm-epsilon says another"
        return list(modules), note if found else ""
    if not found:
        raise UserError("norm epsilon: there is no layer normalization; leave --norm-epsilon out")
    checked_epsilon("norm epsilon", epsilon)
    return [_with(module, epsilon) for module in modules], ""


def with_epsilons_in_order(modules: Sequence[Module], told: Sequence[float]) -> list[Module]:
    """The same with what a program tells, a norm after the other; nothing where it is unclear."""
    if len({*told}) == 1:
        told = [told[0]] * len(modules)
        return [_with(module, epsilon) for module, epsilon in zip(modules, told, strict=True)]
    if len(told) != sum(map(is_norm, modules)):
        return list(modules)
    left = iter(told)
    return [_with(module, next(left)) if is_norm(module) else module for module in modules]


def _found(module: Module) -> Iterator[float]:
    for stage in module.stages:
        for layer in stage.layers:
            for name in layer.cell.norms:
                yield float(layer.vectors[f"{PREFIX}{name}"].max()) + LEAST


def _with(module: Module, epsilon: float) -> Module:
    return replace(
        module,
        stages=tuple(
            stage.change(partial(with_epsilon, epsilon=epsilon)) for stage in module.stages
        ),
    )
