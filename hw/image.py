# SPDX-License-Identifier: Apache-2.0
"""A network image: the contents of every memory that a network needs in an accelerator."""

from dataclasses import dataclass

from .cells.catalogue import constant_bits, reads, vector_bits
from .config import AcceleratorConfig
from .words import (
    SLOTS,
    layer_record,
    network_record,
    norm_gate,
    norm_value,
    pass_word,
    sweep_record,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """One loadable memory.

    Members
    -------
    name: in the manifest, and of its file
    depth: words
    width: bits of a word
    """

    name: str
    depth: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ListInfo:
    """One event list.

    Members
    -------
    path: name of the network's path that it belongs to
    columns: elements that may fire
    rows: of all stages that it is used for; an event stands for so many products
    threshold: that the image sets
    """

    path: str
    columns: int
    rows: int
    threshold: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What a network's memories hold, and what a driver must know to use them.

    Members
    -------
    contents: words as integers, by the memory's name
    lists: the event lists, by index
    state_bases: address of each layer's first unit in the state memory
    """

    contents: dict[str, list[int]]
    lists: tuple[ListInfo, ...]
    state_bases: tuple[int, ...]


SWEEPS = "sweeps"
"""The memory of the sequence buffer; the others are the core's."""

WEIGHTS = "weights"
"""The memory that every design loads; see `AcceleratorConfig.hardwired`."""


def core_memories(config: AcceleratorConfig) -> tuple[Memory, ...]:
    """Those of the memories that lie in the core."""
    return tuple(memory for memory in memories(config) if memory.name != SWEEPS)


def memories(config: AcceleratorConfig) -> tuple[Memory, ...]:
    """The memories that an image fills, in the order of the memory map."""
    vectors = ("vectors", config.states, vector_bits(config.cells))
    initial = (
        ("initial_states", config.states, 32),
        ("initial_references", config.encoders * config.reference_span, config.activation_bits),
        ("initial_sums", config.row_words, config.unit_word * config.sum_bits),
    )
    constants = ("constants", config.layers, constant_bits(config.cells))
    norm = (
        ("norm_values", config.norm_words, norm_value(reads(config.cells, "norm_c")).size),
        ("norm_gates", SLOTS * config.layers, norm_gate(reads(config.cells, "norm_c")).size),
    )
    sweeps = (SWEEPS, config.sweeps, sweep_record(config.sweep_sources).size)
    shapes = (
        (WEIGHTS, config.weight_words, config.word_bits),
        ("rows", config.row_words, config.row_parameters.size),
        ("program", config.program, pass_word(config.slots).size),
        ("layers", config.layers, layer_record(config.encoders).size),
        ("network", config.sweeps, network_record(config.input_encoders, config.input_kinds).size),
        *([sweeps] if config.buffered else []),
        *(initial if config.initial else []),
        *([vectors] if reads(config.cells, "vectors") else []),
        *([constants] if reads(config.cells, "constants") else []),
        *(norm if reads(config.cells, "norm") else []),
    )
    return tuple(Memory(name=n, depth=d, width=w) for n, d, w in shapes)
