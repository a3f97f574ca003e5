# SPDX-License-Identifier: Apache-2.0
"""What the datapath's components take of an ECP5, from encoders to cells (see `area`)."""

from math import ceil

from amaranth.utils import ceil_log2

from ...golden.delta import POWER_OF_TWO
from ...golden.models.network import BIAS_BITS
from ..accelerator import windows
from ..cells.catalogue import CELLS, reads, vector_bits
from ..config import AcceleratorConfig
from ..datapath.detect.encoder import REFERENCE_CYCLES, recovery
from ..datapath.detect.nearest_power import NearestPower
from ..datapath.lanes.multiplier import TERMS_BITS, lanes_per_multiplier
from ..datapath.rows.accumulate import QUEUE_WORDS
from ..datapath.rows.stages import rescale_cycles
from ..datapath.units.lane import cell_cycles
from ..datapath.units.unit import unit_latency
from ..datapath.units.words import gate_word
from ..parts.memory import BANK_WORDS
from ..words import COLUMN_BITS, FIXED, TOKENS, UNIT_BITS, FetchPass, RowParameters, row_pass
from .area_integer import integer_row, of_integers
from .ecp5 import Area, Part, adder, fifo, memory, multiplexer, queue, rescaler
from .ecp5_measured import SRU_CELLS

TOKEN_ENCODER = Area(luts=58, flip_flops=2 * UNIT_BITS + COLUMN_BITS + 10)
"""A change detector of tokens: two indices, the number of tokens, marks."""

UNREAD_BITS = 9
"""Bits of a word for the cell unit that nobody reads beyond its collecting, or at all."""


def encoders(config: AcceleratorConfig) -> Part:
    """The change detectors of frames and states."""
    total = Area()
    measured = {"encoder slice": 0, "encoder merge": 0}
    in_flight = config.drain_rows + unit_latency(config.cells)
    for kind, count, slices, depth, under_way in (
        ("input", config.input_encoders, config.input_elements, config.input_references, 0),
        ("state", config.encoders, config.cell_units, config.references, in_flight),
    ):
        if kind == "input" and TOKENS in config.input_kinds:
            total += TOKEN_ENCODER * count
            if not config.spread:
                continue
        references = max(ceil(depth / slices), 2)
        one = _encoder(config, references)
        if config.initial and kind == "state":
            one += memory(references, config.activation_bits)
        measured[f"{kind} encoder"] = count
        if slices > 1:
            measured["encoder slice"] += (slices - 1) * count
            measured["encoder merge"] += count
            room = under_way + recovery(config.encoder_shifts, config.delta_modes) + 2 + 8
            one += fifo(1 << ceil_log2(room), UNIT_BITS + config.delta_bits + 1)
        total += one * (slices * count)
    return Part(counted=total, measured=measured)


def _encoder(config: AcceleratorConfig, references: int) -> Area:
    """One change detector."""
    bits, shifts = config.activation_bits, config.encoder_shifts
    powers = POWER_OF_TWO in config.delta_modes
    area = Area() if shifts is None else rescaler(16, shifts, max(32 - shifts[0], 2))
    area += memory(references, bits) + memory(config.lists, 17, asynchronous=True)
    # The element on its way, and where its reference is, until that is written; codes, references,
    # deltas and the threshold, and what compares them.
    late = recovery(shifts, config.delta_modes) - 2
    kept = REFERENCE_CYCLES + 2 + (NearestPower.latency if powers else 0)
    area += Area(
        luts=8 * bits + 60,
        flip_flops=late * (UNIT_BITS + 2) + kept * ceil_log2(references) + 7 * bits,
    )
    if powers:
        area += Area(luts=12 * bits, flip_flops=8 * bits)
    return area


def lists(config: AcceleratorConfig) -> Part:
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


def fetch(config: AcceleratorConfig) -> Part:
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


def array(config: AcceleratorConfig) -> Part:
    """The lanes with their drain, and the weights."""
    lanes, digit, delta = config.lanes, config.digit_bits, config.delta_bits
    bits, rows = config.lane_bits, config.drain_rows
    signed = digit + (len(config.weight_bits) > 1)
    counted = Area(flip_flops=2 * lanes * bits, luts=lanes * adder(bits))
    measured: dict[str, float] = {"array": 1, "drain LUTs": multiplexer(lanes // rows, rows * bits)}
    if config.lane_kind == "shift_add":
        counted += Area(luts=lanes * (digit + 1), flip_flops=lanes * (2 * signed + 1))
        measured["shift_add LUTs"] = lanes * bits
    elif digit == TERMS_BITS:
        counted += Area(luts=lanes * adder(delta + 3), flip_flops=lanes * (4 + delta))
        measured["two terms LUTs"] = lanes
    else:
        together = lanes_per_multiplier(digit, delta)
        blocks = lanes // rows
        multipliers = ceil(rows / together) * blocks
        shared = lanes - multipliers
        # Products are in the multipliers' own registers.
        factors = multipliers * signed + shared * (digit + delta)
        counted += Area(multipliers=multipliers, flip_flops=factors)
        counted += Area(luts=shared * (signed + 3))
    if len(config.weight_bits) > 1:
        counted += Area(luts=rows * adder(config.sum_bits), flip_flops=rows * config.sum_bits)
        measured["digits LUTs"] = 1
    if config.sdram:
        measured |= {"sdram": 1, "sdram bit": config.word_bits}
    words = config.near_words if config.sdram else config.weight_words
    if not words:
        return Part(counted=counted, measured=measured)
    banks = ceil(words / BANK_WORDS)
    rest = words - (banks - 1) * BANK_WORDS
    counted += memory(BANK_WORDS, config.word_bits) * (banks - 1)
    counted += memory(1 << ceil_log2(rest), config.word_bits)
    measured["bank LUTs"] = 0
    while banks > 1:
        measured["bank LUTs"] += multiplexer(banks, config.word_bits)
        banks = ceil(banks / 4)
        counted += Area(flip_flops=config.word_bits * banks)
    return Part(counted=counted, measured=measured)


def accumulate(config: AcceleratorConfig) -> Part:
    """M, the row parameters, the rescalers and the pre-activations."""
    rows, sums, pre = config.unit_word, config.sum_bits, config.pre_bits
    latency = rescale_cycles(config)
    counted = (_fixed_row(config) if config.arithmetic == FIXED else integer_row(config)) * rows
    counted += memory(config.row_words, rows * sums)
    counted += memory(config.row_words, config.row_parameters.size)
    counted += memory(config.slots * config.chunk_words, rows * pre, asynchronous=True)
    counted += queue(QUEUE_WORDS, gate_word(config).size, straight=True)
    if config.initial:
        counted += memory(config.row_words, rows * sums)
        counted += Area(flip_flops=rows * sums)
    tag = 29 + ceil_log2(config.row_words)
    counted += _instruction(config, row_pass(config.slots).size)
    counted += Area(flip_flops=(config.cell_units - 1) * config.drain_rows * sums)
    staging = max(place.width for place in windows(config))
    counted += Area(flip_flops=(5 + latency) * tag + ceil_log2(config.row_words) + staging)
    return Part(counted=counted, measured={"accumulate": 1, "row": rows})


def _fixed_row(config: AcceleratorConfig) -> Area:
    """What adds up and rescales a row in our own arithmetic."""
    sums, pre = config.sum_bits, config.pre_bits
    bias = min(BIAS_BITS, pre)
    one = Area(
        luts=adder(sums) + adder(pre + 1) + adder(pre) + (18 if pre > 16 else 0),
        flip_flops=3 * sums
        + RowParameters.size
        - BIAS_BITS
        + (1 + rescale_cycles(config)) * bias
        + 2 * pre,
    )
    return one + rescaler(sums, config.shifts, pre + 1)


def cell_unit(config: AcceleratorConfig) -> Part:
    """What collects gates into units, and the states; without the cells."""
    units, rows, cells = config.cell_units, config.unit_word, config.cells
    slots = max(CELLS[name].GATES for name in cells)
    latency = cell_cycles(cells)
    states = ceil_log2(max(config.states, 2))
    depth = max(2, ceil(max(config.states, 2) / units))
    kinds = ceil_log2(len(cells))
    # Rows wait, and are selected for the cells.
    selected = multiplexer(ceil(rows / units), units * 16)
    counted = Area(luts=slots * selected, flip_flops=2 * slots * rows * 16)
    counted += Area(flip_flops=(latency + 1) * (states + UNIT_BITS + 2 + kinds))
    shared = gate_word(config).size - 16 * rows
    counted += Area(flip_flops=2 * (shared - UNREAD_BITS))
    lane = Area()
    for part in ("c", "h"):
        ports = 1 + reads(cells, part) + (part == "h" and reads(cells, "skip"))
        if part == "h" or ports > 1:
            lane += memory(depth, 16, reads=ports)
    if config.initial:
        lane += memory(depth, 32) * (1 + reads(cells, "norm_c"))  # gates see it beside the cell
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


def cell(config: AcceleratorConfig, name: str) -> Part:
    """One kind of cell, as often as there are units."""
    size, units = CELLS[name].SIZE, config.cell_units
    counted = Area(flip_flops=size.registers, multipliers=size.multipliers, block_rams=size.tables)
    measured = {
        "table": size.tables,
        "added LUTs": size.added,
        "saturated LUTs": size.saturated,
        "shifted LUTs": size.shifted,
    }
    used = {what: amount * units for what, amount in measured.items() if amount}
    counted += of_integers(size)
    return Part(counted=counted * units, measured=used)


def sru(config: AcceleratorConfig) -> Part:
    """All kinds of SRU cells: yosys finds that their gates' products with c are the same."""
    first, *others = (name for name in config.cells if name in SRU_CELLS)
    one, again = cell(config, first), len(others) * config.cell_units
    size = CELLS[first].SIZE
    rest = Area(multipliers=size.multipliers - 2, block_rams=size.tables)
    return Part(counted=one.counted + rest * again, measured={**one.measured, "sru again": again})
