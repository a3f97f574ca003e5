# SPDX-License-Identifier: Apache-2.0
"""What the files of float models and of quantized networks have in common.

Tensors of layer N are named `layers.N.NAME`, with the names of the layer's `arrays`, and
`layers.N.initial.STATE`. A layer that has the same parameters as an earlier one has no tensors but
its initial state: the header's entry `tensors` says whose it has. `input_scale`, where there is
one, is of the whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from .. import storage
from ..checks import stored_texts
from . import graph
from .graph import Node

L = TypeVar("L", bound=Node)


class Layered(Protocol):
    """A float model or a network, as far as their files are alike."""

    @property
    def layers(self) -> Sequence[Node]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def puts_out(self) -> tuple[str, ...]: ...
    @property
    def origin(self) -> str: ...
    @property
    def input_scale(self) -> np.ndarray | None: ...


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """Layer n of a file.

    Members
    -------
    entry: what the header says of it; keys that older versions did not write have defaults.
    tensors: all of the file.
    """

    entry: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    n: int

    def at(self, name: str) -> str:
        """The file's name of one of the layer's arrays, which may be an earlier layer's."""
        return f"layers.{self.entry.get('tensors', self.n)}.{name}"

    @property
    def place(self) -> dict[str, Any]:
        """The fields that say what the layer is and where it stands among the others."""
        return {
            "name": self.entry["name"],
            "kind": self.entry["cell"],
            "reads": stored_texts("reads", self.entry.get("reads", [])),
            "backward": self.entry.get("backward", False),
            "h_from": self.entry.get("h_from", ""),
        }

    @property
    def vectors(self) -> Iterator[tuple[str, str]]:
        """Of each vector, its name and its tensor's."""
        return ((name, self.at(f"vectors.{name}")) for name in self.entry.get("vectors", ()))

    @property
    def initial(self) -> Iterator[tuple[str, str]]:
        """Of each initial state, its name and its tensor's."""
        names = self.entry.get("initial", ())
        return ((name, f"layers.{self.n}.initial.{name}") for name in names)


def save(
    file: storage.AnyPath,
    kind: str,
    model: Layered,
    pack: Callable[[Any], tuple[dict[str, Any], dict[str, np.ndarray]]],
    **header: Any,
) -> None:
    """Write `model` and, into the header, what else there is to it.

    Parameters
    ----------
    pack: a layer's entry in the header, without its place, and all its arrays as the file holds
        them, `initial.STATE` among them.
    """
    tensors: dict[str, np.ndarray] = {}
    entries = []
    for n, layer in enumerate(model.layers):
        entry, arrays = pack(layer)
        shares = graph.shared_with(model.layers, n)
        own = [name for name in arrays if shares is None or name.startswith("initial.")]
        tensors |= {f"layers.{n}.{name}": arrays[name] for name in own}
        entries.append(_place(layer) | entry | {"tensors": n if shares is None else shares})
    if model.input_scale is not None:
        tensors["input_scale"] = model.input_scale
    whole = {
        "layers": entries,
        "labels": list(model.labels),
        "puts_out": list(model.puts_out),
        "origin": model.origin,
        **header,
    }
    storage.save(file, kind, tensors, whole)


def load(
    file: storage.AnyPath, kind: str, made_by: str, unpack: Callable[[StoredLayer], L]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `save` wrote: the fields that both kinds have, and the header.

    Parameters
    ----------
    unpack: makes a layer. Raises UserError where the file is anything else.
    """
    tensors, header = storage.load(file, kind, made_by=made_by)
    with storage.reading(file):
        fields = {
            "layers": tuple(
                unpack(StoredLayer(entry, tensors, n)) for n, entry in enumerate(header["layers"])
            ),
            "labels": stored_texts("labels", header["labels"]),
            "puts_out": stored_texts("puts_out", header.get("puts_out", [])),
            "origin": header["origin"],
            "input_scale": tensors.get("input_scale"),
        }
    return fields, header


def _place(layer: Node) -> dict[str, Any]:
    return {
        "name": layer.name,
        "cell": layer.kind,
        "vectors": list(layer.vectors),
        "reads": list(layer.reads),
        "backward": layer.backward,
        "h_from": layer.h_from,
        "initial": list(layer.initial),
    }
