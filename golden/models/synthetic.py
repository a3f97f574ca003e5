# SPDX-License-Identifier: Apache-2.0
"""Random quantized networks and frames, seeded, for tests and benchmarks that need any shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arithmetic import Ints, code_range, multiplier
from ..cells import CELLS, Cell
from ..cells.stages import constants_of
from ..delta import EXACT
from . import graph
from .layers import ONE_HOT
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
    tokens: bool = False,
) -> Path:
    """A path with random weights over the whole range, scaled gates neither idle nor stuck.

    Parameters
    ----------
    rng: what the weights and multipliers are drawn from.
    source, gates: what the path reads and feeds.
    units, columns: of its matrices.
    weight_bits, activation_bits: of its codes.
    threshold: in codes.
    tokens: it reads tokens, so that its activation bits and threshold do not count.
    """
    low, high = code_range(weight_bits)
    weights = rng.integers(low, high + 1, (len(gates), units, columns))
    peak = (1 << (weight_bits + activation_bits - 2)) * max(columns, 1) ** 0.5
    scale, shift = multiplier(6000 / peak)
    mult = rng.integers(scale // 2, scale + 1, (len(gates), units))
    if tokens:
        scale, shift = multiplier(6000 / (1 << (weight_bits - 1)))
        mult = rng.integers(scale // 2, scale + 1, (len(gates), units))
        return Path(
            source=source,
            gates=gates,
            weights=weights,
            weight_bits=weight_bits,
            quantizer=ONE_HOT,
            mult=mult,
            shift=np.full(len(gates), shift),
            tokens=True,
        )
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What `make_network` makes of one layer.

    Members
    -------
    kind, units: its cell, and how many units it has.
    backward: it runs from the last frame to the first.
    both: two directions, of `units` each, side by side; the second one's name ends in ".reverse".
    shared: they have the same weights.
    projection: units of an LSTM's projection, a linear layer called "NAME.projection" that its
        recurrent path and the next layer read; 0: none.
    initial: sequences start from a random state.
    """

    kind: str
    units: int
    backward: bool = False
    both: bool = False
    shared: bool = False
    projection: int = 0
    initial: bool = False

    @property
    def outputs(self) -> int:
        """How many values the next layer reads."""
        return (self.projection or self.units) * (2 if self.both else 1)


def make_network(
    shape: Sequence[tuple[str, int] | Shape],
    inputs: int,
    *,
    seed: int = 0,
    weight_bits: int = 8,
    activation_bits: int = 8,
    threshold: int = 0,
    c_exponent: int = 3,
    h_exponent: int = 2,
    wide_exponent: int = 0,
    delta_mode: str = EXACT,
    tokens: bool = False,
) -> Network:
    """A random network, whose gates use their whole range; the same for the same arguments.

    Layers are called by their cell and their place in `shape`: "lstm0", "lstm0.reverse".

    Parameters
    ----------
    shape: of each layer, (cell, units) or a `Shape`. A "sru" layer needs as many units as inputs.
    inputs: values of an input frame, or how many tokens there are.
    seed: of all that is random.
    weight_bits, activation_bits, threshold, delta_mode: of all paths; the threshold in codes.
    c_exponent, h_exponent: of cells that have a c, and of those that do not bound h (a cell whose c
        and h are alike takes c_exponent, a linear layer 0).
    wide_exponent: how much wider than Q3.12 a GRU's nh is, its layer's c_exponent.
    tokens: frames are tokens.
    """
    rng = np.random.default_rng(seed)
    bits: dict[str, Any] = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "threshold": threshold,
    }
    exponents = (c_exponent, h_exponent, wide_exponent)
    layers: list[Layer] = []
    reads: tuple[str, ...] = (graph.FRAMES_NAME,)
    width = inputs
    for n, item in enumerate(shape):
        one = item if isinstance(item, Shape) else Shape(kind=item[0], units=item[1])
        read, reads, first = reads, (), len(layers)
        for backward in (False, True) if one.both else (one.backward,):
            name = f"{one.kind}{n}" + ".reverse" * (backward and one.both)
            if one.shared and len(layers) > first:
                made = _again(layers[first:], f"{one.kind}{n}", name)
            else:
                own = {**bits, "tokens": tokens and read == (graph.FRAMES_NAME,)}
                made = [_layer(rng, one, name, width, own, *exponents)]
                if one.projection:
                    made.append(_projection(rng, one, name, bits))
            before = layers[-1].name if layers else graph.FRAMES_NAME
            made[0] = replace(made[0], reads=() if read == (before,) else read)
            for layer in made:
                layers.append(replace(layer, backward=backward, initial=_initial(rng, one, layer)))
            reads += (made[-1].name,)
        width = one.outputs
    puts_out = () if reads == (layers[-1].name,) else reads
    return Network(
        layers=tuple(layers),
        x_exponent=0 if tokens else 2,
        puts_out=puts_out,
        delta_mode=delta_mode,
    )


def _layer(
    rng: np.random.Generator,
    one: Shape,
    name: str,
    inputs: int,
    bits: Mapping[str, Any],
    c_exponent: int,
    h_exponent: int,
    wide_exponent: int,
) -> Layer:
    cell = CELLS[one.kind]
    free = not cell.bounded and one.kind != "linear"
    columns = {"x": inputs, "h": one.projection or one.units, "rh": one.units}
    paths = []
    for source, gates in cell.feeds.items():
        own = {**bits, "tokens": bits["tokens"] and source == "x"}
        path = make_path(rng, source, gates, one.units, columns[source], **own)
        # What goes into a state as it is must be larger than what goes into a sigmoid.
        direct = np.array([free and cell.formats[gate] != "gate" for gate in gates])
        paths.append(replace(path, shift=np.maximum(path.shift - 2 * direct, 0)))
    return Layer(
        name=name,
        kind=one.kind,
        paths=tuple(paths),
        bias=rng.integers(-4000, 4001, (len(cell.gates), one.units)),
        c_exponent=c_exponent if cell.has_c else wide_exponent if cell.wide else 0,
        h_exponent=c_exponent if cell.c_like_h else h_exponent if free else 0,
        h_from=f"{name}.projection" if one.projection else "",
        **_vectors(rng, cell, one.units, c_exponent),
    )


def _projection(rng: np.random.Generator, one: Shape, name: str, bits: Mapping[str, Any]) -> Layer:
    units = one.projection
    path = make_path(rng, "x", ("y",), units, one.units, **bits)
    return Layer(
        name=f"{name}.projection",
        kind="linear",
        paths=(replace(path, shift=np.maximum(path.shift - 2, 0)),),  # a state, as above
        bias=rng.integers(-4000, 4001, (1, units)),
        reads=(name,),
    )


def _again(layers: Sequence[Layer], name: str, other: str) -> list[Layer]:
    """The same layers under another name, with the same arrays."""
    return [
        replace(
            layer,
            name=layer.name.replace(name, other, 1),
            reads=tuple(read.replace(name, other, 1) for read in layer.reads),
            h_from=layer.h_from.replace(name, other, 1),
        )
        for layer in layers
    ]


def _initial(rng: np.random.Generator, one: Shape, layer: Layer) -> dict[str, Ints]:
    """A random state, as far as the layer has one that its next step reads."""
    if not one.initial:
        return {}
    names = [name for name in layer.cell.state if name == "c" or not layer.h_from]
    if one.projection and layer.kind == "linear":
        names.append("h")
    return {name: rng.integers(-32768, 32768, layer.units) for name in names}


def _vectors(rng: np.random.Generator, cell: Cell, units: int, c_exponent: int) -> dict[str, Any]:
    """A layer's vectors in Q1.14 and its skip, as far as the cell has them."""
    numbers: dict[str, Any] = {}
    if cell.vectors:
        vectors = {name: rng.integers(-32768, 32768, units) for name in cell.vectors}
        alike = {name: np.full(units, vectors[name][0]) for name in constants_of(cell.vectors)}
        numbers["vectors"] = vectors | alike
        numbers["vector_shift"] = 17 - c_exponent
    if cell.reads_input:
        numbers["skip_mult"], numbers["skip_shift"] = int(rng.integers(8192, 32768)), 15
    return numbers


def make_tokens(count: int, steps: int, *, seed: int = 0, strangers: bool = True) -> Ints:
    """Random words [steps, 1] of `count` tokens, each often the one before.

    strangers: some are no token.
    """
    rng = np.random.default_rng(seed)
    words = rng.integers(-2 * strangers, count + 2 * strangers, steps)
    for t in np.flatnonzero(rng.random(steps) < 0.3):
        words[t] = words[t - 1]
    return words[:, None]


def make_frames(inputs: int, steps: int, *, seed: int = 0, smooth: float = 0.0) -> Ints:
    """Random int16 frames [steps, inputs].

    Parameters
    ----------
    inputs, steps: the shape.
    seed: of all that is random.
    smooth: 0 to below 1, the coefficient of an AR(1) process; 0: every word is on its own.
    """
    rng = np.random.default_rng(seed)
    frames = rng.integers(-32768, 32768, (steps, inputs)).astype(float)
    for t in range(1, steps):
        frames[t] = smooth * frames[t - 1] + (1 - smooth) * frames[t]
    return frames.astype(np.int64)
