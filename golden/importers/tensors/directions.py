# SPDX-License-Identifier: Apache-2.0
"""Directions: layers that read the same input, side by side, and how stages of them are joined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import printable
from ...models.float_model import FloatLayer
from ...models.graph import FRAMES_NAME

INPUT = "(input)"
"""Among what a layer of a chain reads: the stage's input."""

Chain = tuple[FloatLayer, ...]
"""Layers of which each but the first reads the one before: a cell, with a linear layer before or
after it where there is a projection."""


@dataclass(frozen=True)
class Stage:
    """What stands between two places of a checkpoint where there is one vector a frame.

    chains: one for each direction; all read the stage's input, or what a layer of an earlier one
    put out and they name in `reads`, and their outputs, one after the other, are the stage's.
    """

    chains: tuple[Chain, ...]

    @property
    def first(self) -> FloatLayer:
        return self.chains[0][0]

    @property
    def inputs(self) -> int:
        return self.first.inputs

    @property
    def outputs(self) -> int:
        return sum(chain[-1].units for chain in self.chains)

    @property
    def layers(self) -> Chain:
        return tuple(layer for chain in self.chains for layer in chain)

    def change(self, change: Callable[[FloatLayer], FloatLayer]) -> "Stage":
        """The stage with other layers; those that share their weights still do."""
        return Stage(tuple(tuple(change(layer) for layer in chain) for chain in self.chains))


def one(*layers: FloatLayer) -> Stage:
    """A stage of one chain."""
    return Stage((layers,))


def both_ways(stage: Stage) -> Stage:
    """The stage in both directions, with the same weights: forward outputs first."""
    (chain,) = stage.chains
    return Stage((chain, reversed_chain(chain)))


def reversed_chain(chain: Chain) -> Chain:
    """The same layers from last frame to first, by names that end in ".reverse"."""
    names = {layer.name: f"{layer.name}.reverse" for layer in chain}
    return tuple(
        replace(
            layer,
            name=names[layer.name],
            backward=not layer.backward,
            h_from=names.get(layer.h_from, ""),
        )
        for layer in chain
    )


def with_names(stages: Iterable[Stage]) -> list[Stage]:
    """The stages with a name of its own for each layer, printable on any terminal."""
    taken: set[str] = set()
    named = []
    for stage in stages:
        chains = []
        new: dict[str, str] = {}
        for chain in stage.chains:
            for layer in chain:
                plain = printable(layer.name)
                name, n = plain, 2
                while name in taken:
                    name, n = f"{plain}_{n}", n + 1
                taken.add(name)
                new[layer.name] = name
            chains.append(
                tuple(
                    replace(
                        layer,
                        name=new[layer.name],
                        h_from=new.get(layer.h_from, ""),
                        reads=tuple(new.get(name, name) for name in layer.reads),
                    )
                    for layer in chain
                )
            )
        named.append(Stage(tuple(chains)))
    return named


def link(stages: Iterable[Stage]) -> tuple[tuple[FloatLayer, ...], tuple[str, ...]]:
    """All layers with what they read, and what the model puts out; the default where that is so."""
    layers: list[FloatLayer] = []
    reads: tuple[str, ...] = (FRAMES_NAME,)
    for stage in stages:
        for chain in stage.chains:
            read = reads
            for layer in chain:
                own = [reads if name == INPUT else (name,) for name in layer.reads]
                names = tuple(name for part in own for name in part) or read
                layers.append(replace(layer, reads=_or_default(names, layers)))
                read = (layer.name,)
        reads = tuple(chain[-1].name for chain in stage.chains)
    return tuple(layers), _or_default(reads, layers)


def _or_default(names: tuple[str, ...], layers: Sequence[FloatLayer]) -> tuple[str, ...]:
    return () if names == (layers[-1].name if layers else FRAMES_NAME,) else names
