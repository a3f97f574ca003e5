# SPDX-License-Identifier: Apache-2.0
"""LUT4s, flip-flops, multipliers and block RAMs of an accelerator on ECP5, without a synthesis.

What the structure says is counted: multipliers, block RAMs, the registers and adders of lanes, rows
and units. Control logic, and what a cell takes, is measured: `MEASURED`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil

from amaranth.utils import bits_for, ceil_log2

from ..golden.delta import POWER_OF_TWO
from .accelerator import windows
from .area_measured import CELL_BLOCKS, MEASURED, SRU_CELLS
from .area_parts import Area, adder, fifo, memory, multiplexer, queue, rescaler
from .arithmetic import SMALL_STAGE_BITS, rescale_latency
from .cells.unit import CELLS, cell_word, reads, vector_bits
from .config import AcceleratorConfig
from .core import drain_queue_words, output_word, output_words
from .delta import recovery
from .image import MULT_BIAS_BITS
from .layouts import (
    COLUMN_BITS,
    SLOTS,
    UNIT_BITS,
    FetchPass,
    RowPass,
    layer_record,
    network_record,
    sweep_record,
)
from .multiply import TERMS_BITS, lanes_per_multiplier
from .ram import BANK_WORDS

__all__ = ["AreaEstimate", "components", "estimate_area"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A component: what is counted, and how much there is of what `MEASURED` knows by its name."""

    counted: Area
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def area(self) -> Area:
        """Both together."""
        total = self.counted
        for name, amount in self.measured.items():
            luts, flip_flops = MEASURED[name]
            total += Area(luts=luts, flip_flops=flip_flops) * amount
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class AreaEstimate:
    """An accelerator's area, and each component's."""

    luts: int
    flip_flops: int
    multipliers: int
    block_rams: int
    components: Mapping[str, Area]


def estimate_area(config: AcceleratorConfig) -> AreaEstimate:
    """What yosys would find for this accelerator on ECP5, its buses included."""
    areas = {name: part.area for name, part in components(config).items()}
    total = Area()
    for area in areas.values():
        total += area
    return AreaEstimate(
        luts=round(total.luts),
        flip_flops=round(total.flip_flops),
        multipliers=round(total.multipliers),
        block_rams=round(total.block_rams),
        components=areas,
    )


def components(config: AcceleratorConfig) -> dict[str, Part]:
    """Every component by its name."""
    builders: dict[str, Callable[[AcceleratorConfig], Part]] = {
        "interface": _interface,
        "sequence buffer": _sequence,
        "sequencer": _sequencer,
        "streams": _streams,
        "encoders": _encoders,
        "lists": _lists,
        "fetch": _fetch,
        "array": _array,
        "accumulate": _accumulate,
        "cell unit": _cell_unit,
    }
    parts = {name: build(config) for name, build in builders.items()}
    others = [name for name in config.cells if name not in SRU_CELLS]
    parts |= {f"cell {name}": _cell(config, name) for name in others}
    if len(others) < len(config.cells):
        parts["cell sru"] = _sru(config)
    return parts


def _interface(config: AcceleratorConfig) -> Part:
    """Bus, registers and counters, and the loader of the image."""
    places = windows(config)
    slices = sum(place.slices for place in places)
    amounts = [1, 1, 1, 14, 32, 1, 1] + [1] * config.lists
    interval = 8 * (len(amounts) + 1)
    lows = sum(bits_for(interval * ((1 << bits) - 1)) + 1 for bits in amounts)
    address = ceil_log2(max(place.depth for place in places))
    counted = memory(len(amounts), 64, force=True) + memory(64, 16, force=True)
    counted += Area(luts=lows, flip_flops=lows + 2 * address + slices + len(places))
    measured = {"interface": 1, "list counter": config.lists, "image slice": slices}
    return Part(counted=counted, measured=measured | {"sequence bus": config.buffered})


def _sequence(config: AcceleratorConfig) -> Part:
    """The sequence buffer."""
    if not config.buffered:
        return Part(counted=Area())
    record = sweep_record(config.sweep_sources).size
    counted = memory(config.sequence_words, 16) + memory(max(config.sweeps, 2), record)
    return Part(counted=counted, measured={"sequence": 1})


def _sequencer(config: AcceleratorConfig) -> Part:
    """The program, once for the fetch unit and once for the rows."""
    counted = Area()
    for size in (FetchPass.size, RowPass.size):
        counted += memory(config.program, size + 1, registers=0) + fifo(4, 3)
    return Part(counted=counted, measured={"sequencer": 1})


def _streams(config: AcceleratorConfig) -> Part:
    """Frames in and outputs out, the layers' records, and the queues between components."""
    outputs = output_words(config) // config.cell_units
    word = output_word(config.output_elements).size
    drained = config.drain_rows * config.sum_bits
    counted = memory(config.layers, layer_record(config.encoders).size, force=True)
    counted += queue(drain_queue_words(config), drained) + fifo(12 + drain_queue_words(config), 2)
    units, elements = config.cell_units, config.input_elements
    if units > 1:
        word = 16 * units + bits_for(units)
        counted += Area(luts=multiplexer(units // config.output_elements, 16))
    counted += queue(outputs, word)
    record = network_record(config.input_encoders).size
    if config.sweeps > 1:
        counted += memory(config.sweeps, record, registers=0)
    else:
        counted += Area(flip_flops=record)
    counted += Area(luts=17 * elements)
    encoders = config.encoders + config.input_encoders
    measured = {"streams": 1, "stream encoder": encoders - 2, "stream level": config.levels or 0}
    return Part(counted=counted, measured=measured)


def _encoders(config: AcceleratorConfig) -> Part:
    """The change detectors of frames and states."""
    total, measured = Area(), {}
    for kind, count, slices, references in (
        ("input", config.input_encoders, config.input_elements, config.input_references),
        ("state", config.encoders, config.cell_units, config.references),
    ):
        one = _encoder(config, max(ceil(references / slices), 2))
        if config.initial and kind == "state":
            one += memory(max(ceil(references / slices), 2), config.activation_bits)
        total += one * (slices * count)
        measured[f"{kind} encoder"] = count
        if slices > 1:
            more = (slices - 1) * count
            measured["encoder slice"] = measured.get("encoder slice", 0) + more
            measured["encoder merge"] = measured.get("encoder merge", 0) + count
            reserve = recovery(config.quantizer_shifts, config.delta_modes) + 2 + 18
            total += fifo(1 << ceil_log2(reserve + 8), UNIT_BITS + config.delta_bits + 1) * (
                slices * count
            )
    return Part(counted=total, measured=measured)


def _encoder(config: AcceleratorConfig, references: int) -> Area:
    bits = config.activation_bits
    low, high = config.quantizer_shifts
    out = max(32 - low, 2)
    latency = rescale_latency(16, low, high, stage_bits=SMALL_STAGE_BITS)
    late = latency + 4
    area = rescaler(16, (low, high), out, rounds=True)
    area += memory(references, bits) + memory(config.lists, 17, asynchronous=True)
    # The element on its way; codes, references and deltas, and what compares them.
    area += Area(luts=8 * bits + 60, flip_flops=late * (UNIT_BITS + 2) + 9 * bits)
    if POWER_OF_TWO in config.delta_modes:
        area += Area(luts=12 * bits, flip_flops=3 * (UNIT_BITS + 2) + 15 * bits)
    return area


def _lists(config: AcceleratorConfig) -> Part:
    """The lists that the encoders write: events, or terms by level."""
    banks = 1 << (1 + max(1, (config.lists - 1).bit_length()))
    levels = config.levels or 0
    total = Area()
    for count, depth in (
        (config.input_encoders, config.input_events),
        (config.encoders, config.events),
    ):
        one = memory(banks, COLUMN_BITS * max(levels, 1), asynchronous=True)
        if levels:
            one += memory(depth, UNIT_BITS + 3, registers=0) * levels
        else:
            one += memory(depth, UNIT_BITS + config.delta_bits)
        total += (one + Area(flip_flops=banks)) * count
    lists = config.input_encoders + config.encoders
    if levels:
        measured = {"term list": lists, "term level": lists * levels}
    else:
        measured = {"event list": lists}
    return Part(counted=total, measured=measured | {"list bank": lists * banks})


def _fetch(config: AcceleratorConfig) -> Part:
    """The fetch unit."""
    sources = config.input_encoders + config.encoders
    event = UNIT_BITS + 3 if config.levels else UNIT_BITS + config.delta_bits
    counted = Area(
        luts=multiplexer(sources, event + COLUMN_BITS * (config.levels or 1)),
        flip_flops=event + 5 * ceil_log2(config.weight_words),
    )
    counted += memory(5, 14 + (4 if config.levels else config.delta_bits), asynchronous=True)
    counted += _instruction(config, FetchPass.size)
    levels = config.levels or 0
    return Part(counted=counted, measured={"fetch": 1, "source": sources, "fetch level": levels})


def _instruction(config: AcceleratorConfig, size: int) -> Area:
    """What takes a pass: another register, where the program's is not in a block RAM."""
    return Area(flip_flops=0 if memory(config.program, size + 1).block_rams else size)


def _array(config: AcceleratorConfig) -> Part:
    """The lanes with their drain, and the weights."""
    lanes, digit, delta = config.lanes, config.digit_bits, config.delta_bits
    bits, rows = config.lane_bits, config.drain_rows
    signed = digit + (len(config.weight_bits) > 1)
    counted = Area(flip_flops=2 * lanes * bits, luts=lanes * adder(bits))
    measured: dict[str, float] = {"array": 1, "drain": (lanes - rows) * bits}
    if config.lane_kind == "shift_add":
        counted += Area(luts=lanes * (digit + 1), flip_flops=lanes * (2 * signed + 1))
        measured["shift_add"] = lanes * bits
    elif digit == TERMS_BITS:
        counted += Area(luts=lanes * adder(delta + 3), flip_flops=lanes * (4 + delta))
        measured["two terms"] = lanes
    else:
        together = lanes_per_multiplier(digit, delta)
        blocks = lanes // rows
        multipliers = ceil(rows / together) * blocks
        shared = lanes - multipliers
        factors = multipliers * (signed + delta + signed) + shared * 2 * (digit + delta)
        counted += Area(multipliers=multipliers, flip_flops=factors)
        counted += Area(luts=shared * (signed + 3))
    if len(config.weight_bits) > 1:
        counted += Area(luts=rows * adder(config.sum_bits), flip_flops=rows * config.sum_bits)
        measured["digits"] = 1
    banks = ceil(config.weight_words / BANK_WORDS)
    rest = config.weight_words - (banks - 1) * BANK_WORDS
    counted += memory(BANK_WORDS, config.word_bits) * (banks - 1)
    counted += memory(1 << ceil_log2(rest), config.word_bits)
    if banks > 1:
        counted += Area(flip_flops=config.word_bits)
        measured["bank bit"] = (banks - 1) * config.word_bits
    return Part(counted=counted, measured=measured)


def _accumulate(config: AcceleratorConfig) -> Part:
    """M, the row parameters, the rescalers and the pre-activations."""
    rows, sums, pre = config.unit_word, config.sum_bits, config.pre_bits
    low, high = config.shifts
    latency = rescale_latency(sums, low, high, stage_bits=SMALL_STAGE_BITS) - 1
    bias = min(20, pre)
    one = rescaler(sums, (low, high), pre + 1, rounds=False)
    one += Area(
        luts=adder(sums) + adder(pre + 1) + adder(pre) + (18 if pre > 16 else 0),
        flip_flops=3 * sums + 16 + bias + latency * bias + 2 * pre,
    )
    counted = one * rows
    counted += memory(config.row_words, rows * sums)
    counted += memory(config.row_words, rows * MULT_BIAS_BITS)
    counted += memory(SLOTS * config.chunk_words, rows * pre, asynchronous=True)
    word = cell_word(rows, cells=config.cells, state_depth=max(config.states, 2)).size
    counted += queue(16, word)
    if config.initial:
        counted += memory(config.row_words, rows * sums)
        counted += Area(luts=rows * sums)
    tag = 29 + ceil_log2(config.row_words)
    counted += _instruction(config, RowPass.size)
    counted += Area(flip_flops=(config.cell_units - 1) * config.drain_rows * sums)
    staging = max(place.width for place in windows(config))
    counted += Area(flip_flops=(5 + latency) * tag + staging)
    return Part(counted=counted, measured={"accumulate": 1})


def _cell_unit(config: AcceleratorConfig) -> Part:
    """What collects gates into units, and the states; without the cells."""
    units, rows, cells = config.cell_units, config.unit_word, config.cells
    slots = max(CELLS[name].GATES for name in cells)
    latency = max(CELLS[name].LATENCY for name in cells)
    states = ceil_log2(max(config.states, 2))
    depth = max(2, ceil(max(config.states, 2) / units))
    kinds = ceil_log2(len(cells))
    # Rows wait, and stream through the cells.
    counted = Area(luts=slots * (rows - units) * 16, flip_flops=2 * slots * rows * 16)
    counted += Area(flip_flops=(latency + 1) * (states + UNIT_BITS + 2 + kinds))
    shared = cell_word(rows, cells=cells, state_depth=max(config.states, 2)).size - 16 * rows
    counted += Area(flip_flops=2 * (shared - 9))
    lane = Area()
    for part in ("c", "h"):
        ports = 1 + reads(cells, part) + (part == "h" and reads(cells, "skip"))
        if part == "h" or ports > 1:
            lane += memory(depth, 16, reads=ports)
    if config.initial:
        lane += memory(depth, 32)
    if reads(cells, "vectors"):
        lane += memory(depth, vector_bits(cells))
    if reads(cells, "skip"):
        lane += Area(multipliers=1)
    for name in cells:
        results = 1 + ("c" in CELLS[name].READS) + CELLS[name].HAS_OUT
        lane += Area(flip_flops=16 * results * (latency - CELLS[name].LATENCY))
    lane += Area(luts=multiplexer(len(cells), 16 * (1 + reads(cells, "c"))))
    measured: dict[str, float] = {"cell unit": 1, "unit": units}
    if reads(cells, "skip"):
        measured["skip"] = units
    return Part(counted=counted + lane * units, measured=measured)


def _cell(config: AcceleratorConfig, name: str) -> Part:
    """One kind of cell, as often as there are units."""
    multipliers, block_rams = CELL_BLOCKS[name]
    counted = Area(multipliers=multipliers, block_rams=block_rams)
    return Part(counted=counted * config.cell_units, measured={name: config.cell_units})


def _sru(config: AcceleratorConfig) -> Part:
    """All kinds of SRU cells: yosys finds that their gates' products with c are the same."""
    again = sum(name in SRU_CELLS for name in config.cells) - 1
    multipliers, block_rams = CELL_BLOCKS["sru"]
    counted = Area(multipliers=multipliers, block_rams=block_rams)
    counted += Area(multipliers=multipliers - 2, block_rams=block_rams) * again
    units = config.cell_units
    return Part(counted=counted * units, measured={"sru": units, "sru again": again * units})
