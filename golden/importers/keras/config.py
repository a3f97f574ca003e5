# SPDX-License-Identifier: Apache-2.0
"""A Keras model's configuration: which layers there are, their options, and that they are a chain.

The weights alone show neither an activation nor that a layer is called twice, so what a
configuration tells is checked, and what weights cannot hold is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import UserError

_SOFTMAX = ("Dense", "Activation")
_EXPECTED: dict[str, dict[str, object]] = {
    "LSTM": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "GRU": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "Bidirectional": {"merge_mode": "concat"},
    "Dense": {"activation": "linear"},
    "Activation": {"activation": "linear"},
    "InputLayer": {},
    "Dropout": {},
    "SpatialDropout1D": {},
    "GaussianDropout": {},
    "GaussianNoise": {},
}
"""Layers of a configuration that can be imported, and the options that they must have."""
_A_FRAME = ("Dense", "Activation", "Dropout")
"""What TimeDistributed may hold: a layer that sees one frame at a time."""
_KNOWN = {
    "Masking": "holds the state over masked frames, which no layer here does; take it out of the "
    "model and give sequences of their own length",
}
"""Why some others are not supported, and the way out."""


@dataclass(frozen=True)
class Configured:
    """What a configuration tells.

    classes: of all layers in the order of the file, as (name, class).
    order: names from input to output. backwards: of layers that put frames out from last to first.
    """

    classes: tuple[tuple[str, str], ...]
    order: tuple[str, ...]
    backwards: frozenset[str]


def check_config(config: Any) -> Configured:
    """Raise UserError for layers, options and connections that the weights would not show."""
    inner = config["config"]
    layers = inner["layers"] if isinstance(inner, dict) else inner
    if not layers:
        raise ValueError("it has no layers")
    names = [str(layer["config"].get("name", k)) for k, layer in enumerate(layers)]
    order = _chain(layers, names, inner)
    backwards = set()
    for k, (name, layer) in enumerate(zip(names, layers, strict=True)):
        kind, options = layer["class_name"], layer["config"]
        if kind == "TimeDistributed":
            kind, options = options["layer"]["class_name"], options["layer"]["config"]
            if kind not in _A_FRAME:
                raise UserError(
                    f"TimeDistributed layer {name!r} of {kind}: runs an inner sequence for each "
                    f"step, which is not supported; only {', '.join(_A_FRAME)} can be inside"
                )
        title = f"{kind} layer {options.get('name', k)!r}"
        _check_options(kind, options, title, last=name == order[-1])
        if kind == "Bidirectional":
            _check_halves(options, title)
        elif options.get("go_backwards", False):
            _check_sequences(title, options)
            backwards.add(str(options["name"]))
    classes = tuple((n, str(a["class_name"])) for n, a in zip(names, layers, strict=True))
    return Configured(classes, order, frozenset(backwards))


def _chain(layers: Any, names: list[str], inner: Any) -> tuple[str, ...]:
    """Names from input to output. Raises UserError where the layers are no single chain."""
    if not any(layer.get("inbound_nodes") for layer in layers):
        return tuple(names)
    readers: dict[str, str] = {}
    for name, layer in zip(names, layers, strict=True):
        title, nodes = f"{layer['class_name']} layer {name!r}", layer.get("inbound_nodes") or []
        if len(nodes) > 1:
            raise UserError(
                f"{title}: is called {len(nodes)} times; only layers that are called once are "
                "supported; give each call a layer of its own"
            )
        sources = list(_sources(nodes))
        if len(sources) > 1:
            raise UserError(
                f"{title}: takes {' and '.join(map(repr, sources))}; only a single chain of layers "
                "can be imported"
            )
        for source in sources:
            if source in readers:
                raise UserError(
                    f"{source!r} leads to {readers[source]!r} and to {name!r}; only a single chain "
                    "of layers can be imported"
                )
            readers[source] = name
    ends = [name for name in names if name not in readers]
    given = list(_sources(inner.get("output_layers", []))) if isinstance(inner, dict) else []
    starts = [name for name in names if name not in readers.values()]
    other = next((name for name in given if name in readers), None)
    if len(ends) != 1 or len(starts) != 1 or len(set(given)) > 1 or other is not None:
        what = f"{other!r}, in the middle," if other else f"{', '.join(map(repr, given or ends))}"
        raise UserError(
            f"the model's output is {what} from {', '.join(map(repr, starts))}; only a single "
            "chain of layers can be imported"
        )
    order = starts
    while order[-1] in readers:
        order.append(readers[order[-1]])
    return tuple(order)


def _sources(node: Any) -> Iterator[str]:
    """Names of the layers whose outputs a node of the graph takes, as Keras 2 and 3 write them."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            yield str(node["config"]["keras_history"][0])
            return
        for value in node.values():
            yield from _sources(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(n) is int for n in node[1:3]):
            yield node[0]
            node = node[3:]
        for value in node:
            yield from _sources(value)


def _check_options(kind: str, options: Any, name: str, *, last: bool) -> None:
    if kind not in _EXPECTED:
        why = f": {_KNOWN[kind]}" if kind in _KNOWN else " is not supported"
        raise UserError(f"{name}{why}; supported: {', '.join(_EXPECTED)}")
    for key, value in _EXPECTED[kind].items():
        given = options.get(key, value)
        softmax = given == "softmax" and last and kind in _SOFTMAX
        if given != value and not softmax:
            end = ", or softmax at the end" if kind in _SOFTMAX else ""
            raise UserError(f"{name}: {key} is {given}; only {value} is supported{end}")


def _check_halves(options: Any, name: str) -> None:
    """The two directions of a Bidirectional layer."""
    for key, backwards in (("layer", False), ("backward_layer", True)):
        half = options.get(key)
        if half is None:
            continue
        kind, inner = half["class_name"], half["config"]
        if kind not in ("LSTM", "GRU"):
            raise UserError(f"{name}: its {kind} is not supported; only LSTM and GRU are")
        _check_options(kind, inner, name, last=False)
        _check_sequences(name, inner)
        given = inner.get("go_backwards", backwards)
        if given != backwards:
            raise UserError(
                f"{name}: go_backwards of a half is {given}; only {backwards} is supported"
            )


def _check_sequences(name: str, options: Any) -> None:
    if not options.get("return_sequences", False):
        raise UserError(
            f"{name}: return_sequences is False, so it gives the first frame's output of what "
            "goes backwards; only True is supported"
        )
