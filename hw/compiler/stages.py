# SPDX-License-Identifier: Apache-2.0
"""The stages of an accelerator's step: a layer is one of them, or several that share its state."""

from collections.abc import Sequence
from dataclasses import dataclass

from .networks import Network
from .sweeps import Sweep


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What the cell unit does with all units of a layer, in one turn or, for means, in several.

    Members
    -------
    index: of all stages; the hardware's words and `AcceleratorConfig` count stages as layers
    layer: index of the network's layer
    cell: its name in `hw.cells.catalogue.CELLS`
    gates: what it takes, in the order of the slots
    sweep: what runs it
    puts_out: it is the last of its sweep
    """

    index: int
    layer: int
    cell: str
    gates: tuple[str, ...]
    sweep: Sweep
    puts_out: bool


def plan_stages(network: Network, sweeps: Sequence[Sweep]) -> tuple[Stage, ...]:
    """The stages of every layer, in program order."""
    stages: list[Stage] = []
    for sweep in sweeps:
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
    return tuple(stages)
