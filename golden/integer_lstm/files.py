# SPDX-License-Identifier: Apache-2.0
"""What the files of integer networks and of their float originals have in common.

Tensors of layer N are named `layers.N.MEMBER` and `layers.N.initial.STATE`; what a layer has
besides arrays stands in the header.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np

from .. import storage
from ..checks import check, stored_integers, stored_texts
from ..errors import UserError
from ..storage import AnyPath, reading
from .layers import Affine


class Layered(Protocol):
    """A network, as far as its file is concerned."""

    @property
    def layers(self) -> Sequence[Any]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def origin(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


def arrays_of(layer: Any) -> dict[str, np.ndarray]:
    """All arrays of a layer that there are, by their names in a file."""
    found = {each.name: getattr(layer, each.name) for each in fields(layer)}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    initial = found.get("initial", {})
    return arrays | {f"initial.{name}": values for name, values in initial.items()}


def is_real(name: str) -> bool:
    """Whether an integer layer's array of this name holds scales."""
    return name.endswith("scale")


def save(
    file: AnyPath,
    kind: str,
    network: Layered,
    type_of: Callable[[str], np.dtype],
    **more: object,
) -> None:
    """Write a network; type_of: of an array's name, what it is stored as; more: of the header."""
    tensors = {
        f"layers.{n}.{name}": array.astype(type_of(name))
        for n, layer in enumerate(network.layers)
        for name, array in arrays_of(layer).items()
    }
    header = {
        "layers": [_entry(layer) for layer in network.layers],
        "labels": list(network.labels),
        "origin": network.origin,
        "notes": list(network.notes),
        **more,
    }
    storage.save(file, kind, tensors, header)


def load(
    file: AnyPath, kind: str, made_by: str, cells: Sequence[type]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a network that `save` wrote, and the file's header; cells: its layers' classes.

    Raises UserError where the file is anything else.
    """
    tensors, header = storage.load(file, kind, made_by=made_by)
    with reading(file):
        found = {
            "layers": tuple(
                _layer(dict(entry), cells, tensors, f"layers.{n}.")
                for n, entry in enumerate(header["layers"])
            ),
            "labels": stored_texts("labels", header["labels"]),
            "origin": str(header["origin"]),
            "notes": stored_texts("notes", header["notes"]),
        }
        return found, header


def _cell(kind: type) -> str:
    """A class's name in a file: "Lstm" or "Linear"."""
    return kind.__name__.removeprefix("Integer").removeprefix("Float")


def _entry(layer: Any) -> dict[str, Any]:
    """What a file's header says of a layer: its class, and its members that are no arrays."""
    entry: dict[str, Any] = {"cell": _cell(type(layer))}
    for each in fields(layer):
        value = getattr(layer, each.name)
        if isinstance(value, Affine):
            entry[each.name] = [value.scale, value.zero_point]
        elif each.name == "initial":
            entry[each.name] = list(value)
        elif isinstance(value, Mapping):
            entry[each.name] = dict(value)
        elif isinstance(value, (str, int, float, tuple)):
            entry[each.name] = list(value) if isinstance(value, tuple) else value
    return entry


def _layer(
    entry: dict[str, Any], cells: Sequence[type], tensors: Mapping[str, np.ndarray], at: str
) -> Any:
    """A layer of a file."""
    cell = entry.pop("cell")
    known = {_cell(each): each for each in cells}
    check("cell", cell, cell in known, f"one of {', '.join(known)}")
    kind = known[cell]
    for name in ("x", "y", "m"):
        if name in entry:
            scale, zero = entry[name]
            entry[name] = Affine(float(scale), zero)
    if "gates" in entry:
        entry["gates"] = stored_texts("gates", entry["gates"])
    if "epsilons" in entry:
        entry["epsilons"] = tuple(map(float, entry["epsilons"]))
    read = _real if kind.__name__.startswith("Float") else _codes
    if "initial" in entry:
        names = stored_texts("initial", entry["initial"])
        entry["initial"] = {name: read(tensors, f"{at}initial.{name}") for name in names}
    members = {each.name for each in fields(kind)}
    for name in tensors:
        own = name.removeprefix(at)
        if own in members and name.startswith(at):
            entry[own] = _real(tensors, name) if is_real(own) else read(tensors, name)
    return kind(**entry)


def _real(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if tensors[name].dtype.kind != "f":
        raise UserError(f"{name}: {tensors[name].dtype} is not possible, it must be floats")
    return tensors[name].astype(np.float64)


def _codes(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return stored_integers(tensors, name)
