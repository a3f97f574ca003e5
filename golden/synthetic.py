# SPDX-License-Identifier: Apache-2.0
"""Random quantized networks and frames, seeded, for tests and benchmarks that need any shape."""

import numpy as np

from .arithmetic import Ints, code_range, multiplier
from .cells import CELLS
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
) -> Network:
    """A random network of (cell, units) layers whose gates use their whole range."""
    rng = np.random.default_rng(seed)
    layers = []
    width = inputs
    for n, (kind, units) in enumerate(shape):
        cell = CELLS[kind]
        paths = tuple(
            make_path(
                rng,
                source,
                cell.gates,
                units,
                width if source == "x" else units,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                threshold=threshold,
            )
            for source in cell.sources
        )
        layers.append(
            Layer(
                name=f"{kind}{n}",
                kind=kind,
                paths=paths,
                bias=rng.integers(-4000, 4001, (len(cell.gates), units)),
                c_exponent=3 if cell.has_c else 0,
            )
        )
        width = units
    return Network(layers=tuple(layers), x_exponent=2)


def make_frames(inputs: int, steps: int, *, seed: int = 0, smooth: float = 0.0) -> Ints:
    """Random int16 frames [steps, inputs]; smooth > 0 makes them an AR(1) process."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(-32768, 32768, (steps, inputs)).astype(float)
    for t in range(1, steps):
        frames[t] = smooth * frames[t - 1] + (1 - smooth) * frames[t]
    return frames.astype(np.int64)
