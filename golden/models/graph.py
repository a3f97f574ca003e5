# SPDX-License-Identifier: Apache-2.0
"""Which layer reads what: the rules that a float model and a quantized network share.

Layers stand in the order in which they can run. A bidirectional layer is two layers, the second one
`backward`; an LSTM's projection is a linear layer next to it, which its `h_from` names.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ..cells import Cell
from ..errors import UserError, printable

FRAMES = -1
"""Stands for the input frames where a layer's index is expected."""
FRAMES_NAME = "frames"
"""Stands for them in `reads`."""


class Placed(Protocol):
    """What says which layer reads what."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    @property
    def backward(self) -> bool: ...
    @property
    def h_from(self) -> str: ...


class Node(Placed, Protocol):
    """What these rules need to know of a layer, float or quantized.

    Members
    -------
    tokens: its input is an index.
    signature: what besides its parameters makes two layers compute the same.
    arrays: all its parameters but the initial state, by their names in a file.
    """

    @property
    def cell(self) -> Cell: ...
    @property
    def kind(self) -> str: ...
    @property
    def tokens(self) -> bool: ...
    @property
    def h_columns(self) -> int | None: ...
    @property
    def vectors(self) -> Mapping[str, np.ndarray]: ...
    @property
    def initial(self) -> Mapping[str, np.ndarray]: ...
    @property
    def signature(self) -> tuple: ...
    @property
    def arrays(self) -> Mapping[str, np.ndarray]: ...


Layers = Sequence[Node]
AnyLayers = Sequence[Placed]


def inputs_of(layers: AnyLayers, n: int) -> tuple[int, ...]:
    """Indices of the layers whose outputs, one after the other, are layer n's input.

    FRAMES stands for the input frames. Raises UserError for a name that no earlier layer has.
    """
    reads = layers[n].reads
    if not reads:
        return (n - 1,)  # FRAMES for the first
    return _indices(layers[:n], reads, f"{layers[n].name} reads", frames=True)


def outputs_of(layers: AnyLayers, puts_out: Sequence[str]) -> tuple[int, ...]:
    """Indices of the layers whose outputs, one after the other, are the network's."""
    if not puts_out:
        return (len(layers) - 1,)
    return _indices(layers, puts_out, "puts out", frames=False)


def h_source(layers: AnyLayers, n: int) -> int:
    """Index of the layer whose output of the step before is layer n's source "h"."""
    return n + 1 if layers[n].h_from else n


def lockstep(layers: Layers) -> list[tuple[int, ...]]:
    """All layers in order, those in one tuple that must take each step together.

    That is an LSTM and its projection; every other layer can run a whole sequence by itself.
    """
    groups: list[tuple[int, ...]] = []
    for n in range(len(layers)):
        if n and layers[n - 1].h_from:
            groups[-1] = (*groups[-1], n)
        else:
            groups.append((n,))
    return groups


def together(layers: Layers, puts_out: Sequence[str] = ()) -> list[tuple[int, ...]]:
    """Indices of layers, FRAMES among them, that are read or put out together: one format for each.

    Only groups of two and more, each sorted.
    """
    groups: list[set[int]] = []
    joint = [inputs_of(layers, n) for n in range(len(layers))] + [outputs_of(layers, puts_out)]
    for members in joint:
        merged = set(members)
        for group in [g for g in groups if g & merged]:
            merged |= group
            groups.remove(group)
        groups.append(merged)
    return sorted(tuple(sorted(group)) for group in groups if len(group) > 1)


def shared_with(layers: Layers, n: int) -> int | None:
    """The first earlier layer with the same parameters as layer n, None where there is none.

    Such layers, the two directions of a layer for instance, need one set of weights.
    """
    own = layers[n]
    return next((m for m in range(n) if _same(layers[m], own)), None)


def _same(a: Node, b: Node) -> bool:
    if a.signature != b.signature:
        return False
    theirs, own = a.arrays, b.arrays
    if any(theirs[name].shape != own[name].shape for name in own):
        return False
    return all(theirs[name] is own[name] or (theirs[name] == own[name]).all() for name in own)


def width_of(layers: AnyLayers, indices: Sequence[int]) -> int:
    """How many values these layers put out together."""
    return sum(layers[0].inputs if n == FRAMES else layers[n].units for n in indices)


def check_name(name: str) -> None:
    """Raise UserError for a layer's name that a terminal would not show."""
    if not name.isprintable():
        raise UserError(f"{printable(name)}: a layer's name must be printable; give it another")


def check_layer(layer: Node) -> None:
    """Raise UserError where a projection or an initial state is none that the layer can have.

    Whether a linear layer, which may be a projection, has a state is for `check_graph` to tell.
    """
    cell = layer.cell
    check_name(layer.name)
    if layer.h_from and not (cell.has_c and "h" in cell.feeds):
        raise UserError(
            f"{layer.name} h_from: {layer.h_from!r} is not possible, {layer.kind} has no "
            "projection, only LSTMs have; leave it out"
        )
    own_h = "h" in cell.state and not layer.h_from
    has = {"c": "c" in cell.state, "h": own_h or not cell.state}
    for name, state in layer.initial.items():
        if not has.get(name):
            text = ", ".join(key for key, there in has.items() if there)
            way_out = f"; give {layer.h_from} its initial h" if layer.h_from else ""
            raise UserError(
                f"{layer.name} initial {name}: {layer.kind} starts from {text or 'nothing'} "
                f"only{way_out}"
            )
        if state.shape != (layer.units,):
            raise UserError(
                f"{layer.name} initial {name}: shape {state.shape}, expected [{layer.units}]"
            )


def check_graph(layers: Layers, puts_out: Sequence[str]) -> None:
    """Raise UserError unless every layer can have its input, its h and its initial state."""
    used = set(outputs_of(layers, puts_out))
    for n, layer in enumerate(layers):
        read = inputs_of(layers, n)
        used.update(read)
        width = width_of(layers, read)
        if width != layer.inputs:
            raise UserError(f"{layer.name} takes {layer.inputs} values, but {_read(layers, n)}")
        _check_tokens(layers, n)
        if layer.h_from:
            _check_projection(layers, n)
        columns = layers[h_source(layers, n)].units
        if layer.h_columns not in (None, columns):
            raise UserError(
                f"{layer.name} h weights: {layer.h_columns} columns, expected {columns}, the units "
                f"of {layers[h_source(layers, n)].name}"
            )
        projects = n > 0 and bool(layers[n - 1].h_from)
        if "h" in layer.initial and "h" not in layer.cell.state and not projects:
            raise UserError(
                f"{layer.name} initial h: no step reads what {layer.kind} puts out in the step "
                "before; leave it out"
            )
    idle = next((layer for n, layer in enumerate(layers) if n not in used), None)
    if idle is not None:
        raise UserError(
            f"{idle.name}: no layer reads it and the network does not put it out; take it out, or "
            "name it in reads or puts_out"
        )


def _check_tokens(layers: Layers, n: int) -> None:
    """Raise UserError unless the frames are tokens for all layers that read them, or for none."""
    layer, read = layers[n], inputs_of(layers, n)
    if not layer.tokens and not (layers[0].tokens and FRAMES in read):
        return
    if read != (FRAMES,) or not layers[0].tokens or not layer.tokens:
        raise UserError(
            f"{layer.name}: tokens are what a layer reads as its whole input, and all layers that "
            "read frames do; put a linear layer between"
        )
    if layer.cell.reads_input:
        raise UserError(
            f"{layer.name}: {layer.kind} adds its input to its output, which a token cannot be; "
            "use sru4 or sru0"
        )


def _read(layers: Layers, n: int) -> str:
    """In words, what a layer reads and how wide that is."""
    layer, indices = layers[n], inputs_of(layers, n)
    width = width_of(layers, indices)
    if layer.reads:
        return f"{', '.join(layer.reads)}, which it reads, put out {width}"
    return f"{layers[n - 1].name} before it puts out {width}"


def _check_projection(layers: Layers, n: int) -> None:
    layer = layers[n]
    what = f"{layer.name} h_from: {layer.h_from!r} is not possible"
    if n + 1 == len(layers) or layers[n + 1].name != layer.h_from:
        raise UserError(f"{what}, it must be the next layer; put the projection there")
    after = layers[n + 1]
    if after.kind != "linear" or inputs_of(layers, n + 1) != (n,):
        raise UserError(f"{what}, it must be a linear layer that reads {layer.name} alone")
    if after.backward != layer.backward:
        raise UserError(f"{what}, it must run in the same direction; set backward alike")


def _indices(
    layers: AnyLayers, names: Sequence[str], what: str, *, frames: bool
) -> tuple[int, ...]:
    """Indices of the layers with these names."""
    known: dict[str, list[int]] = {FRAMES_NAME: [FRAMES]} if frames else {}
    for m, layer in enumerate(layers):
        known.setdefault(layer.name, []).append(m)
    for name in names:
        if len(known.get(name, ())) != 1 or list(names).count(name) > 1:
            there = "named twice" if known.get(name) else "not one of them"
            raise UserError(f"{what} {name!r}: {there}; name each once, of {', '.join(known)}")
    return tuple(known[name][0] for name in names)
