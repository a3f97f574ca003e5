# SPDX-License-Identifier: Apache-2.0
"""The program: the passes of a step.

A unit-word is `unit_word` consecutive units. A pass is one path over a chunk of unit-words: in each
chunk the path whose list is the last to be written comes last, and its D-words complete the
pre-activations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from ..config import AcceleratorConfig
from .paths import PathUse


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Unit-words `first` .. `first + count` of a layer; units: how many of them are real."""

    first: int
    count: int
    units: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PassPlan:
    """One pass.

    Members
    -------
    use: the path, for its stage
    chunk: the unit-words
    groups: of lanes
    first_chunk, last_chunk: of the stage
    first_use, last_use: of the list in a step, over all stages
    last_path: of the chunk
    first_pass, last_pass: of a step
    gates_before: those that an earlier path of the chunk feeds
    shares: its weights are those of an earlier pass
    weight_base, row_base: its first weight word, and the first word of its rows
    """

    use: PathUse
    chunk: Chunk
    groups: int
    first_chunk: bool
    last_chunk: bool
    first_use: bool
    last_use: bool
    last_path: bool
    first_pass: bool
    last_pass: bool
    gates_before: frozenset[str]
    shares: bool
    weight_base: int
    row_base: int

    @property
    def weight_words(self) -> int:
        """Weight words that it reads."""
        return self.groups * self.use.path.columns

    @property
    def d_words(self) -> int:
        """D-words of all its cell units, which have a word of row parameters each."""
        return self.chunk.count * len(self.use.path.gates)


def chunks(config: AcceleratorConfig, units: int) -> Iterator[Chunk]:
    """A layer's unit-words in pieces of at most `chunk_words`."""
    words = ceil(units / config.unit_word)
    for first in range(0, words, config.chunk_words):
        count = min(config.chunk_words, words - first)
        start = first * config.unit_word
        yield Chunk(first=first, count=count, units=min(count * config.unit_word, units - start))


def plan_passes(uses: Sequence[PathUse], config: AcceleratorConfig) -> tuple[PassPlan, ...]:
    """What a step does, sweep after sweep; uses: in program order."""
    stages = [[*group] for _, group in groupby(uses, key=lambda use: use.stage.index)]
    users: dict[int, list[int]] = {}
    for use in uses:
        users.setdefault(use.list, []).append(use.stage.index)
    program: list[PassPlan] = []
    weight_base = row_base = 0
    stored: dict[object, int] = {}
    sweep = None
    for paths in stages:
        stage = paths[0].stage
        begins, sweep = stage.sweep != sweep, stage.sweep
        pieces = [*chunks(config, paths[0].path.units)]
        for chunk in pieces:
            first, last = chunk is pieces[0], chunk is pieces[-1]
            fed: frozenset[str] = frozenset()
            for use in paths:
                weights = _identity(use, chunk)
                one = PassPlan(
                    use=use,
                    chunk=chunk,
                    groups=_groups(use, chunk, config),
                    first_chunk=first,
                    last_chunk=last,
                    first_use=first and stage.index == users[use.list][0],
                    last_use=last and stage.index == users[use.list][-1],
                    last_path=use is paths[-1],
                    first_pass=begins and first and use is paths[0],
                    last_pass=stage.puts_out and last and use is paths[-1],
                    gates_before=fed,
                    shares=weights in stored,
                    weight_base=stored.setdefault(weights, weight_base),
                    row_base=row_base,
                )
                program.append(one)
                fed |= {*use.path.gates}
                weight_base += 0 if one.shares else one.weight_words
                row_base += one.d_words
    return tuple(program)


def _groups(use: PathUse, chunk: Chunk, config: AcceleratorConfig) -> int:
    words = chunk.count * len(use.path.gates) * config.cell_units
    return ceil(words / config.group_words(use.path.weight_bits))


def _identity(use: PathUse, chunk: Chunk) -> object:
    """What passes have in common whose weight words are the same."""
    path = use.path
    return path.weight_bits, path.gates, chunk.first, path.weights.tobytes(), path.weights.shape
