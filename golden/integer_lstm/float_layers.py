# SPDX-License-Identifier: Apache-2.0
"""LSTM and linear layers in real numbers, with every part that the integer ones may have.

Of float models (`golden.models`) no LSTM has layer normalization, projection and peepholes at once;
the files of LiteRT do. `float_network.py` turns one kind into the other where that is possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Reals
from ..checks import check, check_shape
from ..errors import UserError
from ..models.graph import check_name
from .layers import ACTIVATIONS, check_clip
from .shape import COUPLED, GATES, LstmShape

EPSILON = 1e-8
"""What is added to a variance, as in LiteRT, where a layer says nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatLstm(LstmShape):
    """An LSTM layer; G gates in the order of `gates`, N cells, K outputs.

    Members
    -------
    gates: `GATES`, or `COUPLED`.
    weights, recurrent: [G, N, inputs], [G, N, K]. bias: [G, N].
    peephole: [P, N] of the gates i, f, o that there are; or None.
    norm: [G, N], the factors of the normalised gates; or None.
    epsilons: [G], what is added to the variances of the gates; none: `EPSILON`.
    projection, projection_bias: [K, N] and [K]; or None.
    cell_clip, projection_clip: 0 for none.
    initial: "c" [N] and "h" [K] before a sequence's first step; none: 0.
    """

    name: str
    gates: tuple[str, ...]
    weights: Reals
    recurrent: Reals
    bias: Reals
    peephole: Reals | None = None
    norm: Reals | None = None
    epsilons: tuple[float, ...] = ()
    projection: Reals | None = None
    projection_bias: Reals | None = None
    cell_clip: float = 0.0
    projection_clip: float = 0.0
    initial: Mapping[str, Reals] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        check("gates", self.gates, self.gates in (GATES, COUPLED), f"{GATES} or {COUPLED}")
        for what, clip in (("cell", self.cell_clip), ("projection", self.projection_clip)):
            check_clip(f"{self.name} {what} clip", clip)
        check_shape(f"{self.name} weights", self.weights, (len(self.gates), None, None))
        check("cells, inputs", self.weights.shape[1:], self.weights.size > 0, "1 and more")
        wide, outputs = (len(self.gates), self.cells), self.outputs
        whole = self.projection is not None or outputs == self.cells
        check(f"{self.name} outputs", outputs, whole, f"{self.cells}, without a projection")
        orphan = self.projection is None and self.projection_bias is not None
        check(f"{self.name} projection bias", "some", not orphan, "none without a projection")
        count = len(self.epsilons)
        fits = count == 0 or (self.norm is not None and count == len(self.gates))
        check(f"{self.name} epsilons", count, fits, "none, or with a norm one for each gate")
        for epsilon in self.epsilons:
            known = 0 <= epsilon < np.inf
            check(f"{self.name} epsilon", epsilon, known, "0 or more, and finite")
        for what, values, shape in (
            ("weights", self.weights, (*wide, self.inputs)),
            ("recurrent weights", self.recurrent, (*wide, outputs)),
            ("bias", self.bias, wide),
            ("peephole", self.peephole, (len(self.gates) - 1, self.cells)),
            ("norm", self.norm, wide),
            ("projection", self.projection, (outputs, self.cells)),
            ("projection bias", self.projection_bias, (outputs,)),
            ("initial c", self.initial.get("c"), (self.cells,)),
            ("initial h", self.initial.get("h"), (outputs,)),
        ):
            if values is not None:
                check_shape(f"{self.name} {what}", values, shape)
                check_finite(f"{self.name} {what}", values)


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatLinear:
    """A linear layer. weights: [outputs, inputs]; bias: [outputs]; activation: of `ACTIVATIONS`."""

    name: str
    weights: Reals
    bias: Reals
    activation: str = "none"

    def __post_init__(self) -> None:
        check_name(self.name)
        check_shape(f"{self.name} weights", self.weights, (None, None))
        check("outputs, inputs", self.weights.shape, self.weights.size > 0, "1 and more")
        check_shape(f"{self.name} bias", self.bias, (self.outputs,))
        check_finite(f"{self.name} weights", self.weights)
        check_finite(f"{self.name} bias", self.bias)
        known = self.activation in ACTIVATIONS
        check("activation", self.activation, known, f"one of {', '.join(ACTIVATIONS)}")

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weights.shape[0])

    @property
    def variant(self) -> str:
        return "plain" if self.activation == "none" else self.activation

    def step(self, x: Reals) -> Reals:
        """y [n, outputs] of x [n, inputs]."""
        y: Reals = x @ self.weights.T + self.bias
        low = {"none": -np.inf, "relu_n1_to_1": -1.0}.get(self.activation, 0.0)
        high = {"relu6": 6.0, "relu_n1_to_1": 1.0}.get(self.activation, np.inf)
        bounded: Reals = np.minimum(np.maximum(y, low), high)
        return bounded


FloatAny = FloatLstm | FloatLinear


def check_finite(what: str, values: np.ndarray) -> None:
    """Raise UserError where one is NaN or infinite."""
    if not np.isfinite(values).all():
        raise UserError(f"{what}: a value is NaN or infinite; mend the checkpoint")


@dataclass(frozen=True, slots=True)
class FloatStep:
    """A step of an LSTM: c, what is projected (h without a projection), h, and the gates' sums
    [n, G, N] before their normalisation.
    """

    c: Reals
    m: Reals
    h: Reals
    sums: Reals


def float_step(layer: FloatLstm, p: Reals, c: Reals) -> FloatStep:
    """From the gates' sums of x's and h's products p [n, G, N], which are changed, and c [n, N].

    Without `norm` the bias is in p already.
    """
    f, g = _sigmoid(_gate(layer, "f", p, c)), np.tanh(_gate(layer, "g", p, c))
    i = _sigmoid(_gate(layer, "i", p, c)) if "i" in layer.gates else 1 - f
    c = f * c + i * g
    if layer.cell_clip > 0:
        c = np.clip(c, -layer.cell_clip, layer.cell_clip)
    m = h = _sigmoid(_gate(layer, "o", p, c)) * np.tanh(c)
    if layer.projection is not None:
        h = m @ layer.projection.T
        if layer.projection_bias is not None:
            h = h + layer.projection_bias
        if layer.projection_clip > 0:
            h = np.clip(h, -layer.projection_clip, layer.projection_clip)
    return FloatStep(c, m, h, p)


def _gate(layer: FloatLstm, name: str, p: Reals, c: Reals) -> Reals:
    """A gate before its sigmoid or tanh."""
    at = layer.gates.index(name)
    if layer.peephole is not None and name in layer.peephole_gates:
        p[:, at] += layer.peephole[layer.peephole_gates.index(name)] * c
    v: Reals = p[:, at]
    if layer.norm is None:
        return v
    d = v - v.mean(axis=1, keepdims=True)
    epsilon = layer.epsilons[at] if layer.epsilons else EPSILON
    v = d / np.sqrt(np.mean(d * d, axis=1, keepdims=True) + epsilon)
    v = v * layer.norm[at] + layer.bias[at]
    return v


def _sigmoid(v: Reals) -> Reals:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-v))
