# SPDX-License-Identifier: Apache-2.0
"""Random quantized networks and frames, seeded, for tests and benchmarks that need any shape."""

from dataclasses import replace
from typing import Any

import numpy as np

from .arithmetic import Ints, code_range, multiplier
from .cells import CELLS, Cell
from .delta import EXACT
from .network import Layer, Network, Path, Quantizer


def make_path(
    rng: np.random.Generator,
    source: str,
    gates: tuple[str, ...],
    units: int,
    columns: int,
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    threshold: int = 0,
) -> Path:
    """A path with random weights over the whole range, scaled gates neither idle nor stuck."""
    low, high = code_range(weight_bits)
    weights = rng.integers(low, high + 1, (len(gates), units, columns))
    peak = (1 << (weight_bits + activation_bits - 2)) * max(columns, 1) ** 0.5
    scale, shift = multiplier(6000 / peak)
    mult = rng.integers(scale // 2, scale + 1, (len(gates), units))
    quantizer_mult, quantizer_shift = multiplier((1 << (activation_bits - 1)) / 32768)
    return Path(
        source=source,
        gates=gates,
        weights=weights,
        weight_bits=weight_bits,
        quantizer=Quantizer(bits=activation_bits, mult=quantizer_mult, shift=quantizer_shift),
        mult=mult,
        shift=np.full(len(gates), shift),
        threshold=threshold,
    )


def make_network(
    shape: list[tuple[str, int]],
    inputs: int,
    *,
    seed: int = 0,
    weight_bits: int = 8,
    activation_bits: int = 8,
    threshold: int = 0,
    c_exponent: int = 3,
    h_exponent: int = 2,
    delta_mode: str = EXACT,
) -> Network:
    """A random network of (cell, units) layers whose gates use their whole range.

    c_exponent, h_exponent: of cells that have a c, and of those that do not bound h (a cell whose
    c and h are alike takes c_exponent, a linear layer 0). A "sru" layer needs as many units as
    inputs.
    """
    rng = np.random.default_rng(seed)
    layers = []
    width = inputs
    for n, (kind, units) in enumerate(shape):
        cell = CELLS[kind]
        free = not cell.bounded and kind != "linear"
        paths = []
        for source, gates in cell.feeds.items():
            path = make_path(
                rng,
                source,
                gates,
                units,
                width if source == "x" else units,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                threshold=threshold,
            )
            # What goes into a state as it is must be larger than what goes into a sigmoid.
            direct = np.array([free and cell.formats[gate] != "gate" for gate in gates])
            paths.append(replace(path, shift=np.maximum(path.shift - 2 * direct, 0)))
        layers.append(
            Layer(
                name=f"{kind}{n}",
                kind=kind,
                paths=tuple(paths),
                bias=rng.integers(-4000, 4001, (len(cell.gates), units)),
                c_exponent=c_exponent if cell.has_c else 0,
                h_exponent=c_exponent if cell.c_like_h else h_exponent if free else 0,
                **_vectors(rng, cell, units, c_exponent),
            )
        )
        width = units
    return Network(layers=tuple(layers), x_exponent=2, delta_mode=delta_mode)


def _vectors(rng: np.random.Generator, cell: Cell, units: int, c_exponent: int) -> dict[str, Any]:
    """A layer's vectors in Q1.14 and its skip, as far as the cell has them."""
    numbers: dict[str, Any] = {}
    if cell.vectors:
        numbers["vectors"] = {name: rng.integers(-32768, 32768, units) for name in cell.vectors}
        numbers["vector_shift"] = 17 - c_exponent
    if cell.reads_input:
        numbers["skip_mult"], numbers["skip_shift"] = int(rng.integers(8192, 32768)), 15
    return numbers


def make_frames(inputs: int, steps: int, *, seed: int = 0, smooth: float = 0.0) -> Ints:
    """Random int16 frames [steps, inputs]; smooth > 0 makes them an AR(1) process."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(-32768, 32768, (steps, inputs)).astype(float)
    for t in range(1, steps):
        frames[t] = smooth * frames[t - 1] + (1 - smooth) * frames[t]
    return frames.astype(np.int64)
