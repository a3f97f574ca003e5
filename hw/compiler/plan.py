# SPDX-License-Identifier: Apache-2.0
"""What an accelerator does in a step, and where: stages, paths, their event lists, and the passes.

A layer is one stage of the hardware, or several that share its units' state. A unit-word is
`unit_word` consecutive units. A pass is one path over a chunk of unit-words: in each chunk the
path whose list is the last to be written comes last, and its D-words complete the pre-activations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from ...golden.models.graph import h_source
from ...golden.models.network import Network, Path, path_name
from ..config import AcceleratorConfig
from .sweeps import Sweep, plan_sweeps

INPUT = -1
"""Stands for the frames where a stage's number is expected."""

ORDER = ("h", "x", "rh")
"""Sources by when their lists are written: in the step before, by the layer before, by the stage
before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One turn of the cell unit, over all units of a layer.

    index: of all stages, as the hardware counts layers. layer: index of the network's layer.
    sweep: what runs it. puts_out: the last of its sweep.
    cell: its name in `hw.cells.catalogue.CELLS`. gates: what it takes, in the order of the slots.
    """

    index: int
    layer: int
    cell: str
    gates: tuple[str, ...]
    sweep: Sweep
    puts_out: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PathPlan:
    """What a path does for a stage: its list, who writes it, and where its elements are kept.

    name: of the network's path. path: as much of it as feeds the stage's gates. list: shared by all
    stages that the path feeds. producer: index of the stage that writes it, or INPUT.
    """

    stage: Stage
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


def plan_stages(network: Network) -> list[Stage]:
    """The stages of every layer, in program order."""
    stages: list[Stage] = []
    for sweep in plan_sweeps(network):
        for n in sweep.layers:
            layer = network.layers[n]
            for part in layer.cell.stages:
                stages.append(
                    Stage(
                        index=len(stages),
                        layer=n,
                        cell=part.name,
                        gates=part.gates,
                        sweep=sweep,
                        puts_out=n == sweep.result and part.last,
                    )
                )
    return stages


def plan_paths(network: Network, config: AcceleratorConfig | None = None) -> list[PathPlan]:
    """Every stage's paths with their list, producer and encoder, in program order.

    config: whose slices of encoders the references are spread over; None has one of each.
    """
    stages = plan_stages(network)
    first = {stage.layer: stage.index for stage in reversed(stages)}
    last = {stage.layer: stage.index for stage in stages}
    plans: list[PathPlan] = []
    known: dict[tuple[int, int], PathPlan] = {}
    used: dict[tuple[int, int], int] = {}
    events: dict[tuple[bool, int], int] = {}
    references: dict[tuple[bool, int], int] = {}
    for stage in stages:
        n, layer = stage.layer, network.layers[stage.layer]
        late = len(stage.sweep.layers) == 1  # right before the next step
        feedback = h_source(network.layers, n)
        before = INPUT if n == stage.sweep.layers[0] else last[n - 1]
        writers = {"h": last[feedback], "x": before, "rh": first[n]}
        for k, path in sorted(enumerate(layer.paths), key=lambda item: _when(item[1], late)):
            part = _part(path, stage.gates)
            if part is None:
                continue
            if (n, k) in known:
                plans.append(replace(known[n, k], stage=stage, path=part))
                continue
            producer = writers[path.source]
            user = (producer, stage.sweep.index)
            encoder = used.get(user, 0)
            used[user] = encoder + 1
            memory = (producer == INPUT, encoder)
            known[n, k] = PathPlan(
                stage=stage,
                name=path_name(layer, k),
                path=part,
                list=len(known),
                producer=producer,
                encoder=encoder,
                event_base=events.get(memory, 0),
                reference_base=references.get(memory, 0),
            )
            plans.append(known[n, k])
            events[memory] = events.get(memory, 0) + 2 * path.columns
            slices = (
                1
                if config is None
                else config.input_elements
                if producer == INPUT
                else config.cell_units
            )
            rounded = path.columns + -path.columns % slices
            references[memory] = references.get(memory, 0) + rounded
    return plans


def _when(path: Path, late: bool) -> int:
    """The place of a path's list in the order in which lists are complete.

    late: a sweep's only layer, whose states are a step's last list; the next frame's is earlier.
    """
    return len(ORDER) if late and path.source == "h" else ORDER.index(path.source)


def _part(path: Path, gates: Sequence[str]) -> Path | None:
    """What of a path feeds these gates."""
    rows = [n for n, gate in enumerate(path.gates) if gate in gates]
    if len(rows) == len(path.gates):
        return path
    if not rows:
        return None
    scale = path.weight_scale
    return replace(
        path,
        gates=tuple(path.gates[n] for n in rows),
        weights=path.weights[rows],
        mult=path.mult[rows],
        shift=path.shift[rows],
        weight_scale=scale[rows] if len(scale) == len(path.gates) else scale,
    )


def chunks(config: AcceleratorConfig, units: int) -> Iterator[Chunk]:
    """A layer's unit-words in pieces of at most `chunk_words`."""
    words = ceil(units / config.unit_word)
    for first in range(0, words, config.chunk_words):
        count = min(config.chunk_words, words - first)
        start = first * config.unit_word
        yield Chunk(first=first, count=count, units=min(count * config.unit_word, units - start))


@dataclass(frozen=True, kw_only=True, slots=True)
class PassPlan:
    """One pass. groups: of lanes; words: weight words it takes.

    first_chunk, last_chunk: of the stage. first_use, last_use: of the list, over all stages.
    last_path: of the chunk. gates_before: those that an earlier path of the chunk feeds.
    first_pass, last_pass: of a step. shares: its weights are those of an earlier pass.
    """

    plan: PathPlan
    chunk: Chunk
    groups: int
    first_chunk: bool
    last_chunk: bool
    first_use: bool
    last_use: bool
    last_path: bool
    first_pass: bool
    last_pass: bool
    shares: bool
    gates_before: frozenset[str]
    weight_base: int
    row_base: int

    @property
    def words(self) -> int:
        return self.groups * self.plan.path.columns


def passes(network: Network, config: AcceleratorConfig) -> Iterator[PassPlan]:
    """The program: what a step does, sweep after sweep."""
    by_stage: dict[int, list[PathPlan]] = {}
    uses: dict[int, list[int]] = {}
    for plan in plan_paths(network, config):
        by_stage.setdefault(plan.stage.index, []).append(plan)
        uses.setdefault(plan.list, []).append(plan.stage.index)
    stages = plan_stages(network)
    weight_base = row_base = 0
    bases: dict[object, int] = {}
    for index, plans in by_stage.items():
        sweep = stages[index].sweep
        begins = index == 0 or stages[index - 1].sweep != sweep
        pieces = list(chunks(config, plans[0].path.units))
        for chunk in pieces:
            first, last = chunk is pieces[0], chunk is pieces[-1]
            done: set[str] = set()
            for plan in plans:
                path = plan.path
                words = chunk.count * len(path.gates)
                groups = ceil(words * config.cell_units / config.group_words(path.weight_bits))
                weights = (path.weight_bits, path.gates, chunk.first, path.weights.tobytes())
                key = (*weights, path.weights.shape)
                shares = key in bases
                item = PassPlan(
                    plan=plan,
                    chunk=chunk,
                    groups=groups,
                    first_chunk=first,
                    last_chunk=last,
                    first_use=first and index == uses[plan.list][0],
                    last_use=last and index == uses[plan.list][-1],
                    last_path=plan is plans[-1],
                    first_pass=begins and first and plan is plans[0],
                    last_pass=stages[index].puts_out and last and plan is plans[-1],
                    shares=shares,
                    gates_before=frozenset(done),
                    weight_base=bases.setdefault(key, weight_base),
                    row_base=row_base,
                )
                done.update(plan.path.gates)
                weight_base += 0 if shares else item.words
                row_base += words
                yield item
