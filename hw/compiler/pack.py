# SPDX-License-Identifier: Apache-2.0
"""Packs a network's numbers, and what its plan says, into the words of the image's memories.

Rows are stored in the order in which they drain. A unit-word is `unit_word` consecutive units;
a D-word holds one gate of a unit-word; the D-words of a path follow each other unit-word by
unit-word, gate by gate, and are cut into groups of as many lanes as there are.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from amaranth.lib import data

from ...golden.arithmetic import WIDTHS, Ints
from ...golden.cells.steps import one_over
from ...golden.delta import POWER_OF_TWO
from ...golden.errors import UserError
from ...golden.models.graph import h_source
from ...golden.models.layers import MULT_BITS
from ...golden.models.layers import Layer as FixedLayer
from ...golden.models.layers import Path as FixedPath
from ..cells.base import CONSTANT, constant_layout, over, vector_layout
from ..cells.catalogue import CELLS, reads
from ..config import AcceleratorConfig
from ..words import (
    SLOTS,
    EncoderRecord,
    RowParameters,
    layer_record,
    network_record,
    pack,
    pass_word,
    sweep_record,
)
from . import integer_lstm, integer_norm
from .networks import Layer
from .passes import PassPlan
from .paths import INPUT, PathUse
from .plan import Plan
from .stages import Stage
from .sweeps import Span, Sweep


def _rows_in_order(p: PassPlan, values: Ints, config: AcceleratorConfig) -> Ints:
    """[gates, units, ...] of a path as the pass drains them: [D-words, unit_word, ...]."""
    rows = config.unit_word
    start = p.chunk.first * rows
    piece = values[:, start : start + p.chunk.units]
    padding = [(0, 0), (0, p.chunk.count * rows - p.chunk.units), *[(0, 0)] * (piece.ndim - 2)]
    padded = np.pad(piece, padding)
    split = padded.reshape(len(values), p.chunk.count, rows, *values.shape[2:])
    return np.swapaxes(split, 0, 1).reshape(-1, rows, *values.shape[2:])


def weight_words(plan: Plan, p: PassPlan) -> list[int]:
    """Weight words of a pass: group by group, one word per column, lane 0 in the lowest bits.

    A drained word takes as many lane blocks as its weights have digits, the top digit first.
    """
    config, path = plan.config, p.use.path
    ordered = _rows_in_order(p, path.weights, config).reshape(-1, config.drain_rows, path.columns)
    digits = weight_digits(ordered, config.digits(path.weight_bits), config.digit_bits)
    lanes = np.moveaxis(digits, 0, 1).reshape(-1, path.columns)
    lanes = np.pad(lanes, [(0, p.groups * config.lanes - len(lanes)), (0, 0)])
    words = lanes.reshape(p.groups, config.lanes, path.columns).swapaxes(1, 2)
    return pack_words(words.reshape(-1, config.lanes), config.digit_bits)


def weight_digits(weights: Ints, count: int, bits: int) -> Ints:
    """[count, ...]: the weights' digits of `bits` bits, top first; only the top one is signed."""
    shifts = bits * np.arange(count - 1, -1, -1).reshape(-1, *[1] * weights.ndim)
    digits = weights >> shifts
    digits[1:] &= (1 << bits) - 1
    return digits


def row_words(plan: Plan, p: PassPlan) -> list[int]:
    """Row parameters of a pass."""
    path, layer = p.use.path, plan.network.layers[p.use.stage.layer]
    if isinstance(path, integer_lstm.Path):
        return _integer_row_words(plan, p, path)
    assert isinstance(path, FixedPath) and isinstance(layer, FixedLayer)
    # A gate's bias is with the first path that feeds it.
    gates = [layer.cell.gates.index(g) for g in path.gates]
    new = np.array([g not in p.gates_before for g in path.gates])
    bias = np.where(new[:, None], layer.bias[gates], 0)
    mult = path.mult & ((1 << MULT_BITS) - 1)
    both = (bias << MULT_BITS) | mult
    return pack_words(_rows_in_order(p, both, plan.config), RowParameters.size)


def _integer_row_words(plan: Plan, p: PassPlan, path: integer_lstm.Path) -> list[int]:
    """The same of an integer-only LSTM: a D-word's multiplier, and its rows' biases."""
    config = plan.config
    biases = _rows_in_order(p, path.bias, config)
    mults = np.tile(path.mult, (p.chunk.count, 1))
    if config.row_mults:
        mults = _rows_in_order(p, np.broadcast_to(path.mult, path.bias.shape), config)
    layout = config.row_parameters
    assert isinstance(layout, data.StructLayout)
    shared = {"saturates": path.saturates, "floats": path.floats}
    return [
        pack(layout, {"mult": mult, "bias": bias, **shared})
        for mult, bias in zip(mults.tolist(), biases.tolist(), strict=True)
    ]


def pack_words(values: Ints, bits: int) -> list[int]:
    """Rows of signed integers as one integer per row, element 0 in the lowest bits."""
    fields = np.asarray(values, np.int64) & ((1 << bits) - 1)
    if bits in (8, 16):
        raw = fields.astype(f"<u{bits // 8}")
        return [int.from_bytes(row.tobytes(), "little") for row in raw]
    flat = (fields[..., None] >> np.arange(bits)) & 1
    packed = np.packbits(flat.reshape(len(fields), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def program_words(plan: Plan) -> list[int]:
    """The passes as the sequencer reads them."""
    return [
        pack(
            pass_word(plan.config.slots),
            {
                "fetch": _fetch_fields(plan.config, p),
                "rows": _row_fields(plan.config, p) | {"step_start": p.first_pass},
                "step_end": p.last_pass,
            },
        )
        for p in plan.passes
    ]


def _fetch_fields(config: AcceleratorConfig, p: PassPlan) -> dict[str, Any]:
    use, path = p.use, p.use.path
    words = p.d_words * config.cell_units
    group_words = config.group_words(path.weight_bits)
    return {
        "source": use.encoder + (0 if use.of_frames else config.input_encoders),
        "list": use.list,
        "recurrent": path.source == "h",
        "tally": p.first_use,
        "release": p.last_use,
        "event_base": use.event_base,
        "columns": path.columns,
        "weight_base": p.weight_base,
        "digits_log2": config.digits(path.weight_bits).bit_length() - 1,
        "groups": p.groups,
        "words": group_words,
        "tail_words": words - (p.groups - 1) * group_words,
        "products": p.chunk.units * len(path.gates),
    }


def _row_fields(config: AcceleratorConfig, p: PassPlan) -> dict[str, Any]:
    path, gates = p.use.path, p.use.stage.gates
    entries = [
        {
            "slot": gates.index(gate),
            "shift": int(shift),
            "init": gate not in p.gates_before,
            "flush": 0,
        }
        for gate, shift in zip(path.gates, path.shift, strict=True)
    ]
    if p.last_path:  # in front: their row address is the next entry's, and so never past the end
        flushed = [gate for gate in gates if gate not in path.gates]
        entries[:0] = [
            {"slot": gates.index(gate), "shift": 0, "init": 0, "flush": 1} for gate in flushed
        ]
    count = len(entries)
    nothing = {"slot": 0, "shift": 0, "init": 0, "flush": 0}
    return {
        "row_base": p.row_base,
        "unit_words": p.chunk.count,
        "entries": count,
        "entry": entries + [nothing] * (config.slots - count),
        "last": p.last_path,
        "layer": p.use.stage.index,
        "layer_start": p.last_path and p.first_chunk,
        "layer_end": p.last_path and p.last_chunk,
        "unit_base": p.chunk.first * config.unit_word,
        "tail_units": p.chunk.units - (p.chunk.count - 1) * config.unit_word,
    }


_NO_ENCODER = dict.fromkeys((field for field, _ in EncoderRecord), 0)


def _encoders(plan: Plan, producer: int, sweep: Sweep, count: int) -> list[dict[str, int]]:
    records = [_NO_ENCODER] * count
    for use in plan.uses:
        if use.producer == producer and use.stage.sweep == sweep:
            quantizer = use.path.quantizer
            records[use.encoder] = {
                "enable": 1,
                "list": use.list,
                "event_base": use.event_base,
                "columns": use.path.columns,
                "reference_base": use.reference_base,
                "mult": quantizer.mult,
                "shift": quantizer.shift,
                "zero": quantizer.zero_point,
                "width": WIDTHS.index(quantizer.bits),
                "power_of_two": plan.network.delta_mode == POWER_OF_TWO,
            }
    return records


def stage_word(plan: Plan, stage: Stage) -> int:
    """A stage, which the hardware calls a layer, for the cell unit and the state encoders."""
    layer, encoders = plan.network.layers[stage.layer], plan.config.encoders
    return pack(
        layer_record(encoders),
        {
            "cell": plan.config.cells.index(stage.cell),
            "c_exponent": layer.c_exponent,
            "state_base": plan.state_bases[stage.layer],
            "vector_shift": layer.vector_shift,
            "skip_base": plan.state_bases[stage.layer - 1] if layer.cell.reads_input else 0,
            "skip_mult": layer.skip_mult,
            "skip_shift": layer.skip_shift,
            "output": stage.puts_out,
            "encoders": _encoders(plan, stage.index, stage.sweep, encoders),
        },
    )


def vector_words(layer: Layer, count: int) -> list[int]:
    """A layer's `count` words of the vector memory, one a unit; 0 where there are no vectors."""
    names = next((stage.vectors for stage in layer.cell.stages if stage.vectors), ())
    layout = vector_layout(names)
    words = [
        pack(layout, {name: layer.vectors[name][k] for name in names}) for k in range(layer.units)
    ]
    return words + [0] * (count - layer.units)


def constant_word(plan: Plan, stage: Stage) -> int:
    """What all units of a stage share; 0 where its cell takes no constants."""
    layer, constants = plan.network.layers[stage.layer], CELLS[stage.cell].CONSTANTS
    if not constants:
        return 0
    if isinstance(layer, integer_lstm.Layer):
        values = {name: layer.constants[name] for name in constants}
    else:
        assert isinstance(layer, FixedLayer)
        values = _turn_constants(layer, stage)
    return pack(constant_layout(constants), values)


def _turn_constants(layer: FixedLayer, stage: Stage) -> dict[str, int]:
    """What a cell reads that is the same for all units, and 1 / units of its means."""
    values: dict[str, int] = {}
    for name in layer.cell.stages[0].constants:
        words = layer.vectors[name]
        if (words != words[0]).any():
            raise UserError(
                f"{layer.name}: {name} is {words.min()}..{words.max()} over the units, the "
                "accelerator has one for all of them; make them equal"
            )
        values[f"{CONSTANT}{name}"] = int(words[0])
    for count in {count for turn in CELLS[stage.cell].TURNS for count in turn.values()}:
        values |= zip(over(count), one_over(layer.units * count), strict=True)
    return values


def norm_words(plan: Plan) -> tuple[list[int], list[int]]:
    """The memories of the layer normalisation: units' numbers, and those of each stage's gates."""
    peephole = reads(plan.config.cells, "norm_c")
    values: list[int] = []
    gates: list[int] = []
    for stage in plan.stages:
        layer = plan.network.layers[stage.layer]
        norm = layer.norm if isinstance(layer, integer_lstm.Layer) else None
        if norm is None:
            gates += [0] * SLOTS
            continue
        # Words come in the order of the stage's gates.
        assert all(u.path.gates == stage.gates for u in plan.uses if u.stage == stage)
        rows = [layer.cell.gates.index(gate) for gate in stage.gates]
        gates += integer_norm.gate_words(norm, rows, len(values), peephole)
        values += integer_norm.value_words(norm, rows, plan.config, peephole)
    return values, gates


def state_words(layer: Layer, count: int) -> list[int]:
    """A layer's state before a sequence's first step, one of `count` words a unit: c above, h
    below."""
    zeros = np.zeros(layer.units, np.int64)
    both = np.stack([layer.initial.get(name, zeros) for name in ("h", "c")], axis=1)
    return pack_words(both, 16) + [0] * (count - layer.units)


def initial_codes(plan: Plan, use: PathUse) -> Ints:
    """References [columns] of a path before a sequence's first step."""
    layers, quantizer = plan.network.layers, use.path.quantizer
    if use.path.source == "h":
        initial = layers[h_source(layers, use.stage.layer)].initial
        if "h" in initial:
            return quantizer(initial["h"])
    return np.full(use.path.columns, quantizer.zero_point)


def reference_words(plan: Plan) -> list[int]:
    """The references of all state encoders before a sequence's first step."""
    config = plan.config
    codes = np.zeros(config.encoders * config.reference_span, np.int64)
    for use in plan.uses:
        if not use.of_frames:
            base = use.encoder * config.reference_span + use.reference_base
            codes[base : base + use.path.columns] = initial_codes(plan, use)
    return pack_words(codes[:, None], config.activation_bits)


def sum_words(plan: Plan, p: PassPlan) -> list[int]:
    """M of a pass before a sequence's first step."""
    path = p.use.path
    codes = initial_codes(plan, p.use) - path.quantizer.zero_point
    return pack_words(_rows_in_order(p, path.weights @ codes, plan.config), plan.config.sum_bits)


def network_word(plan: Plan, sweep: Sweep) -> int:
    """What the frames of a sweep need."""
    encoders = plan.config.input_encoders
    return pack(
        network_record(encoders, plan.config.input_kinds),
        {
            "tokens": sweep.tokens(plan.network),
            "inputs": sweep.inputs(plan.network),
            "macs": plan.network.macs,
            "program": plan.starts.get(sweep.index, 0),
            "encoders": _encoders(plan, INPUT, sweep, encoders),
        },
    )


def sweep_words(plan: Plan) -> list[int]:
    """The sweeps' records for the sequence buffer."""
    config, record = plan.config, plan.record
    nothing = Span(offset=0, units=0)
    words = []
    for sweep in plan.sweeps:
        sources = [record.spans[source] for source in sweep.sources]
        kept = record.spans.get(sweep.result) if sweep.layers else None
        padding = [nothing] * (config.sweep_sources - len(sources))
        words.append(
            pack(
                sweep_record(config.sweep_sources),
                {
                    "backward": sweep.backward,
                    "compute": bool(sweep.layers),
                    "emit": kept is None,
                    "end": sweep is plan.sweeps[-1],
                    "source_count": len(sources),
                    "sources": [asdict(span) for span in sources + padding],
                    "target": asdict(kept or nothing),
                    "stride": record.stride,
                    "frames": plan.sequence_frames,
                },
            )
        )
    return words
