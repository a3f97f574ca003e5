# SPDX-License-Identifier: Apache-2.0
"""Which cell a recurrent node of an ONNX graph has, as its attributes tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import UserError
from ...models.float_model import FloatLayer
from ..folding import MIDDLE, SLOPE, coupled, hardened

_DEFAULT = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}
_ALLOWED = {
    "LSTM": (("Sigmoid", "HardSigmoid"), ("Tanh",), ("Tanh",)),
    "GRU": (("Sigmoid", "HardSigmoid"), ("Tanh",)),
    "RNN": (("Tanh", "Relu"),),
}
_NAMES = {name.lower(): name for every in _ALLOWED.values() for names in every for name in names}


@dataclass(frozen=True)
class Variant:
    """The cell of one direction.

    layout: in `ONNX_LAYOUTS`. relu: of an RNN's, in place of tanh. hard: slope and middle of hard
    sigmoids, None for sigmoids. coupled: the forget gate is 1 - i.
    """

    layout: str
    relu: bool = False
    hard: tuple[float, float] | None = None
    coupled: bool = False

    def change(self, layer: FloatLayer) -> FloatLayer:
        """The layer with this cell. Raises UserError where there is none."""
        if self.relu:
            layer = replace(layer, kind="rnn_relu")
        if self.hard:
            layer = hardened(layer, *self.hard)
        return coupled(layer) if self.coupled else layer


def variants(
    what: str, kind: str, given: Mapping[str, Any], directions: int, *, peepholes: bool
) -> list[Variant]:
    """The cell of each direction. Raises UserError for functions that no cell has."""
    layout = "LSTM with peepholes" if peepholes else kind
    if kind == "GRU":
        layout = "GRU after" if given.get("linear_before_reset", 0) else "GRU before"
    forget = given.get("input_forget", 0)
    functions = _functions(what, kind, given, directions)
    if forget and (forget != 1 or peepholes or "HardSigmoid" in functions):
        raise UserError(
            f"{what}: input_forget is {forget}; only 0, or 1 of an LSTM with sigmoids and without "
            "peepholes, is supported"
        )
    count = len(_DEFAULT[kind])
    hard = iter(_constants(what, given, functions.count("HardSigmoid")))
    return [
        Variant(
            layout,
            functions[d * count] == "Relu",
            next(hard) if functions[d * count] == "HardSigmoid" else None,
            bool(forget),
        )
        for d in range(directions)
    ]


def _functions(what: str, kind: str, given: Mapping[str, Any], directions: int) -> list[str]:
    """All directions' activations, one after the other."""
    said = [a.decode() if isinstance(a, bytes) else str(a) for a in given.get("activations", [])]
    allowed = _ALLOWED[kind] * directions
    names = [_NAMES.get(name.lower(), name) for name in said] or [*_DEFAULT[kind] * directions]
    right = len(names) == len(allowed)
    if not right or any(n not in some for n, some in zip(names, allowed, strict=True)):
        rule = ", ".join(" or ".join(some) for some in allowed)
        raise UserError(f"{what}: activations are {', '.join(said)}; only {rule} is supported")
    return names


def _constants(what: str, given: Mapping[str, Any], count: int) -> Sequence[tuple[float, float]]:
    """Slope and middle of each hard sigmoid; no other activation here has numbers."""
    columns = []
    for key, default in (("activation_alpha", SLOPE), ("activation_beta", MIDDLE)):
        values = [float(value) for value in given.get(key, [])]
        if len(values) not in (0, count):
            raise UserError(
                f"{what}: {key} has {len(values)} values for {count} HardSigmoid; give one for each"
            )
        columns.append(values or [default] * count)
    return list(zip(*columns, strict=True))
