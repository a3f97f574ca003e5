# SPDX-License-Identifier: Apache-2.0
"""Which accelerator a network needs, and whether it fits a given one."""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from ...golden.delta import DELTA_MODES, POWER_OF_TWO
from ...golden.errors import UserError
from ...golden.models.layers import TOKEN_EVENTS
from ...golden.models.layers import Layer as FixedLayer
from ...golden.models.layers import Path as FixedPath
from ...golden.quantization.cell_formats import most_epsilon, needed_epsilon
from ..cells.catalogue import CELLS, reads
from ..config import MAX_GROUP_WORDS, AcceleratorConfig, divisor_up_to
from ..datapath.rows.stages import UNSHIFTED
from ..sdram_chips import BLOCK_RAM, CHIPS
from ..words import FEATURES, INTEGER_LSTM, TOKENS, UNIT_BITS
from . import integer_lstm
from .networks import AnyNetwork, Layer, Network, Path
from .pack import weight_digits
from .plan import Outline, Plan

SEQUENCE_FRAMES = 128
"""The longest sequence of a network with backward layers where nobody says more."""

BEATS = 2
"""Words of an SDRAM in a weight word where nobody says otherwise: between their bursts is a cycle
in which the next row can be opened, and no lane waits longer than that."""

WORD_BITS = 256
"""The weight word of a network where nobody says otherwise, if its weights' widths allow it."""


def derive_config(
    network: AnyNetwork,
    *others: AnyNetwork,
    word_bits: int | None = None,
    drain_rows: int | None = None,
    lane_kind: str = "multiplier",
    frames: int = SEQUENCE_FRAMES,
    cell_units: int = 1,
    norm_lanes: int | None = None,
    input_elements: int = 1,
    output_elements: int = 1,
    weight_memory: str = BLOCK_RAM,
    near_bytes: int = 0,
    memory_clock_mhz: float = 90.0,
) -> AcceleratorConfig:
    """The smallest accelerator that each of the networks fits.

    Parameters
    ----------
    word_bits: None picks 256, and two words of the chip where the weights are in an SDRAM
    drain_rows: None picks the largest divisor of the lanes up to 8
    norm_lanes: None picks as many as cell_units, where gates are normalised; elsewhere it is None
    frames: the longest sequence, for networks with backward layers
    near_bytes: of weights that are on the chip though the others are in an SDRAM, in whole
        words: at least one, or none
    lane_kind, cell_units, input_elements, output_elements, weight_memory, memory_clock_mhz: see
        `AcceleratorConfig`
    """
    if frames < 1:
        raise UserError(f"longest sequence: {frames} is not possible, it must be at least 1 frame")
    outlines = [Outline.of(each) for each in (network, *others)]
    networks = [outline.network for outline in outlines]
    arithmetics = {each.arithmetic for each in networks}
    if len(arithmetics) > 1:
        raise UserError(
            f"networks: of the arithmetics {' and '.join(sorted(arithmetics))}, an accelerator has "
            "one of them; make one for each"
        )
    paths = [path for each in networks for _, path in each.paths()]
    widths = tuple(sorted({path.weight_bits for path in paths}))
    if word_bits is None and weight_memory in CHIPS:
        word_bits = max(BEATS * CHIPS[weight_memory].dq_bits, widths[-1])
    bits = _word_bits(word_bits, widths[-1])
    modes = {each.delta_mode for each in networks}
    if INTEGER_LSTM in arithmetics and lane_kind != "multiplier":
        raise UserError(
            f"lane_kind: {lane_kind!r} is not possible for an integer-only LSTM, it must be "
            "multiplier"
        )
    cells = tuple(dict.fromkeys(stage.cell for one in outlines for stage in one.stages))
    if norm_lanes is None:
        norm_lanes = cell_units if reads(cells, "norm") else 1
    elif not reads(cells, "norm"):
        raise UserError(
            f"norm_lanes: {norm_lanes} is not possible, it is for integer-only LSTMs with layer "
            "normalization; leave it out"
        )
    # What a plan depends on; the sizes, which it leads to, follow.
    shape = AcceleratorConfig(
        word_bits=bits,
        weight_bits=widths,
        lane_kind=lane_kind,
        delta_modes=tuple(mode for mode in DELTA_MODES if mode in modes),
        drain_rows=drain_rows or divisor_up_to(bits // widths[-1], _most_rows(networks, bits)),
        cell_units=cell_units,
        input_elements=input_elements,
        output_elements=output_elements,
        weight_memory=weight_memory,
        memory_clock_mhz=memory_clock_mhz,
        norm_lanes=norm_lanes,
        cells=cells,
        input_kinds=_input_kinds(outlines),
        initial=not all(layer.starts_from_zero for each in networks for layer in each.layers),
        arithmetic=networks[0].arithmetic,
        row_mults=any(map(_has_row_mults, paths)),
        shifts=_shifts(paths, floats=False) or (UNSHIFTED, UNSHIFTED),
        float_shifts=_shifts(paths, floats=True),
        quantizer_shifts=_quantizer_shifts(paths),
        norm_shifts=_norm_shifts(networks) or (0, 0),
    )
    needs = [_needs(outline.on(shape)) for outline in outlines]
    sizes: dict[str, Any] = {name: max(need[name] for need in needs) for name in needs[0]}
    if sizes["sequence_words"]:
        sizes["sequence_words"] *= frames
    near = _near_words(near_bytes, shape, sizes["weight_words"])
    return replace(shape, **sizes, near_words=near)


def _near_words(near_bytes: int, config: AcceleratorConfig, weight_words: int) -> int:
    """The weight words that are on the chip though the others are in an SDRAM."""
    if near_bytes and not config.sdram:
        raise UserError(
            f"near_bytes: {near_bytes} is not possible, all weights are on the chip; leave it at "
            "0, or name an SDRAM as weight_memory"
        )
    near = near_bytes * 8 // config.word_bits
    if near_bytes > 0 and not near:
        raise UserError(
            f"near_bytes: {near_bytes} is not possible, it must be 0 or at least a weight word of "
            f"{ceil(config.word_bits / 8)} bytes; name more, or leave it at 0"
        )
    if config.sdram and not 0 <= near < weight_words:
        most = weight_words * config.word_bits // 8
        raise UserError(
            f"near_bytes: {near_bytes} bytes of weights on the chip are not possible beside an "
            f"SDRAM, it must be 0 to less than all {most}; name fewer, or leave the SDRAM out"
        )
    return near


def _word_bits(wanted: int | None, width: int) -> int:
    """Bits of a weight word, for weights up to this width."""
    bits = WORD_BITS if wanted is None else wanted
    if bits < width or bits % width:
        raise UserError(
            f"word_bits: {bits} is not possible, it must be a multiple of the weight width "
            f"{width}; try {max(width, bits - bits % width)}"
        )
    return bits


def _most_rows(networks: Iterable[Network], word_bits: int) -> int:
    """The most rows that are drained per cycle where nobody says more.

    Up to 8, but no more than the units of the largest layer, and at least as many as a group of
    MAX_GROUP_WORDS needs.
    """
    units = max(layer.units for network in networks for layer in network.layers)
    narrowest = min(path.weight_bits for network in networks for _, path in network.paths())
    most = min(8, 1 << (units - 1).bit_length())
    return max(most, ceil(word_bits // narrowest / MAX_GROUP_WORDS))


def _shifts(paths: Iterable[Path], *, floats: bool) -> tuple[int, int] | tuple[()]:
    """Of the paths whose rescaling is that of float32, or of all others; () if there are none."""
    seen = [int(s) for path in paths if _is_float(path) == floats for s in path.shift]
    return _span(seen) if seen else ()


def _is_float(path: Path) -> bool:
    return isinstance(path, integer_lstm.Path) and path.floats


def _has_row_mults(path: Path) -> bool:
    """Whether rows of one gate of an integer-only LSTM have multipliers of their own."""
    return isinstance(path, integer_lstm.Path) and path.mult.shape[1] > 1


def _input_kinds(outlines: Iterable[Outline]) -> tuple[str, ...]:
    """What the frames of the sweeps are."""
    kinds = {sweep.tokens(one.network) for one in outlines for sweep in one.sweeps if sweep.layers}
    return tuple(kind for kind, tokens in ((FEATURES, False), (TOKENS, True)) if tokens in kinds)


def _quantizer_shifts(paths: Iterable[Path]) -> tuple[int, int]:
    """The lowest and the highest; tokens are not rescaled."""
    return _span([path.quantizer.shift for path in paths if not path.tokens] or [0])


def _span(values: Iterable[int]) -> tuple[int, int]:
    seen = list(values)
    return min(seen), max(seen)


def _needs(plan: Plan) -> dict[str, int]:
    """The sizes that a plan needs at the least."""
    network = plan.network
    frames = [use for use in plan.uses if use.of_frames]
    states = [use for use in plan.uses if not use.of_frames]
    paths = [use.path for use in plan.uses]
    return {
        "activation_bits": max(path.quantizer.bits for path in paths),
        "encoders": max((use.encoder + 1 for use in states), default=1),
        "input_encoders": max(use.encoder + 1 for use in frames),
        "lane_bits": max(_lane_bits(path, network.delta_mode, plan.config) for path in paths),
        # The sum of one step's events spans twice the accumulator's range.
        "sum_bits": max(path.bound for path in paths).bit_length() + 2,
        "pre_bits": _pre_bits(network),
        "norm_words": max(1, sum(_norm_values(plan))),
        "norm_values": max(1, *_norm_values(plan)),
        "turn_units": max(1, *(_turn_units(plan))),
        "lists": len(plan.lists),
        "layers": len(plan.stages),
        "weight_words": sum(p.weight_words for p in plan.passes if not p.shares),
        "row_words": sum(p.d_words for p in plan.passes),
        "program": len(plan.passes),
        "sweeps": len(plan.sweeps),
        "sweep_sources": max(len(sweep.sources) for sweep in plan.sweeps),
        # Of one frame; a configuration has room for some of them.
        "sequence_words": plan.record.stride if len(plan.sweeps) > 1 else 0,
        "events": max((use.event_base + 2 * use.room(plan.config) for use in states), default=1),
        "input_events": max(use.event_base + 2 * use.room(plan.config) for use in frames),
        "references": max((use.reference_base + use.references for use in states), default=1),
        "input_references": max(1, *(use.reference_base + use.references for use in frames)),
        "states": sum(plan.state_words),
    }


def _norm_values(plan: Plan) -> list[int]:
    """Values of each stage that are normalised, each word's rounded up to whole cycles."""
    lanes = plan.config.norm_lanes
    return [
        len(stage.gates) * ceil(plan.network.layers[stage.layer].units / lanes) * lanes
        if "norm" in CELLS[stage.cell].READS
        else 0
        for stage in plan.stages
    ]


def _turn_units(plan: Plan) -> list[int]:
    """Units of each stage that go through their cell in several turns."""
    layers = plan.network.layers
    return [layers[s.layer].units if CELLS[s.cell].TURNS else 0 for s in plan.stages]


def _norm_shifts(networks: Iterable[Network]) -> tuple[int, int] | tuple[()]:
    """Of the layers whose gates are normalised; () if there are none."""
    norms = (
        layer.norm
        for network in networks
        for layer in network.layers
        if isinstance(layer, integer_lstm.Layer)
    )
    seen = [int(shift) for norm in norms if norm for shift in norm.shift]
    return _span(seen) if seen else ()


def _pre_bits(network: Network) -> int:
    """Width in which no pre-activation ever overflows, whatever the inputs."""
    if network.arithmetic == INTEGER_LSTM:
        return integer_lstm.PRE_BITS
    worst = 0
    for layer in network.layers:
        assert isinstance(layer, FixedLayer)
        total = np.abs(layer.bias).astype(object)
        for path in layer.paths:
            assert isinstance(path, FixedPath)
            rows = [layer.cell.gates.index(g) for g in path.gates]
            products = path.bound * np.abs(path.mult).astype(object)
            total[rows] += [
                [(int(v) >> int(s)) + 1 for v in row]
                for row, s in zip(products, path.shift, strict=True)
            ]
        worst = max(worst, int(total.max()))
    return worst.bit_length() + 1


def _lane_bits(path: Path, delta_mode: str, config: AcceleratorConfig) -> int:
    """Width of a lane's sum over one step's events: of a weight's digit times a delta."""
    digits = weight_digits(path.matrix, config.digits(path.weight_bits), config.digit_bits)
    if path.tokens:
        return int(TOKEN_EVENTS * np.abs(digits).max(initial=0)).bit_length() + 1
    largest = int(np.abs(digits).sum(axis=-1).max(initial=0))
    bits = path.quantizer.bits
    step = 1 << (bits - 1) if delta_mode == POWER_OF_TWO else (1 << bits) - 1
    return (largest * step).bit_length() + 1


def check_fits(plan: Plan) -> None:
    """Raise UserError where a network does not fit the accelerator that it was planned on.

    The line names the parameter, what is needed, what there is, and a way out.
    """
    _check_paths(plan)
    _check_layers(plan)
    _check_sequences(plan)
    _check_sizes(plan)


def _check_paths(plan: Plan) -> None:
    """The kinds of deltas and weights."""
    network, config = plan.network, plan.config
    if network.arithmetic != config.arithmetic:
        raise UserError(
            f"arithmetic: {network.arithmetic}, the accelerator has {config.arithmetic}; use a "
            "configuration with the network's"
        )
    if network.delta_mode not in config.delta_modes:
        raise UserError(
            f"delta mode: {network.delta_mode}, the accelerator has "
            f"{', '.join(config.delta_modes)}; quantize with one of these"
        )
    for sweep in plan.sweeps:
        kind = TOKENS if sweep.tokens(network) else FEATURES
        if sweep.layers and kind not in config.input_kinds:
            raise UserError(
                f"frames: the network takes {kind}, the accelerator {', '.join(config.input_kinds)}"
                "; use a configuration with them (input_kinds)"
            )
    for name, path in network.paths():
        if _has_row_mults(path) and not config.row_mults:
            raise UserError(
                f"{name}: a scale for each row, the accelerator has one a gate; use a "
                "configuration with row_mults"
            )
        if path.weight_bits not in config.weight_bits:
            raise UserError(
                f"{name}: weights of {path.weight_bits} bits, the accelerator has "
                f"{', '.join(map(str, config.weight_bits))}; quantize to one of these"
            )


def _check_layers(plan: Plan) -> None:
    """The cells, and what they are fed with."""
    layers, config = plan.network.layers, plan.config
    for layer in layers:
        fed = {gate for path in layer.paths for gate in path.gates}
        for gate in layer.cell.gates:
            if gate not in fed:
                raise UserError(
                    f"{layer.name}: no path feeds gate {gate!r}, the hardware needs one; "
                    "add it to a path's gates, with weights of 0"
                )
    for stage in plan.stages:
        layer = layers[stage.layer]
        if stage.cell not in config.cells:
            raise UserError(
                f"{layer.name}: cell {stage.cell!r}, the accelerator has {', '.join(config.cells)}"
            )
        most = CELLS[stage.cell].MAX_C_EXPONENT
        if layer.cell.has_c and layer.c_exponent > most:
            raise UserError(
                f"{layer.name}: c exponent {layer.c_exponent}, the hardware takes 0.."
                f"{most}; {_smaller_c(layer, most)}"
            )
    if layers[0].cell.reads_input:
        raise UserError(
            f"{layers[0].name}: cell {layers[0].kind!r} cannot be the first layer, "
            "the hardware keeps no frames to read; use 'sru4' with a diagonal gate s, or 'sru0'"
        )


def _smaller_c(layer: Layer, most: int) -> str:
    """How to come to a c exponent of at most `most`."""
    epsilon, held = needed_epsilon(layer.vectors, layer.c_exponent), most_epsilon(most)
    if epsilon <= held:
        return "quantize with other data, or scale the model down"
    return (
        f"the epsilon {epsilon:g} of its norm of c asks for it: train with one below {held:.4g}, "
        "or, if it was not trained with this one, import it anew without --norm-epsilon"
    )


def _check_sequences(plan: Plan) -> None:
    """The sequence buffer, and the state before a sequence."""
    if len(plan.sweeps) > 1 and not plan.config.buffered:
        raise UserError(
            "sequence_words: 0, the network has layers that need a whole sequence (backward, or "
            "several that are read together); use a configuration with a sequence buffer"
        )
    for layer in plan.network.layers:
        if not plan.config.initial and not layer.starts_from_zero:
            raise UserError(
                f"{layer.name}: an initial state that is not zero, the accelerator starts from "
                "zero; use a configuration with initial"
            )


def _check_sizes(plan: Plan) -> None:
    """What can be counted, and everything else that is a number of the configuration."""
    config = plan.config
    for use in plan.uses:
        size = max(use.path.columns, use.path.units)
        if size > 1 << UNIT_BITS:
            what = "tokens" if use.path.tokens and size == use.path.columns else "columns or units"
            raise UserError(f"{use.name}: {size} {what}, the hardware takes {1 << UNIT_BITS}")
    for name, value in _needs(plan).items():
        limit = getattr(config, name)
        if value > limit:
            raise UserError(
                f"{name}: the network needs {value}, the accelerator has {limit}; "
                "use a larger configuration, fewer units or fewer bits"
            )
    paths = [use.path for use in plan.uses]
    for name, needed in (
        ("shifts", _shifts(paths, floats=False)),
        ("float_shifts", _shifts(paths, floats=True)),
        ("quantizer_shifts", _quantizer_shifts(paths)),
        ("norm_shifts", _norm_shifts([plan.network])),
    ):
        there = getattr(config, name)
        if needed and not (there and there[0] <= needed[0] and needed[1] <= there[1]):
            raise UserError(
                f"{name}: the network has {_text(needed)}, the accelerator takes {_text(there)}"
            )


def _text(span: tuple[int, ...]) -> str:
    return "..".join(map(str, span)) or "none"


def longest_sequence(network: AnyNetwork, config: AcceleratorConfig) -> int | None:
    """Frames of a sequence that the sequence buffer holds; None where there is none, and no end."""
    return config.sequence_words // Outline.of(network).record.stride if config.buffered else None
