# SPDX-License-Identifier: Apache-2.0
"""The epsilon of norms, which tensors do not tell, and what is said of norms that were taken."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from ..cells.norm import LEAST
from ..cells.stages import ALIKE
from ..errors import UserError
from .modules import MOST_LISTED, Module
from .norm_places import is_norm
from .tensors.layer_norm import checked_epsilon, names_layer_norm, with_epsilon

__all__ = ["norm_notes", "with_epsilon_of_all", "with_epsilons_in_order"]


def with_epsilon_of_all(modules: Sequence[Module], epsilon: float | None) -> list[Module]:
    """The modules with this epsilon in all norms, None: as they are.

    Raises UserError where there is no norm, and for an epsilon that none has.
    """
    if epsilon is None:
        return list(modules)
    if not any(True for module in modules for _ in _found(module)):
        raise UserError("norm epsilon: there is no layer normalization; leave --norm-epsilon out")
    checked_epsilon("norm epsilon", epsilon)
    return [_with(module, epsilon) for module in modules]


def norm_notes(modules: Sequence[Module], *, epsilon: float | None, order_said: bool) -> list[str]:
    """What norms are taken to be, as tensors do not tell it, in sentences.

    epsilon: that was said, or None.
    """
    notes = []
    unsure = [module.name for module in modules if is_norm(module)]
    unsure = [name for name in unsure if not names_layer_norm(name)]
    if unsure:
        verb = "is" if len(unsure) == 1 else "are"
        notes.append(
            f"{_listed(unsure)} {verb} taken to be LayerNorm; GroupNorm, and BatchNorm without "
            "running statistics, have the same tensors and would give other outputs"
        )
    found = sorted({e for module in modules for e in _found(module)})
    if found and epsilon is None:
        text = " and ".join(f"{e:g}" for e in found)
        notes.append(f"epsilon is taken to be {text}; --norm-epsilon says another")
    if epsilon is not None and epsilon < LEAST:
        notes.append(f"epsilon is taken to be {LEAST:.2g}, not {epsilon:g}: the least there is")
    if any(map(is_norm, modules)) and not order_said:
        order = _listed([module.name for module in modules])
        notes.append(f"the order is taken to be {order}; --order says another")
    return [f"layer normalization: {note}" for note in notes]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


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
                yield float(layer.vectors[f"{ALIKE}{name}"].max()) + LEAST


def _with(module: Module, epsilon: float) -> Module:
    return replace(
        module,
        stages=tuple(
            stage.change(partial(with_epsilon, epsilon=epsilon)) for stage in module.stages
        ),
    )
