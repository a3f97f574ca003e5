# SPDX-License-Identifier: Apache-2.0
"""The uses of a network's paths: which stage takes them, who writes their event lists, and where.

A path that feeds the gates of several stages is used by each of them, and has one list.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...golden.models.graph import h_source
from ...golden.models.layers import TOKEN_EVENTS
from ..config import AcceleratorConfig
from .networks import Network, Path
from .stages import Stage

INPUT = -1
"""Stands for the frames where a stage's number is expected."""

ORDER = ("h", "x", "rh")
"""Sources by when their lists are written: in the step before, by the layer before, by the stage
before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathUse:
    """What a path does for a stage: its list, who writes it, and where its elements are kept.

    Members
    -------
    stage: which uses it
    name: of the network's path
    path: as much of it as feeds the stage's gates
    list: index of the event list, shared by all stages that the path feeds
    producer: index of the stage that writes the list, or INPUT
    encoder: which of the producer's encoders writes it
    event_base, reference_base: where the list's events, and the references, are in the encoder's
        memories
    """

    stage: Stage
    name: str
    path: Path
    list: int
    producer: int
    encoder: int
    event_base: int
    reference_base: int

    @property
    def of_frames(self) -> bool:
        """Whether its list is of the frames' elements, and not of states."""
        return self.producer == INPUT

    def room(self, config: AcceleratorConfig) -> int:
        """Events for which a bank of its list has room."""
        path = self.path
        return TOKEN_EVENTS if path.tokens and not config.spread else path.columns

    @property
    def references(self) -> int:
        """Of its source's elements, x̂; a token needs none."""
        return 0 if self.path.tokens else self.path.columns


def plan_uses(
    network: Network, stages: Sequence[Stage], config: AcceleratorConfig
) -> tuple[PathUse, ...]:
    """Every stage's paths with their list, producer and encoder, in program order.

    config: whose slices of encoders the references are spread over
    """
    first = {stage.layer: stage.index for stage in reversed(stages)}
    last = {stage.layer: stage.index for stage in stages}
    names = path_names(network)
    uses: list[PathUse] = []
    known: dict[tuple[int, int], PathUse] = {}
    encoders: dict[tuple[int, int], int] = {}
    events: dict[tuple[bool, int], int] = {}
    references: dict[tuple[bool, int], int] = {}
    for stage in stages:
        n, layer = stage.layer, network.layers[stage.layer]
        late = len(stage.sweep.layers) == 1  # right before the next step
        feedback = h_source(network.layers, n)
        before = INPUT if n == stage.sweep.layers[0] else last[n - 1]
        writers = {"h": last[feedback], "x": before, "rh": first[n]}
        for k, path in sorted(enumerate(layer.paths), key=lambda item: _when(item[1], late)):
            fed = _feeding(path, stage.gates)
            if fed is None:
                continue
            if (n, k) in known:
                uses.append(replace(known[n, k], stage=stage, path=fed))
                continue
            producer = writers[path.source]
            user = (producer, stage.sweep.index)
            encoder = encoders.get(user, 0)
            encoders[user] = encoder + 1
            memory = (producer == INPUT, encoder)
            known[n, k] = PathUse(
                stage=stage,
                name=names[n][k],
                path=fed,
                list=len(known),
                producer=producer,
                encoder=encoder,
                event_base=events.get(memory, 0),
                reference_base=references.get(memory, 0),
            )
            uses.append(known[n, k])
            slices = config.input_elements if producer == INPUT else config.cell_units
            events[memory] = events.get(memory, 0) + 2 * known[n, k].room(config)
            kept = known[n, k].references
            rounded = kept + -kept % slices
            references[memory] = references.get(memory, 0) + rounded
    return tuple(uses)


def path_names(network: Network) -> list[list[str]]:
    """Of each layer, in its order; layers that share weights share the paths, but not names."""
    names = (name for name, _ in network.paths())
    return [[next(names) for _ in layer.paths] for layer in network.layers]


def _when(path: Path, late: bool) -> int:
    """The place of a path's list in the order in which lists are complete.

    late: a sweep's only layer, whose states are a step's last list; the next frame's is earlier.
    """
    return len(ORDER) if late and path.source == "h" else ORDER.index(path.source)


def _feeding(path: Path, gates: Sequence[str]) -> Path | None:
    """What of a path feeds these gates."""
    rows = [n for n, gate in enumerate(path.gates) if gate in gates]
    if len(rows) == len(path.gates):
        return path
    return path.of_gates(rows) if rows else None
