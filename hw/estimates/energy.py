# SPDX-License-Identifier: Apache-2.0
"""Energy of a frame in standard cells, by component, without a synthesis or a simulation.

What an accelerator does in a frame is counted from the plan and the events: bits of weights read,
products, rows rescaled, units, elements, cycles. What each of these costs is measured
(`energy_measured`): mapped netlists of some configurations, simulated on frames. As there, the
figures are of one library and corner, before placement; memories above `MACRO_BITS` are macros, the
clock is gated, has no idle cycles between frames, and leakage is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from ...golden.errors import UserError
from ..cells.catalogue import CELLS, reads, takes_turns
from ..compiler.plan import Plan
from ..config import AcceleratorConfig
from ..datapath.turns.turns import kept_gates, kept_groups
from ..parts.memory import BANK_WORDS
from ..words import FIXED, UNIT_BITS, RowParameters
from .cycle_machine import Events
from .cycles import estimate_plan
from .energy_measured import CORNER, MACRO_BITS, MEASURED

__all__ = ["CORNER", "EnergyEstimate", "amounts", "estimate_energy"]

MACRO_WORDS = 16
"""A memory of fewer words is flip-flops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyEstimate:
    """Energy of a mean frame, in J.

    Members
    -------
    corner: the library and its corner.
    cycles: of a frame.
    parts: of each component, its macros among it, without what the clock takes.
    clock: of all clock pins and clock gates.
    """

    corner: str
    cycles: float
    parts: Mapping[str, float]
    clock: float

    @property
    def total(self) -> float:
        """Of all."""
        return sum(self.parts.values()) + self.clock


def estimate_energy(plan: Plan, events: Sequence[Events]) -> EnergyEstimate:
    """The energy of a mean frame of these sequences.

    Parameters
    ----------
    events: as for `estimate_plan`

    Raises UserError for accelerators unlike those that were measured.
    """
    check_covered(plan.config)
    found = amounts(plan, events)
    parts, clock = {}, 0.0
    for part, counts in found.items():
        costs = MEASURED[part]
        parts[part] = 1e-12 * sum(costs[name][0] * count for name, count in counts.items())
        clock += 1e-12 * sum(costs[name][1] * count for name, count in counts.items())
    return EnergyEstimate(
        corner=CORNER,
        cycles=found["bus"]["cycles"],
        parts=parts,
        clock=clock,
    )


def check_covered(config: AcceleratorConfig) -> None:
    """Raise UserError for accelerators of which no netlist was measured."""
    way_out = "is not in the energy model; let build --asic measure the netlist"
    if config.arithmetic != FIXED:
        raise UserError(f"arithmetic: {config.arithmetic} {way_out}")
    if config.sdram:
        raise UserError(f"weight_memory: {config.weight_memory} {way_out}")
    if config.buffered:
        raise UserError(f"sequence_words: a sequence buffer {way_out}")


def amounts(plan: Plan, events: Sequence[Events]) -> dict[str, dict[str, float]]:
    """How much of what takes energy each component does in a mean frame of these sequences.

    Of a cell that takes turns all multipliers count for each unit in each turn, those too that work
    once between two turns for all units: the cell's class does not say how many these are.
    """
    config = plan.config
    estimate = estimate_plan(plan, events)
    steps = len(estimate.ends)
    cycles, beats = estimate.cycles_per_step, estimate.beats / steps
    lists = [uses[0] for uses in plan.lists]
    elements = sum(use.path.most_events for use in lists)
    words = estimate.drained / (steps * config.cell_units)
    groups = sum(one.groups for one in plan.passes)
    rows, products = words * config.unit_word, beats * config.lanes
    stages = [(stage.cell, plan.network.layers[stage.layer].units) for stage in plan.stages]
    outputs = sum(
        units for stage, (_, units) in zip(plan.stages, stages, strict=True) if stage.puts_out
    )
    encoders = config.encoders + config.input_encoders
    row_bits = config.unit_word * config.sum_bits, config.unit_word * RowParameters.size
    return {
        "weight memory": {
            "accesses": beats * _store_access(config),
            "bits": beats * config.word_bits,
            "cycles": cycles,
        },
        "lanes": {
            "products": products * config.digit_bits * config.delta_bits,
            "sums": products * config.lane_bits,
            "cycles": cycles,
        },
        "accumulators": {
            "accesses": words * sum(_access(config.row_words, bits) for bits in row_bits),
            "rows": rows * config.sum_bits,
            "cycles": cycles,
        },
        "cells": {
            "multipliers": sum(
                (1 + len(CELLS[name].TURNS)) * units * CELLS[name].SIZE.multipliers
                for name, units in stages
            ),
            "accesses": cycles * _states_access(config) + _turns_accesses(config, stages),
            "cycles": cycles,
        },
        "encoders": {
            "elements": elements,
            "accesses": cycles * _lists_access(config),
            "cycles": cycles * encoders,
        },
        "fetch": {"beats": beats, "groups": groups, "cycles": cycles},
        "outputs": {"words": outputs, "cycles": cycles},
        "bus": {"cycles": cycles},
    }


def _access(depth: int, width: int) -> float:
    """What an access of a memory costs beside another's: its width and the root of its bits; 0 for
    one that is flip-flops."""
    bits = depth * width
    return width * sqrt(bits) if bits > MACRO_BITS and depth >= MACRO_WORDS else 0.0


def _store_access(config: AcceleratorConfig) -> float:
    """Of a weight word, in the mean over the banks."""
    banks, rest = divmod(config.weight_words, BANK_WORDS)
    depths = [BANK_WORDS] * banks + ([1 << (rest - 1).bit_length()] if rest else [])
    return sum(depth * _access(depth, config.word_bits) for depth in depths) / sum(depths)


def _states_access(config: AcceleratorConfig) -> float:
    """Of all memories of states, which are read in every cycle."""
    depth = ceil(config.states / config.cell_units)
    return config.cell_units * (1 + reads(config.cells, "c")) * _access(depth, 16)


def _turns_accesses(config: AcceleratorConfig, stages: Sequence[tuple[str, int]]) -> float:
    """Of the gates of units whose cell takes turns: written in the first, read in each other.

    stages: cell and units of each
    """
    if not takes_turns(config.cells):
        return 0.0
    groups = kept_groups(config.turn_units, config.cell_units)
    words = sum(
        (1 + len(CELLS[name].TURNS)) * ceil(units / config.cell_units)
        for name, units in stages
        if CELLS[name].TURNS
    )
    return words * _access(groups, 16 * kept_gates(config.cells) * config.cell_units)


def _lists_access(config: AcceleratorConfig) -> float:
    """Of all event lists, which are read in every cycle."""
    width = UNIT_BITS + config.delta_bits
    return config.input_encoders * _access(config.input_events, width) + config.encoders * _access(
        config.events, width
    )
