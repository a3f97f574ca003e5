# SPDX-License-Identifier: Apache-2.0
"""The stages of an accelerator's step: a layer is one of them, or several that share its state."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...golden.errors import UserError
from .networks import Network
from .sweeps import Sweep


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One turn of the cell unit, over all units of a layer.

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
    """The stages of every layer, in program order; UserError for a cell that only golden has."""
    stages: list[Stage] = []
    for sweep in sweeps:
        for n in sweep.layers:
            layer = network.layers[n]
            if layer.cell.takes_means:
                raise UserError(
                    f"layer {layer.name}: {layer.kind!r} takes means over the layer's units, which "
                    "golden does and the accelerator does not yet; use a cell without mean, or for "
                    "an LSTM with layer normalization of each gate, --scheme integer-lstm"
                )
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
