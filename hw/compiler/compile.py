# SPDX-License-Identifier: Apache-2.0
"""From a quantized network to its accelerator: the configuration that fits, and the image."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from ...golden.arithmetic import WIDTHS
from ...golden.delta import DELTA_MODES, POWER_OF_TWO
from ...golden.errors import UserError
from ...golden.models.network import Network, Path
from ..cells.catalogue import CELLS, reads
from ..config import MAX_GROUP_WORDS, AcceleratorConfig, divisor_up_to
from ..image import Image, ListInfo
from ..words import UNIT_BITS
from .pack import (
    network_word,
    program_words,
    reference_words,
    row_words,
    stage_word,
    state_words,
    sum_words,
    sweep_words,
    vector_words,
    weight_digits,
    weight_words,
)
from .plan import INPUT, PathPlan, passes, plan_paths, plan_stages
from .sweeps import place_parts, plan_sweeps

SEQUENCE_FRAMES = 128
"""The longest sequence of a network with backward layers where nobody says more."""


def derive_config(
    network: Network,
    *others: Network,
    word_bits: int | None = None,
    drain_rows: int | None = None,
    lane_kind: str = "multiplier",
    frames: int = SEQUENCE_FRAMES,
    cell_units: int = 1,
    input_elements: int = 1,
    output_elements: int = 1,
) -> AcceleratorConfig:
    """The smallest accelerator that each of the networks fits.

    word_bits: None picks 256, or the nearest multiple of the weight width.
    drain_rows: None picks the largest divisor of the lanes up to 8.
    lane_kind, cell_units, input_elements, output_elements: see `AcceleratorConfig`.
    frames: the longest sequence, for networks with backward layers.
    """
    if frames < 1:
        raise UserError(f"longest sequence: {frames} is not possible, it must be at least 1 frame")
    networks = (network, *others)
    for each in networks:
        _check_widths(each)
    paths = [path for each in networks for _, path in each.paths()]
    widths = tuple(sorted({path.weight_bits for path in paths}))
    wanted = word_bits if word_bits is not None else 256
    if wanted < widths[-1] or wanted % widths[-1]:
        raise UserError(
            f"word_bits: {wanted} is not possible, it must be a multiple of the weight width "
            f"{widths[-1]}; try {max(widths[-1], wanted - wanted % widths[-1])}"
        )
    layers = [layer for each in networks for layer in each.layers]
    most = min(8, 1 << (max(layer.units for layer in layers) - 1).bit_length())
    most = max(most, ceil(wanted // widths[0] / MAX_GROUP_WORDS))
    shape = AcceleratorConfig(
        word_bits=wanted,
        weight_bits=widths,
        lane_kind=lane_kind,
        delta_modes=tuple(
            mode for mode in DELTA_MODES if mode in {each.delta_mode for each in networks}
        ),
        drain_rows=drain_rows or divisor_up_to(wanted // widths[-1], most),
        cell_units=cell_units,
        input_elements=input_elements,
        output_elements=output_elements,
    )
    needs = [_needs(each, shape) for each in networks]
    sizes: dict[str, Any] = {name: max(need[name] for need in needs) for name in needs[0]}
    if sizes["sequence_words"]:
        sizes["sequence_words"] *= frames
    return replace(
        shape,
        cells=tuple(dict.fromkeys(stage.cell for each in networks for stage in plan_stages(each))),
        initial=any(
            state.any()
            for each in networks
            for layer in each.layers
            for state in layer.initial.values()
        ),
        shifts=_span(int(s) for path in paths for s in path.shift),
        quantizer_shifts=_span(path.quantizer.shift for path in paths),
        **sizes,
    )


def compile_network(network: Network, config: AcceleratorConfig) -> Image:
    """The image of `network` for `config`.

    Raises UserError that names the parameter, what is needed, what there is, where it does not fit.
    """
    _check_widths(network)
    plans = plan_paths(network, config)
    program = list(passes(network, config))
    check_fits(network, config, plans)
    starts = {p.plan.stage.sweep.index: n for n, p in enumerate(program) if p.first_pass}
    states = _states(network, config)
    state_bases = tuple(int(base) for base in np.cumsum([0, *states])[:-1])
    contents = {
        "weights": [word for p in program if not p.shares for word in weight_words(p, config)],
        "rows": [word for p in program for word in row_words(network, p, config)],
        "program": program_words(config, program),
        "layers": [
            stage_word(network, config, plans, stage, state_bases) for stage in plan_stages(network)
        ],
        "network": [
            network_word(network, config, plans, sweep, starts.get(sweep.index, 0))
            for sweep in plan_sweeps(network)
        ],
    }
    if config.buffered:
        contents["sweeps"] = sweep_words(network, config)
    if config.initial:
        contents["initial_states"] = [
            word
            for layer, count in zip(network.layers, states, strict=True)
            for word in state_words(layer, count)
        ]
        contents["initial_references"] = reference_words(network, config, plans)
        contents["initial_sums"] = [w for p in program for w in sum_words(network, p, config)]
    if reads(config.cells, "vectors"):
        contents["vectors"] = [
            word
            for layer, count in zip(network.layers, states, strict=True)
            for word in vector_words(layer, count)
        ]
    lists = tuple(_list(plans, n) for n in range(_lists(plans)))
    return Image(contents=contents, lists=lists, state_bases=state_bases)


def longest_sequence(network: Network, config: AcceleratorConfig) -> int | None:
    """Frames of a sequence that the sequence buffer holds; None where there is none, and no end."""
    if not config.buffered:
        return None
    return config.sequence_words // place_parts(network, plan_sweeps(network)).stride


def _states(network: Network, config: AcceleratorConfig) -> list[int]:
    """Words of the state memory that each layer takes: whole rows of its banks."""
    return [layer.units + -layer.units % config.cell_units for layer in network.layers]


def _list(plans: Sequence[PathPlan], n: int) -> ListInfo:
    """The nth list, with the rows of all stages that read it."""
    readers = [plan for plan in plans if plan.list == n]
    return ListInfo(
        path=readers[0].name,
        columns=readers[0].path.columns,
        rows=sum(plan.path.rows for plan in readers),
        threshold=readers[0].path.threshold,
    )


def _lists(plans: Sequence[PathPlan]) -> int:
    return 1 + max(plan.list for plan in plans)


def _pre_bits(network: Network) -> int:
    """Width in which no pre-activation ever overflows, whatever the inputs."""
    worst = 0
    for layer in network.layers:
        total = np.abs(layer.bias).astype(object)
        for path in layer.paths:
            rows = [layer.cell.gates.index(g) for g in path.gates]
            products = path.bound * np.abs(path.mult).astype(object)
            total[rows] += [
                [(int(v) >> int(s)) + 1 for v in row]
                for row, s in zip(products, path.shift, strict=True)
            ]
        worst = max(worst, int(total.max()))
    return worst.bit_length() + 1


def _check_widths(network: Network) -> None:
    """Raise UserError for widths that only golden has."""
    for name, path in network.paths():
        for what, bits in (("weights", path.weight_bits), ("activations", path.quantizer.bits)):
            if bits not in WIDTHS:
                raise UserError(
                    f"{name}: {what} of {bits} bits, the hardware has "
                    f"{', '.join(map(str, WIDTHS))}; quantize to one of these"
                )


def check_fits(network: Network, config: AcceleratorConfig, plans: Sequence[PathPlan]) -> None:
    """Everything that is silicon and not the depth of a loadable memory."""
    if network.delta_mode not in config.delta_modes:
        raise UserError(
            f"delta mode: {network.delta_mode}, the accelerator has "
            f"{', '.join(config.delta_modes)}; quantize with one of these"
        )
    for name, path in network.paths():
        if path.weight_bits not in config.weight_bits:
            raise UserError(
                f"{name}: weights of {path.weight_bits} bits, the accelerator has "
                f"{', '.join(map(str, config.weight_bits))}; quantize to one of these"
            )
    for layer in network.layers:
        fed = {gate for path in layer.paths for gate in path.gates}
        for gate in layer.cell.gates:
            if gate not in fed:
                raise UserError(
                    f"{layer.name}: no path feeds gate {gate!r}, the hardware needs one; "
                    "add it to a path's gates, with weights of 0"
                )
    for stage in plan_stages(network):
        layer = network.layers[stage.layer]
        if stage.cell not in config.cells:
            raise UserError(
                f"{layer.name}: cell {stage.cell!r}, the accelerator has {', '.join(config.cells)}"
            )
        most = CELLS[stage.cell].MAX_C_EXPONENT
        if layer.cell.has_c and layer.c_exponent > most:
            raise UserError(
                f"{layer.name}: c exponent {layer.c_exponent}, the hardware takes 0.."
                f"{most}; quantize with other data, or scale the model down"
            )
    if network.layers[0].cell.reads_input:
        raise UserError(
            f"{network.layers[0].name}: cell {network.layers[0].kind!r} cannot be the first layer, "
            "the hardware keeps no frames to read; use 'sru4' with a diagonal gate s, or 'sru0'"
        )
    if len(plan_sweeps(network)) > 1 and not config.buffered:
        raise UserError(
            "sequence_words: 0, the network has layers that need a whole sequence (backward, or "
            "several that are read together); use a configuration with a sequence buffer"
        )
    for layer in network.layers:
        if not config.initial and any(state.any() for state in layer.initial.values()):
            raise UserError(
                f"{layer.name}: an initial state that is not zero, the accelerator starts from "
                "zero; use a configuration with initial"
            )
    for plan in plans:
        size = max(plan.path.columns, plan.path.units)
        if size > 1 << UNIT_BITS:
            raise UserError(
                f"{plan.name}: {size} columns or units, the hardware takes {1 << UNIT_BITS}"
            )
    for name, value in _needs(network, config).items():
        limit = getattr(config, name)
        if value > limit:
            raise UserError(
                f"{name}: the network needs {value}, the accelerator has {limit}; "
                "use a larger configuration, fewer units or fewer bits"
            )
    for name, (lowest, highest) in (
        ("shifts", _span(int(s) for plan in plans for s in plan.path.shift)),
        ("quantizer_shifts", _span(plan.path.quantizer.shift for plan in plans)),
    ):
        low, high = getattr(config, name)
        if lowest < low or highest > high:
            raise UserError(
                f"{name}: the network has {lowest}..{highest}, the accelerator takes {low}..{high}"
            )


def _span(values: Iterable[int]) -> tuple[int, int]:
    seen = list(values)
    return min(seen), max(seen)


def _needs(network: Network, config: AcceleratorConfig) -> dict[str, int]:
    """The sizes that `network` needs at the least, where lanes and rows are those of `config`."""
    plans = plan_paths(network, config)
    program = list(passes(network, config))
    sweeps = plan_sweeps(network)
    state = [p for p in plans if p.producer != INPUT]
    frame = [p for p in plans if p.producer == INPUT]
    paths = [plan.path for plan in plans]
    return {
        "activation_bits": max(path.quantizer.bits for path in paths),
        "encoders": max((p.encoder + 1 for p in state), default=1),
        "input_encoders": max(p.encoder + 1 for p in frame),
        "lane_bits": max(_lane_bits(path, network.delta_mode, config) for path in paths),
        # The sum of one step's events spans twice the accumulator's range.
        "sum_bits": max(path.bound for path in paths).bit_length() + 2,
        "pre_bits": _pre_bits(network),
        "lists": _lists(plans),
        "layers": len(plan_stages(network)),
        "weight_words": sum(p.words for p in program if not p.shares),
        "row_words": sum(p.chunk.count * len(p.plan.path.gates) for p in program),
        "program": len(program),
        "sweeps": len(sweeps),
        "sweep_sources": max(len(sweep.sources) for sweep in sweeps),
        # Of one frame; a configuration has room for some of them.
        "sequence_words": place_parts(network, sweeps).stride if len(sweeps) > 1 else 0,
        "events": max((p.event_base + 2 * p.path.columns for p in state), default=1),
        "input_events": max(p.event_base + 2 * p.path.columns for p in frame),
        "references": max((p.reference_base + p.path.columns for p in state), default=1),
        "input_references": max(p.reference_base + p.path.columns for p in frame),
        "states": sum(_states(network, config)),
    }


def _lane_bits(path: Path, delta_mode: str, config: AcceleratorConfig) -> int:
    """Width of a lane's sum over one step's events: of a weight's digit times a delta."""
    digits = weight_digits(path.matrix, config.digits(path.weight_bits), config.digit_bits)
    largest = int(np.abs(digits).sum(axis=-1).max(initial=0))
    bits = path.quantizer.bits
    step = 1 << (bits - 1) if delta_mode == POWER_OF_TWO else (1 << bits) - 1
    return (largest * step).bit_length() + 1
