# SPDX-License-Identifier: Apache-2.0
"""The derivatives of a cell's step, at the words of many steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .cells import INT16, Step

__all__ = ["Back", "Means", "Units"]


@dataclass(slots=True)
class Back:
    """Gradients of pre-activations, [n, gates, units], and of the state before, [n, units], or None
    for 0.
    """

    p: Tensor
    c: Tensor | None
    h: Tensor | None


Partial = Mapping[str, Tensor | None]


class Units:
    """Of a cell that acts on each unit alone: its partial derivatives, taken at once.

    Parameters
    ----------
    step: the smooth one.
    gates: names of the pre-activations.
    p: [rows, gates, units], before they are saturated.
    rows: "c" and "h" before each row's step and, where the cell has it, "skip": [rows, units].
    vectors: by name, [units].
    """

    def __init__(
        self,
        step: Step,
        gates: Sequence[str],
        p: Tensor,
        rows: Mapping[str, Tensor],
        vectors: Mapping[str, Tensor],
    ) -> None:
        with torch.enable_grad():
            leaves = {"p": p, **rows, **{n: v.expand(len(p), -1) for n, v in vectors.items()}}
            leaves = {name: leaf.detach().clone().requires_grad_() for name, leaf in leaves.items()}
            inputs = _named(leaves, gates)
            c, h = step(inputs)
            rh = step.middle(inputs) if step.makes_source else None
        self._h = _partial(h, leaves)
        self._c = None if c is None else _partial(c, leaves)
        self._source = None if rh is None else _partial(rh, leaves)
        self._above_h, self._above_c = torch.zeros(2, *h.shape)
        self._rest = [name for name in leaves if name not in ("p", "c", "h")]
        self._vectors = vectors

    def pull(self, at: slice, c: Tensor, h: Tensor) -> Back:
        """From gradients of the state after a step, in the rows `at`, to those of its inputs."""
        self._above_h[at] = h
        found = _times(self._h, at, h)
        if self._c is not None:
            self._above_c[at] = c
            more = _times(self._c, at, c)
            found = Back(found.p + more.p, _sum(found.c, more.c), _sum(found.h, more.h))
        return found

    def pull_source(self, at: slice, rh: Tensor) -> Back:
        """The same of the source that the cell makes."""
        assert self._source is not None
        return _times(self._source, at, rh)

    def rest(self) -> dict[str, Tensor]:
        """Of all rows that were pulled: of the vectors, [units], and of "skip", [rows, units]."""
        found = {}
        for name in self._rest:
            whole = torch.zeros_like(self._above_h)
            for partial, above in ((self._h, self._above_h), (self._c, self._above_c)):
                own = None if partial is None else partial[name]
                if own is not None:
                    whole += own * above
            found[name] = whole.sum(0) if name in self._vectors else whole
        return found


class Means:
    """Of a cell that takes means over units: the step again, and its gradient, for each step."""

    def __init__(
        self,
        step: Step,
        gates: Sequence[str],
        p: Tensor,
        rows: Mapping[str, Tensor],
        vectors: Mapping[str, Tensor],
    ) -> None:
        self._step, self._gates, self._rows, self._vectors = step, gates, {"p": p, **rows}, vectors
        self._found = {name: torch.zeros_like(v) for name, v in vectors.items()}
        if "skip" in rows:
            self._found["skip"] = torch.zeros_like(rows["skip"])

    def pull(self, at: slice, c: Tensor, h: Tensor) -> Back:
        """As `Units.pull`."""
        with torch.enable_grad():
            leaves = {name: row[at].detach().clone() for name, row in self._rows.items()}
            leaves |= {name: v.detach().clone() for name, v in self._vectors.items()}
            for leaf in leaves.values():
                leaf.requires_grad_()
            after = self._step(_named(leaves, self._gates))
        outputs, above = ([after[1]], [h]) if after[0] is None else ([*after], [c, h])
        found = torch.autograd.grad(outputs, [*leaves.values()], above, allow_unused=True)
        of = dict(zip(leaves, found, strict=True))
        for name, whole in self._found.items():
            own = of[name]
            if own is not None and name == "skip":
                whole[at] += own
            elif own is not None:
                whole += own
        p = of["p"]
        assert p is not None
        return Back(p, of["c"], of["h"])

    def pull_source(self, at: slice, rh: Tensor) -> Back:
        """No cell with means makes a source."""
        raise NotImplementedError

    def rest(self) -> dict[str, Tensor]:
        """As `Units.rest`."""
        return self._found


def _named(leaves: Mapping[str, Tensor], gates: Sequence[str]) -> dict[str, Tensor]:
    """What a step takes, with its pre-activations saturated."""
    whole = leaves["p"].clamp(*INT16)
    named = {gate: whole[:, g] for g, gate in enumerate(gates)}
    return named | {name: leaf for name, leaf in leaves.items() if name != "p"}


def _partial(output: Tensor, leaves: Mapping[str, Tensor]) -> Partial:
    """The derivatives of each row and unit of the output by those of each leaf."""
    if not output.requires_grad:
        return dict.fromkeys(leaves)
    found = torch.autograd.grad(
        output, [*leaves.values()], torch.ones_like(output), retain_graph=True, allow_unused=True
    )
    return dict(zip(leaves, found, strict=True))


def _times(partial: Partial, at: slice, above: Tensor) -> Back:
    p, c, h = (partial[name] for name in ("p", "c", "h"))
    assert p is not None
    return Back(
        p[at] * above[:, None],
        None if c is None else c[at] * above,
        None if h is None else h[at] * above,
    )


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
