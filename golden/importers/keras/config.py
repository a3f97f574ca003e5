# SPDX-License-Identifier: Apache-2.0
"""A Keras model's configuration: which layers there are, their options, and that they are a chain.

The weights alone show neither an activation nor that a layer is called twice, so what a
configuration tells is checked, and what weights cannot hold is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UserError
from .chain import order_of

_GATES = ("sigmoid", "hard_sigmoid")
_ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "hard_sigmoid")
_SOFTMAX = ("Dense", "Activation")
_ALLOWED: dict[str, dict[str, tuple[object, ...]]] = {
    "LSTM": {"activation": ("tanh",), "recurrent_activation": _GATES},
    "GRU": {"activation": ("tanh",), "recurrent_activation": _GATES},
    "SimpleRNN": {"activation": ("tanh", "relu")},
    "Bidirectional": {"merge_mode": ("concat",)},
    "Dense": {"activation": _ACTIVATIONS},
    "Activation": {"activation": _ACTIVATIONS},
    "ReLU": {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)},
    "Softmax": {"axis": (-1, [-1])},
    "BatchNormalization": {},
    "LayerNormalization": {"rms_scaling": (False, None)},
    "Normalization": {"invert": (False,)},
    "Rescaling": {},
    "InputLayer": {},
    "Embedding": {"mask_zero": (False,)},
    "Dropout": {},
    "SpatialDropout1D": {},
    "GaussianDropout": {},
    "GaussianNoise": {},
    "LayerNormLSTMCell": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)},
}
"""Layers of a configuration that can be imported, and the options that they may have; where one is
not said, it is the first."""
NORMED_CELL = "LayerNormLSTMCell"
"""Of TensorFlow Addons, in an RNN layer."""
RECURRENT = ("LSTM", "GRU", "SimpleRNN", NORMED_CELL)
NORMS = ("BatchNormalization", "Normalization")
LAYER_NORM = "LayerNormalization"
_A_FRAME = ("Dense", "Activation", "Dropout", LAYER_NORM)
"""What TimeDistributed may hold: a layer that sees one frame at a time."""
_KNOWN = {
    "Masking": "holds the state over masked frames, which no layer here does; take it out of the "
    "model and give sequences of their own length",
    "RNN": f"only one of TensorFlow Addons' {NORMED_CELL} is supported",
}
"""Why some others are not supported, and the way out."""


@dataclass(frozen=True)
class Step:
    """A layer of a configuration; of TimeDistributed, the one in it."""

    name: str
    kind: str
    options: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.kind} layer {self.options.get('name', self.name)!r}"


@dataclass(frozen=True)
class Configured:
    """What a configuration tells.

    classes: of all layers in the order of the file, as (name, class).
    steps: the network's, from input to output. cut: names of the others.
    backwards: of layers that put frames out from last to first. version: Keras's, "" for unknown.
    """

    classes: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    cut: tuple[str, ...]
    backwards: frozenset[str]
    version: str = ""


def check_config(config: Any, version: str = "", start: str = "", end: str = "") -> Configured:
    """What a configuration tells of the layers from `start` to `end`, "" for the model's own.

    Raises UserError for layers, options and connections that the weights would not show: all of
    them.
    """
    inner = config["config"]
    layers = inner["layers"] if isinstance(inner, dict) else inner
    if not layers:
        raise ValueError("it has no layers")
    names = [str(layer["config"].get("name", k)) for k, layer in enumerate(layers)]
    order = order_of(layers, names, inner, start, end)
    by_name = dict(zip(names, layers, strict=True))
    steps: list[Step] = []
    problems: list[str] = []
    for name in order:
        found = _problems(name, by_name[name], steps, last=name == order[-1])
        problems += found
    if problems:
        part = "; --from LAYER and --to LAYER choose a part" if len(order) > len(problems) else ""
        raise UserError("; ".join(problems) + part)
    backwards = {s.name for s in steps if s.kind in RECURRENT and s.options.get("go_backwards")}
    classes = tuple((n, str(a["class_name"])) for n, a in zip(names, layers, strict=True))
    cut = tuple(n for n, kind in classes if n not in order and kind != "InputLayer")
    return Configured(classes, tuple(steps), cut, frozenset(backwards), version)


def _problems(name: str, layer: Any, steps: list[Step], *, last: bool) -> list[str]:
    """What is in the way of a layer, which becomes a step."""
    kind, options = layer["class_name"], layer["config"]
    if kind == "TimeDistributed":
        kind, options = options["layer"]["class_name"], options["layer"]["config"]
        if kind not in _A_FRAME:
            why = "runs an inner sequence for each step, which is not supported"
            rule = f"only {', '.join(_A_FRAME)} can be inside"
            return [f"TimeDistributed layer {name!r} of {kind}: {why}; {rule}"]
    cell = options.get("cell", {}) if kind == "RNN" else {}
    if str(cell.get("class_name")).rpartition(">")[2] == NORMED_CELL:
        kind, options = NORMED_CELL, {**options, **cell["config"], "name": name}
    step = Step(name, kind, options)
    steps.append(step)
    problems = [*_options(kind, options, step.title, last=last)]
    if kind == LAYER_NORM:
        problems += _axis(step, steps, alone=layer["class_name"] == "TimeDistributed")
    if kind == "Embedding" and any(other.kind != "InputLayer" for other in steps[:-1]):
        rule = "only tokens that come in can be looked up"
        problems.append(f"{step.title}: is not the first; {rule}")
    if kind == "Bidirectional":
        problems += _halves(options, step.title)
    elif options.get("go_backwards", False):
        problems += _sequences(step.title, options)
    return problems


def _options(kind: str, options: Any, title: str, *, last: bool) -> Iterator[str]:
    if kind not in _ALLOWED:
        why = f": {_KNOWN[kind]}" if kind in _KNOWN else " is not supported"
        yield f"{title}{why}; supported: {', '.join(_ALLOWED)}"
        return
    for key, allowed in _ALLOWED[kind].items():
        given = options.get(key, allowed[0])
        softmax = given == "softmax" and last and kind in _SOFTMAX
        if given not in allowed and not softmax:
            end = ", or softmax at the end" if kind in _SOFTMAX else ""
            words = list(dict.fromkeys(str(v) for v in allowed if not isinstance(v, list)))
            rule, verb = " or ".join(words), "is" if len(words) == 1 else "are"
            yield f"{title}: {key} is {given}; only {rule} {verb} supported{end}"
    if kind == "Softmax" and not last:
        yield f"{title}: is not at the end; only there it keeps the winning class"


def _axis(step: Step, steps: Sequence[Step], *, alone: bool) -> Iterator[str]:
    """What is in the way of a norm; alone: it sees a frame at a time."""
    axis = step.options.get("axis", -1)
    inner = [(halves_of(s.options) or [{"config": s.options}])[0]["config"] for s in steps]
    ends = [
        not o.get("return_sequences", False)
        for s, o in zip(steps, inner, strict=True)
        if s.kind in (*RECURRENT, "Bidirectional")
    ]
    last = 1 if alone or any(ends) else 2
    if axis not in (-1, [-1], last, [last]):
        yield f"{step.title}: axis is {axis}; only the last one, the features, can be normalized"


def halves_of(options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The layers in a Bidirectional one, as a configuration has them."""
    return [options[key] for key in ("layer", "backward_layer") if options.get(key) is not None]


def _halves(options: Any, title: str) -> Iterator[str]:
    """What is in the way of the two directions of a Bidirectional layer."""
    halves = halves_of(options)
    for half, backwards in zip(halves, (False, True), strict=False):
        kind, inner = half["class_name"], half["config"]
        if kind not in RECURRENT:
            yield f"{title}: its {kind} is not supported; only {', '.join(RECURRENT)} are"
            continue
        yield from _options(kind, inner, title, last=False)
        yield from _sequences(title, inner)
        given = inner.get("go_backwards", backwards)
        if given != backwards:
            yield f"{title}: go_backwards of a half is {given}; only {backwards} is supported"
    kinds = {half["class_name"] for half in halves}
    functions = {
        tuple(str(half["config"].get(key)) for key in ("activation", "recurrent_activation"))
        for half in halves
    }
    if len(kinds) > 1 or len(functions) > 1:
        yield f"{title}: its halves are unlike; only halves of one kind are supported"


def _sequences(title: str, options: Any) -> Iterator[str]:
    if not options.get("return_sequences", False):
        yield (
            f"{title}: return_sequences is False, so it gives the first frame's output of what "
            "goes backwards; only True is supported"
        )


def notes_of(config: Configured) -> Iterator[str]:
    """What changed on the way, in sentences."""
    for step in config.steps:
        if step.kind == "Softmax" or step.options.get("activation") == "softmax":
            yield f"{step.title}: softmax is left off: the same class wins"
        halves = halves_of(step.options)
        inner = halves[0]["config"] if halves else step.options
        if step.kind in (*RECURRENT, "Bidirectional") and not inner.get("return_sequences", False):
            yield f"{step.title}: gives the last step; the network gives every step"
    if config.cut:
        yield f"left out: {', '.join(config.cut)}"
