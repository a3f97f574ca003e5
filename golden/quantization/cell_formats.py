# SPDX-License-Identifier: Apache-2.0
"""The format of an LSTM's cell state, and of a GRU's nh, by the error that it makes.

c reaches the output through tanh, which is flat beyond 4. So the largest |c|, which one unit that
counts frames may drive to hundreds, is a bad guide: a format that covers it leaves the others with
few bits. c may saturate instead. A GRU's nh, in turn, may be far beyond +-8 where r scales it down,
and its format wider than that of other gates. Which exponent is best is tried with the integer cell
itself.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arithmetic import from_fixed, sat16, to_fixed
from ..cells import Q3_12, Numbers, State
from ..cells.graph import MOST_WIDE
from ..cells.norm import LEAST
from ..cells.stages import ALIKE
from ..data import Dataset
from ..engines.float_engine import run_float_batch
from ..engines.packed import Packing
from ..errors import UserError
from ..models.float_model import FloatLayer, FloatModel, Trace
from ..models.layers import MAX_EXPONENT, exponents_of
from ..models.states import first_reals
from .exponents import MARGIN, exponent_for

COVERED = 3
"""Up to this exponent, where tanh's table ends, c's format covers all that calibration saw."""
MAX_C_EXPONENT = 4
"""Of a format that is chosen by error, where only tanh reads c: one bit beyond its table."""
MOST_EPSILON = 32767 * LEAST
"""That an epsilon's word holds."""
FRAMES = 1 << 13
"""About how many frames of the calibration data are tried."""
VECTOR_SHIFT = 18
"""A vector's 15 - e_v fraction bits and those of c, over the 12 of Q3.12: 18 - e_v - e_c."""


def needs_choice(layer: FloatLayer, largest: float) -> bool:
    """Whether a c that reaches `largest` may saturate, and has no format up to `COVERED`; of a cell
    with a wide gate, whether that one leaves Q3.12.
    """
    if layer.cell.wide:
        return largest * MARGIN > 2.0**Q3_12
    free = layer.cell.has_c and not layer.cell.c_like_h and layer.cell.bounded
    return free and largest * MARGIN > 2.0**COVERED


def c_errors(
    model: FloatModel, calibration: Dataset, largest: Mapping[int, float]
) -> Mapping[int, Mapping[int, float]]:
    """By layer and exponent e_c, the squared error of h over some of the calibration data.

    The integer cell runs on the float model's pre-activations, so the errors of layers before and
    of the products are not in it. largest: by layer, the largest |c|.
    """
    errors = {n: dict.fromkeys(_tried(model.layers[n], c), 0.0) for n, c in largest.items()}
    frames = 0
    for chosen in calibration.chunks():
        chunk = calibration.subset(chosen)
        packing = Packing.of([len(x) for x in chunk.features])

        first = first_reals(model, chunk.states, len(chunk))

        def see(
            n: int, trace: Trace, packing: Packing = packing, first: list[State] = first
        ) -> None:
            for e in errors.get(n, ()):
                errors[n][e] += cell_error(model.layers[n], trace, packing, e, first[n])

        run_float_batch(model, chunk.features, observe=see, first=first)
        frames += chunk.frames
        if frames >= FRAMES:
            break
    return errors


def _tried(layer: FloatLayer, largest: float) -> range:
    """Exponents to try: a peephole reads c itself, so there one that covers it is among them."""
    if layer.cell.wide:
        return range(MOST_WIDE + 1)
    covering = exponent_for(largest, f"{layer.name} cell state") if layer.vectors else 0
    return range(max(MAX_C_EXPONENT, covering, least_c_exponent(layer)) + 1)


def cell_error(layer: FloatLayer, trace: Trace, packing: Packing, e: int, first: State) -> float:
    """Squared error of h when the integer cell runs with e_c = e; infinite where it cannot.

    Of a layer that keeps h within +-1. It runs on the float model's pre-activations, so what its
    words alone cost.

    Parameters
    ----------
    trace, packing: of the float model over some sequences, and how these are packed.
    first: states [sequences, units] before the first steps.
    """
    cell = layer.cell
    try:
        numbers = Numbers(c_exponent=e, **quantize_vectors(layer, e))
    except UserError:
        return float("inf")
    rows = packing.flipped if layer.backward else slice(None)
    formats = exponents_of(cell, e, 0)
    p = [to_fixed(trace.p[rows, g], format) for g, format in enumerate(formats)]
    wanted = trace.h[rows]
    state = State(to_fixed(first.c[packing.order], e), to_fixed(first.h[packing.order], 0))
    error = 0.0
    for at, n in packing.steps():
        named = {gate: p[g][at] for g, gate in enumerate(cell.gates)}
        state = cell.step(named, State(state.c[:n], state.h[:n]), numbers)
        error += float(np.square(from_fixed(state.h, 0) - wanted[at]).sum())
    return error


def c_factor(c_exponent: int) -> float:
    """Of the variance of a cell state that a norm reads as if it were in Q3.12."""
    return 4.0 ** (Q3_12 - c_exponent)


def least_c_exponent(layer: FloatLayer) -> int:
    """The smallest e_c with which its word holds the epsilon of a norm of c; 0 without one.

    Below it the norm would have a smaller epsilon, and scale up a c whose variance is small.
    """
    vector = layer.vectors.get(f"{ALIKE}c")
    if vector is None:
        return 0
    epsilon = float(vector.max()) + LEAST
    able = (e for e in range(MAX_EXPONENT) if epsilon * c_factor(e) <= MOST_EPSILON)
    return next(able, MAX_EXPONENT)


def needed_epsilon(vectors: Mapping[str, np.ndarray], c_exponent: int) -> float:
    """The epsilon of a layer's norm of c, from its integers; 0 without one."""
    words = vectors.get(f"{ALIKE}c")
    return 0.0 if words is None else (int(words.max()) + 1) * LEAST / c_factor(c_exponent)


def most_epsilon(c_exponent: int) -> float:
    """Of a norm of c in this format, what its word holds."""
    return MOST_EPSILON / c_factor(c_exponent)


def quantize_vectors(layer: FloatLayer, c_exponent: int) -> dict[str, Any]:
    """The layer's `vectors`, all with the smallest exponent that holds them, and `vector_shift`.

    Epsilons of norms have the format of variances instead.
    """
    if not layer.vectors:
        return {}
    epsilons = {name: v for name, v in layer.vectors.items() if name.startswith(ALIKE)}
    own = {name: v for name, v in layer.vectors.items() if name not in epsilons}
    names = ", ".join(own)
    largest = max(float(np.abs(v).max(initial=0)) for v in own.values())
    e = exponent_for(largest / MARGIN, f"{layer.name} {names}")
    shift = VECTOR_SHIFT - e - c_exponent
    if shift < 0:
        raise UserError(
            f"{layer.name} {names}: they reach {largest:g} and the cell state "
            f"{2.0**c_exponent:g}, their product must end below {2.0**VECTOR_SHIFT:g}; scale them"
        )
    vectors = {name: to_fixed(vector, e) for name, vector in own.items()}
    for name, vector in epsilons.items():
        factor = c_factor(c_exponent) if name == f"{ALIKE}c" else 1.0
        whole = (vector.astype(np.float64) + LEAST) * (factor / LEAST)  # LEAST is added after it
        vectors[name] = sat16(np.maximum(np.floor(whole - 1 + 0.5), 0).astype(np.int64))
    return {"vectors": vectors, "vector_shift": shift}
