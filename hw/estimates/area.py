# SPDX-License-Identifier: Apache-2.0
"""LUT4s, flip-flops, multipliers and block RAMs of an accelerator on ECP5, without a synthesis.

What the structure says is counted: multipliers, block RAMs, the registers and adders of lanes, rows
and units. Control logic, and what a cell takes, is measured (`ecp5_measured`). The reference is
yosys as `boards.synthesis` runs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amaranth.utils import bits_for, ceil_log2

from ..accelerator import windows
from ..cells.catalogue import reads, takes_turns
from ..config import AcceleratorConfig
from ..datapath.core import drain_queue_words
from ..datapath.units.outputs import output_words
from ..datapath.units.words import output_word
from ..words import FetchPass, layer_record, network_record, row_pass, sweep_record
from . import area_datapath
from .area_integer import statistics
from .area_turns import turns
from .ecp5 import Area, Part, fifo, memory, multiplexer, queue
from .ecp5_measured import SRU_CELLS

__all__ = ["AreaEstimate", "components", "estimate_area"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AreaEstimate:
    """An accelerator's area.

    Members
    -------
    luts, flip_flops, multipliers, block_rams: of all; LUTs are LUT4s
    sprams: large memories that hold the weights, in families that have them
    components: each component's, by its name
    """

    luts: int
    flip_flops: int
    multipliers: int
    block_rams: int
    components: Mapping[str, Area]
    sprams: int = 0


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
        "encoders": area_datapath.encoders,
        "lists": area_datapath.lists,
        "fetch": area_datapath.fetch,
        "array": area_datapath.array,
        "accumulate": area_datapath.accumulate,
        "cell unit": area_datapath.cell_unit,
    }
    if reads(config.cells, "norm"):
        builders["statistics"] = statistics
    if takes_turns(config.cells):
        builders["turns"] = turns
    parts = {name: build(config) for name, build in builders.items()}
    others = [name for name in config.cells if name not in SRU_CELLS]
    parts |= {f"cell {name}": area_datapath.cell(config, name) for name in others}
    if len(others) < len(config.cells):
        parts["cell sru"] = area_datapath.sru(config)
    return parts


def _interface(config: AcceleratorConfig) -> Part:
    """Bus, registers and counters, and the loader of the image."""
    places = windows(config)
    slices = sum(place.slices for place in places)
    amounts = [1, 1, 1, 14, 32, 1, 1] + [1] * config.lists
    interval = 10 * (len(amounts) + 1)  # cycles between two visits of `Counters`, at the most
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
    for size in (FetchPass.size, row_pass(config.slots).size):
        counted += memory(config.program, size + 1, registers=0) + fifo(4, 3)
    return Part(counted=counted, measured={"sequencer": 1})


def _streams(config: AcceleratorConfig) -> Part:
    """Frames in and outputs out, the layers' records, and the queues between components."""
    outputs = output_words(config) // config.cell_units
    word = output_word(config.output_elements).size
    drained = config.drain_rows * config.sum_bits
    counted = memory(config.layers, layer_record(config.encoders).size, force=True)
    words = drain_queue_words(config)
    counted += queue(words, drained, straight=True) + fifo(12 + words, 2, straight=True)
    units, elements = config.cell_units, config.input_elements
    if units > 1:
        word = 16 * units + bits_for(units)
        counted += Area(luts=multiplexer(units // config.output_elements, 16))
    counted += queue(outputs, word)
    record = network_record(config.input_encoders, config.input_kinds).size
    if config.sweeps > 1:
        counted += memory(config.sweeps, record, registers=0)
    else:
        counted += Area(flip_flops=record)
    counted += Area(luts=17 * elements)
    encoders = config.encoders + config.input_encoders
    measured = {"streams": 1, "stream encoder": encoders - 2, "stream level": config.levels or 0}
    return Part(counted=counted, measured=measured)
