# SPDX-License-Identifier: Apache-2.0
"""From a quantized network to its accelerator: the configuration that fits, and the image.

Rows are stored in the order in which they drain. A unit-word is `drain_rows` consecutive units;
a D-word holds one gate of a unit-word; the D-words of a path follow each other unit-word by
unit-word, gate by gate, and are cut into groups of as many lanes as there are. A pass is one path
over a chunk of unit-words: in each chunk the recurrent paths come first and the path of the
layer's input last, whose D-words complete the pre-activations.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from ..golden.arithmetic import WIDTHS, Ints
from ..golden.errors import UserError
from ..golden.network import MULT_BITS, Layer, Network, Path, path_name
from .cells.base import Vectors
from .cells.unit import CELLS, reads
from .config import AcceleratorConfig, divisor_up_to
from .image import MULT_BIAS_BITS, Image, ListInfo
from .layouts import UNIT_BITS, Pass, layer_record, network_record, pack

INPUT = -1
"""Stands for the frames where a layer's number is expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathPlan:
    """A path's place: its list, who writes that list, and where its elements are kept."""

    layer: int
    name: str
    path: Path
    list: int
    producer: int
    encoder: int
    event_base: int
    reference_base: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Unit-words `first` .. `first + count` of a layer; units: how many of them are real."""

    first: int
    count: int
    units: int


def plan_paths(network: Network) -> list[PathPlan]:
    """Every path's list, producer and encoder, in program order."""
    plans: list[PathPlan] = []
    used: dict[int, int] = {}
    events: dict[tuple[bool, int], int] = {}
    references: dict[tuple[bool, int], int] = {}
    for n, layer in enumerate(network.layers):
        for k, path in sorted(enumerate(layer.paths), key=lambda item: item[1].source == "x"):
            producer = n if path.source == "h" else n - 1
            encoder = used.get(producer, 0)
            used[producer] = encoder + 1
            memory = (producer == INPUT, encoder)
            plans.append(
                PathPlan(
                    layer=n,
                    name=path_name(layer, k),
                    path=path,
                    list=len(plans),
                    producer=producer,
                    encoder=encoder,
                    event_base=events.get(memory, 0),
                    reference_base=references.get(memory, 0),
                )
            )
            events[memory] = events.get(memory, 0) + 2 * path.columns
            references[memory] = references.get(memory, 0) + path.columns
    return plans


def chunks(config: AcceleratorConfig, units: int) -> Iterator[Chunk]:
    """A layer's unit-words in pieces of at most `chunk_words`."""
    words = ceil(units / config.drain_rows)
    for first in range(0, words, config.chunk_words):
        count = min(config.chunk_words, words - first)
        start = first * config.drain_rows
        yield Chunk(first=first, count=count, units=min(count * config.drain_rows, units - start))


def derive_config(
    network: Network,
    *others: Network,
    word_bits: int | None = None,
    drain_rows: int | None = None,
) -> AcceleratorConfig:
    """The smallest accelerator that each of the networks fits.

    word_bits: None picks 256, or the nearest multiple of the weight width.
    drain_rows: None picks the largest divisor of the lanes up to 8.
    """
    networks = (network, *others)
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
    shape = AcceleratorConfig(
        word_bits=wanted,
        weight_bits=widths,
        drain_rows=drain_rows or divisor_up_to(wanted // widths[-1], most),
    )
    needs = [_needs(each, shape) for each in networks]
    sizes: dict[str, Any] = {name: max(need[name] for need in needs) for name in needs[0]}
    return replace(
        shape,
        cells=tuple(dict.fromkeys(layer.kind for layer in layers)),
        shifts=_span(int(s) for path in paths for s in path.shift),
        quantizer_shifts=_span(path.quantizer.shift for path in paths),
        **sizes,
    )


def compile_network(network: Network, config: AcceleratorConfig) -> Image:
    """The image of `network` for `config`.

    Raises UserError that names the parameter, what is needed, what there is, where it does not fit.
    """
    plans = plan_paths(network)
    passes = list(_passes(network, config))
    _check_fits(network, config, plans)
    state_bases = tuple(
        int(base) for base in np.cumsum([0, *(layer.units for layer in network.layers)])[:-1]
    )
    contents = {
        "weights": [word for p in passes for word in _weight_words(p, config)],
        "rows": [word for p in passes for word in _row_words(network, p, config)],
        "program": _program(network, config, passes),
        "layers": [
            _layer(network, config, plans, n, state_bases[n]) for n in range(len(network.layers))
        ],
        "network": [_network(network, config, plans)],
    }
    if reads(config.cells, "vectors"):
        contents["vectors"] = [word for layer in network.layers for word in _vector_words(layer)]
    lists = tuple(
        ListInfo(path=p.name, columns=p.path.columns, rows=p.path.rows, threshold=p.path.threshold)
        for p in plans
    )
    return Image(contents=contents, lists=lists, state_bases=state_bases)


@dataclass(frozen=True, kw_only=True, slots=True)
class _PassPlan:
    """One pass. groups: of lanes; words: weight words it takes."""

    plan: PathPlan
    chunk: Chunk
    groups: int
    first_use: bool
    last_use: bool
    last_path: bool
    slots_before: frozenset[str]
    weight_base: int
    row_base: int

    @property
    def words(self) -> int:
        return self.groups * self.plan.path.columns


def _passes(network: Network, config: AcceleratorConfig) -> Iterator[_PassPlan]:
    by_layer: dict[int, list[PathPlan]] = {}
    for plan in plan_paths(network):
        by_layer.setdefault(plan.layer, []).append(plan)
    weight_base = row_base = 0
    for n, layer in enumerate(network.layers):
        pieces = list(chunks(config, layer.units))
        for chunk in pieces:
            done: set[str] = set()
            for plan in by_layer[n]:
                words = chunk.count * len(plan.path.gates)
                groups = ceil(words / config.group_words(plan.path.weight_bits))
                item = _PassPlan(
                    plan=plan,
                    chunk=chunk,
                    groups=groups,
                    first_use=chunk is pieces[0],
                    last_use=chunk is pieces[-1],
                    last_path=plan is by_layer[n][-1],
                    slots_before=frozenset(done),
                    weight_base=weight_base,
                    row_base=row_base,
                )
                done.update(plan.path.gates)
                weight_base += item.words
                row_base += words
                yield item


def _rows_in_order(p: _PassPlan, values: Ints, config: AcceleratorConfig) -> Ints:
    """[gates, units, ...] of a path as the pass drains them: [D-words, drain_rows, ...]."""
    rows = config.drain_rows
    start = p.chunk.first * rows
    piece = values[:, start : start + p.chunk.units]
    padding = [(0, 0), (0, p.chunk.count * rows - p.chunk.units), *[(0, 0)] * (piece.ndim - 2)]
    padded = np.pad(piece, padding)
    split = padded.reshape(len(values), p.chunk.count, rows, *values.shape[2:])
    return np.swapaxes(split, 0, 1).reshape(-1, rows, *values.shape[2:])


def _weight_words(p: _PassPlan, config: AcceleratorConfig) -> list[int]:
    """Weight words of a pass: group by group, one word per column, lane 0 in the lowest bits.

    A D-word takes as many lane blocks of D as its weights have digits, the top digit first.
    """
    path = p.plan.path
    ordered = _rows_in_order(p, path.weights, config)
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


def _row_words(network: Network, p: _PassPlan, config: AcceleratorConfig) -> list[int]:
    """Row parameters of a pass: bias (on the first path that feeds the gate) and mult."""
    path, layer = p.plan.path, network.layers[p.plan.layer]
    gates = [layer.cell.gates.index(g) for g in path.gates]
    new = np.array([g not in p.slots_before for g in path.gates])
    bias = np.where(new[:, None], layer.bias[gates], 0)
    mult = path.mult & ((1 << MULT_BITS) - 1)
    both = (bias << MULT_BITS) | mult
    return pack_words(_rows_in_order(p, both, config), MULT_BIAS_BITS)


def pack_words(values: Ints, bits: int) -> list[int]:
    """Rows of signed integers as one integer per row, element 0 in the lowest bits."""
    fields = np.asarray(values, np.int64) & ((1 << bits) - 1)
    if bits in (8, 16):
        raw = fields.astype(f"<u{bits // 8}")
        return [int.from_bytes(row.tobytes(), "little") for row in raw]
    flat = (fields[..., None] >> np.arange(bits)) & 1
    packed = np.packbits(flat.reshape(len(fields), -1).astype(np.uint8), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _program(network: Network, config: AcceleratorConfig, passes: Sequence[_PassPlan]) -> list[int]:
    return [
        pack(
            Pass,
            {
                "fetch": _fetch_fields(config, p),
                "rows": _row_fields(network, config, p) | {"step_start": n == 0},
                "step_end": n == len(passes) - 1,
            },
        )
        for n, p in enumerate(passes)
    ]


def _fetch_fields(config: AcceleratorConfig, p: _PassPlan) -> dict[str, Any]:
    plan, path = p.plan, p.plan.path
    state = plan.producer != INPUT
    words = p.chunk.count * len(path.gates)
    group_words = config.group_words(path.weight_bits)
    return {
        "source": plan.encoder + (config.input_encoders if state else 0),
        "list": plan.list,
        "recurrent": path.source == "h",
        "tally": p.first_use,
        "release": p.last_use,
        "event_base": plan.event_base,
        "columns": path.columns,
        "weight_base": p.weight_base,
        "digits": config.digits(path.weight_bits).bit_length() - 1,
        "groups": p.groups,
        "words": group_words,
        "tail_words": words - (p.groups - 1) * group_words,
        "rows": p.chunk.units * len(path.gates),
    }


def _row_fields(network: Network, config: AcceleratorConfig, p: _PassPlan) -> dict[str, Any]:
    path, layer = p.plan.path, network.layers[p.plan.layer]
    gates = layer.cell.gates
    entries = [
        {
            "slot": gates.index(gate),
            "shift": int(shift),
            "init": gate not in p.slots_before,
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
        "entry": entries + [nothing] * (4 - count),
        "last": p.last_path,
        "layer": p.plan.layer,
        "layer_start": p.last_path and p.first_use,
        "layer_end": p.last_path and p.last_use,
        "unit_base": p.chunk.first * config.drain_rows,
        "tail_units": p.chunk.units - (p.chunk.count - 1) * config.drain_rows,
    }


_NO_ENCODER = dict.fromkeys(
    ("enable", "list", "event_base", "columns", "reference_base", "mult", "shift", "zero", "width"),
    0,
)


def _encoders(plans: Sequence[PathPlan], producer: int, count: int) -> list[dict[str, int]]:
    records = [_NO_ENCODER] * count
    for plan in plans:
        if plan.producer == producer:
            quantizer = plan.path.quantizer
            records[plan.encoder] = {
                "enable": 1,
                "list": plan.list,
                "event_base": plan.event_base,
                "columns": plan.path.columns,
                "reference_base": plan.reference_base,
                "mult": quantizer.mult,
                "shift": quantizer.shift,
                "zero": quantizer.zero_point,
                "width": WIDTHS.index(quantizer.bits),
            }
    return records


def _layer(
    network: Network, config: AcceleratorConfig, plans: Sequence[PathPlan], n: int, state_base: int
) -> int:
    layer = network.layers[n]
    return pack(
        layer_record(config.encoders),
        {
            "cell": config.cells.index(layer.kind),
            "c_exponent": layer.c_exponent,
            "state_base": state_base,
            "vector_shift": layer.vector_shift,
            "skip_base": state_base - layer.inputs if layer.cell.reads_input else 0,
            "skip_mult": layer.skip_mult,
            "skip_shift": layer.skip_shift,
            "output": n == len(network.layers) - 1,
            "encoders": _encoders(plans, n, config.encoders),
        },
    )


def _vector_words(layer: Layer) -> list[int]:
    """A layer's words of the vector memory, one a unit; 0 where the cell has no vectors."""
    vectors = layer.vectors or dict.fromkeys(Vectors.members, np.zeros(layer.units, np.int64))
    return [
        pack(Vectors, {name: vector[k] for name, vector in vectors.items()})
        for k in range(layer.units)
    ]


def _network(network: Network, config: AcceleratorConfig, plans: Sequence[PathPlan]) -> int:
    return pack(
        network_record(config.input_encoders),
        {
            "inputs": network.inputs,
            "macs": network.macs,
            "encoders": _encoders(plans, INPUT, config.input_encoders),
        },
    )


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


def _check_fits(network: Network, config: AcceleratorConfig, plans: Sequence[PathPlan]) -> None:
    """Everything that is silicon and not the depth of a loadable memory."""
    for name, path in network.paths():
        if path.weight_bits not in config.weight_bits:
            raise UserError(
                f"{name}: weights of {path.weight_bits} bits, the accelerator has "
                f"{', '.join(map(str, config.weight_bits))}; quantize to one of these"
            )
    for layer in network.layers:
        if layer.kind not in config.cells:
            raise UserError(
                f"{layer.name}: cell {layer.kind!r}, the accelerator has {', '.join(config.cells)}"
            )
        fed = {gate for path in layer.paths for gate in path.gates}
        for gate in layer.cell.gates:
            if gate not in fed:
                raise UserError(
                    f"{layer.name}: no path feeds gate {gate!r}, the hardware needs one; "
                    "add it to a path's gates, with weights of 0"
                )
        most = CELLS[layer.kind].MAX_C_EXPONENT
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
    plans = plan_paths(network)
    passes = list(_passes(network, config))
    state = [p for p in plans if p.producer != INPUT]
    frame = [p for p in plans if p.producer == INPUT]
    paths = [plan.path for plan in plans]
    return {
        "activation_bits": max(path.quantizer.bits for path in paths),
        "encoders": max((p.encoder + 1 for p in state), default=1),
        "input_encoders": max(p.encoder + 1 for p in frame),
        "lane_bits": max(_lane_bits(path, config) for path in paths),
        # The sum of one step's events spans twice the accumulator's range.
        "sum_bits": max(path.bound for path in paths).bit_length() + 2,
        "pre_bits": _pre_bits(network),
        "lists": len(plans),
        "layers": len(network.layers),
        "weight_words": sum(p.words for p in passes),
        "row_words": sum(p.chunk.count * len(p.plan.path.gates) for p in passes),
        "program": len(passes),
        "events": max((p.event_base + 2 * p.path.columns for p in state), default=1),
        "input_events": max(p.event_base + 2 * p.path.columns for p in frame),
        "references": max((p.reference_base + p.path.columns for p in state), default=1),
        "input_references": max(p.reference_base + p.path.columns for p in frame),
        "states": sum(layer.units for layer in network.layers),
    }


def _lane_bits(path: Path, config: AcceleratorConfig) -> int:
    """Width of a lane's sum over one step's events: of a weight's digit times a delta."""
    digits = weight_digits(path.matrix, config.digits(path.weight_bits), config.digit_bits)
    largest = int(np.abs(digits).sum(axis=-1).max(initial=0))
    return (largest * ((1 << path.quantizer.bits) - 1)).bit_length() + 1
