# SPDX-License-Identifier: Apache-2.0
"""The axes of a value in an ONNX graph, by what they hold: time, batch, features, directions.

An axis is a row of atoms, the outer one first; each atom is one of the axes that a region's input
or a layer's output has, with its size. Axes that are merged have several, an axis of size 1 has
none. What moves axes only regroups atoms, so that nothing that mixes two of them goes unseen.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import prod

Atom = tuple[Hashable, int]
Axis = tuple[Atom, ...]
DIRECTIONS: Atom = ("directions", 2)


def axis(name: Hashable, size: int) -> Axis:
    """The axis of one atom; none for a size of 1."""
    return ((name, size),) if size != 1 else ()


@dataclass(frozen=True)
class Axes:
    """All axes of one value, in order. Each method gives those of what a node makes of it."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(size for _, size in atoms) for atoms in self.axes)

    @property
    def last(self) -> Axis:
        return self.axes[-1] if self.axes else ()

    def __len__(self) -> int:
        return len(self.axes)

    def at(self, number: int) -> int:
        """`number`, from the end where it is negative, as an index. Raises ValueError outside."""
        if not -len(self.axes) <= number < len(self.axes):
            raise ValueError(f"axis {number} of {len(self.axes)} is not there")
        return number % len(self.axes)

    def transpose(self, perm: Sequence[int]) -> "Axes":
        if sorted(perm) != list(range(len(self.axes))):
            raise ValueError(f"{list(perm)} is no order of {len(self.axes)} axes")
        return Axes(tuple(self.axes[n] for n in perm))

    def squeeze(self, numbers: Iterable[int] | None) -> "Axes":
        """Without the axes `numbers`; None: without all of size 1."""
        if numbers is None:
            gone = {n for n, atoms in enumerate(self.axes) if not atoms}
        else:
            gone = {self.at(n) for n in numbers}
        if any(self.axes[n] for n in gone):
            raise Moved()
        return Axes(tuple(atoms for n, atoms in enumerate(self.axes) if n not in gone))

    def unsqueeze(self, numbers: Sequence[int]) -> "Axes":
        total = len(self.axes) + len(numbers)
        if any(not -total <= n < total for n in numbers) or len({n % total for n in numbers}) < len(
            numbers
        ):
            raise ValueError(f"{list(numbers)} are not axes of {total}")
        new = {n % total for n in numbers}
        left = iter(self.axes)
        return Axes(tuple(() if n in new else next(left) for n in range(total)))

    def reshape(self, target: Sequence[int], *, allow_zero: bool = False) -> "Axes":
        """The same atoms in axes of the sizes `target`, as ONNX's Reshape takes them."""
        shape, total = self.shape, prod(self.shape)
        copies = not allow_zero
        if any(n == 0 and (not copies or k >= len(shape)) for k, n in enumerate(target)):
            raise ValueError(f"{list(target)} keeps an axis that is not there")
        sizes = [shape[k] if n == 0 else n for k, n in enumerate(target)]
        known = prod(n for n in sizes if n != -1)
        if sizes.count(-1) > 1 or any(n < -1 for n in sizes) or not known or total % known:
            raise ValueError(f"{list(target)} does not fit {list(shape)}")
        sizes = [total // known if n == -1 else n for n in sizes]
        if prod(sizes) != total:
            raise ValueError(f"{list(target)} does not fit {list(shape)}")
        left = [atom for atoms in self.axes for atom in atoms]
        axes = []
        for size in sizes:
            taken: list[Atom] = []
            while prod(n for _, n in taken) < size:
                taken.append(left.pop(0))
            if prod(n for _, n in taken) != size:
                raise Moved()
            axes.append(tuple(taken))
        return Axes(tuple(axes))

    def flatten(self, number: int) -> "Axes":
        """Two axes: those before `number`, and the rest."""
        first, rest = self.axes[:number], self.axes[number:]
        return Axes(tuple(tuple(a for atoms in part for a in atoms) for part in (first, rest)))

    def without(self, number: int) -> "Axes":
        return Axes(self.axes[:number] + self.axes[number + 1 :])

    def with_axis(self, number: int, atoms: Axis) -> "Axes":
        return Axes((*self.axes[:number], atoms, *self.axes[number:][1:]))


class Moved(Exception):
    """A node tears an axis apart, or takes away one that holds something."""
