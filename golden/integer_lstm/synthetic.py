# SPDX-License-Identifier: Apache-2.0
"""Random float networks of every variant of the LSTM, for tests and benchmarks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arithmetic import Reals
from .float_layers import FloatAny, FloatLinear, FloatLstm
from .float_network import FloatNetwork
from .shape import COUPLED, GATES

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "coupled": ("coupled",),
    "peephole": ("peephole",),
    "projection": ("projection",),
    "projection_bias_clip": ("projection", "projection_bias", "projection_clip"),
    "norm": ("norm",),
    "cell_clip": ("cell_clip",),
    "peephole_projection": ("peephole", "projection"),
    "all_but_coupled": ("peephole", "projection", "projection_bias", "norm", "cell_clip"),
    "all": ("coupled", "peephole", "projection", "projection_bias", "norm", "cell_clip"),
}
"""What each has besides a plain LSTM's parts."""


def make_lstm(
    name: str, parts: Sequence[str], inputs: int, cells: int, outputs: int, *, seed: int = 0
) -> FloatLstm:
    """A layer with these parts; outputs count with a projection only."""
    rng = np.random.default_rng(seed)
    gates = COUPLED if "coupled" in parts else GATES
    outputs = outputs if "projection" in parts else cells

    def normal(*shape: int, by: float) -> Reals:
        return _rounded(rng.standard_normal(shape) * by)

    bias = normal(len(gates), cells, by=0.5)
    bias[gates.index("f")] += 1
    given: dict[str, Any] = {}
    if "peephole" in parts:
        given["peephole"] = normal(len(gates) - 1, cells, by=0.1)
    if "norm" in parts:
        given["norm"] = _rounded(1 + normal(len(gates), cells, by=0.25))
    if "projection" in parts:
        given["projection"] = normal(outputs, cells, by=1.5 / cells**0.5)
    if "projection_bias" in parts:
        given["projection_bias"] = normal(outputs, by=0.2)
    given |= {clip: 1.5 for clip in ("cell_clip", "projection_clip") if clip in parts}
    return FloatLstm(
        name=name,
        gates=gates,
        weights=normal(len(gates), cells, inputs, by=1.2 / inputs**0.5),
        recurrent=normal(len(gates), cells, outputs, by=1.2 / outputs**0.5),
        bias=_rounded(bias),
        **given,
    )


def _rounded(values: Reals) -> Reals:
    """float32 values, in float64."""
    return values.astype(np.float32).astype(np.float64)


def make_lstm_network(
    variant: str | Sequence[str],
    sizes: Sequence[int],
    *,
    projected: int | None = None,
    classes: int | None = None,
    seed: int = 0,
) -> FloatNetwork:
    """A stack of LSTM layers of one of `VARIANTS`, or of one each.

    sizes: the inputs, and each layer's cells. projected: outputs of layers with a projection; None:
    half their cells, rounded up. classes: outputs of a linear layer behind them; None: there is
    none.
    """
    layers: list[FloatAny] = []
    width = sizes[0]
    variants = [variant] * (len(sizes) - 1) if isinstance(variant, str) else variant
    for n, (own, cells) in enumerate(zip(variants, sizes[1:], strict=True)):
        outputs = projected or -(-cells // 2)
        made = make_lstm(f"lstm.{n}", VARIANTS[own], width, cells, outputs, seed=seed + n)
        layers.append(made)
        width = made.outputs
    if classes is not None:
        rng = np.random.default_rng(seed + 1000)
        weights = _rounded(rng.standard_normal((classes, width)) * 2 / width**0.5)
        bias = _rounded(rng.standard_normal(classes))
        layers.append(FloatLinear(name="linear.0", weights=weights, bias=bias))
    return FloatNetwork(layers=tuple(layers))


def make_frames(inputs: int, lengths: Sequence[int], *, seed: int = 0) -> list[np.ndarray]:
    """Smooth sequences float32 [steps, inputs], of variance 1."""
    rng = np.random.default_rng(seed)
    sequences = []
    for length in lengths:
        x = rng.standard_normal((length, inputs))
        for t in range(1, length):
            x[t] = 0.9 * x[t - 1] + 0.436 * x[t]
        sequences.append(x.astype(np.float32))
    return sequences
