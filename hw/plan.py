# SPDX-License-Identifier: Apache-2.0
"""What an accelerator does in a step, and where: paths, their event lists, and the passes.

A unit-word is `drain_rows` consecutive units. A pass is one path over a chunk of unit-words: in
each chunk the recurrent paths come first and the path of the layer's input last, whose D-words
complete the pre-activations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from ..golden.network import Network, Path, path_name
from .config import AcceleratorConfig

INPUT = -1
"""Stands for the frames where a layer's number is expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathPlan:
    """A path's place: its list, who writes that list, and where its elements are kept."""

    layer: int
    name: str
    path: Path
    list: int
    producer: int
    encoder: int
    event_base: int
    reference_base: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Unit-words `first` .. `first + count` of a layer; units: how many of them are real."""

    first: int
    count: int
    units: int


def plan_paths(network: Network) -> list[PathPlan]:
    """Every path's list, producer and encoder, in program order."""
    plans: list[PathPlan] = []
    used: dict[int, int] = {}
    events: dict[tuple[bool, int], int] = {}
    references: dict[tuple[bool, int], int] = {}
    for n, layer in enumerate(network.layers):
        for k, path in sorted(enumerate(layer.paths), key=lambda item: item[1].source == "x"):
            producer = n if path.source == "h" else n - 1
            encoder = used.get(producer, 0)
            used[producer] = encoder + 1
            memory = (producer == INPUT, encoder)
            plans.append(
                PathPlan(
                    layer=n,
                    name=path_name(layer, k),
                    path=path,
                    list=len(plans),
                    producer=producer,
                    encoder=encoder,
                    event_base=events.get(memory, 0),
                    reference_base=references.get(memory, 0),
                )
            )
            events[memory] = events.get(memory, 0) + 2 * path.columns
            references[memory] = references.get(memory, 0) + path.columns
    return plans


def chunks(config: AcceleratorConfig, units: int) -> Iterator[Chunk]:
    """A layer's unit-words in pieces of at most `chunk_words`."""
    words = ceil(units / config.drain_rows)
    for first in range(0, words, config.chunk_words):
        count = min(config.chunk_words, words - first)
        start = first * config.drain_rows
        yield Chunk(first=first, count=count, units=min(count * config.drain_rows, units - start))


@dataclass(frozen=True, kw_only=True, slots=True)
class PassPlan:
    """One pass. groups: of lanes; words: weight words it takes."""

    plan: PathPlan
    chunk: Chunk
    groups: int
    first_use: bool
    last_use: bool
    last_path: bool
    slots_before: frozenset[str]
    weight_base: int
    row_base: int

    @property
    def words(self) -> int:
        return self.groups * self.plan.path.columns


def passes(network: Network, config: AcceleratorConfig) -> Iterator[PassPlan]:
    by_layer: dict[int, list[PathPlan]] = {}
    for plan in plan_paths(network):
        by_layer.setdefault(plan.layer, []).append(plan)
    weight_base = row_base = 0
    for n, layer in enumerate(network.layers):
        pieces = list(chunks(config, layer.units))
        for chunk in pieces:
            done: set[str] = set()
            for plan in by_layer[n]:
                words = chunk.count * len(plan.path.gates)
                groups = ceil(words / config.group_words(plan.path.weight_bits))
                item = PassPlan(
                    plan=plan,
                    chunk=chunk,
                    groups=groups,
                    first_use=chunk is pieces[0],
                    last_use=chunk is pieces[-1],
                    last_path=plan is by_layer[n][-1],
                    slots_before=frozenset(done),
                    weight_base=weight_base,
                    row_base=row_base,
                )
                done.update(plan.path.gates)
                weight_base += item.words
                row_base += words
                yield item
