# SPDX-License-Identifier: Apache-2.0
"""Sizes of the paper's four TIMIT models, from their shapes alone.

"Shrink and Eliminate" (Rezk et al. 2022) counts the weights of the matrix-vector products at their
bits and everything else at 16; MB are 2**20 bytes. Both directions of its LSTM, GRU and LiGRU
share weights; those of its SRU do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from .presets import FIRST_STATE, PRESETS
from .scheme import SKIPPED_BITS, SKIPS

FEATURES, UNITS, PROJECTION = 23, 550, 256
MB = 8 << 20
"""Bits of a megabyte."""
FLOAT_BITS = 32
SCHEMES = ("base", *PRESETS)
"""Rows of the paper's Table 2; "base" is float32."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights that get bits together. role: as in `scheme.roles_of`, "rest" for the others.

    layer: its layer's place, of `layers`; skippable: the part of it that `skip` keeps at 16 bits.
    """

    role: str
    weights: int
    layer: int = 0
    skippable: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class TimitModel:
    """One of the paper's models.

    vectors: words of its 16-bit vectors: 1100 a layer in the paper, 2200 in an SRU.
    """

    layers: int
    matrices: tuple[Matrix, ...]
    vectors: int

    @property
    def weights(self) -> int:
        """Weights of all matrix-vector products."""
        return sum(matrix.weights for matrix in self.matrices)


def _shared(gates: int, layers: int, outputs: int, vectors: int, kept: Fraction) -> TimitModel:
    """A bidirectional model whose directions share their weights.

    kept: the candidate's part of the recurrent weights.
    """
    matrices = []
    for n in range(layers):
        inputs = 2 * UNITS if n else FEATURES
        matrices += [
            Matrix("rest" if n else "input", gates * UNITS * inputs, n),
            Matrix("rest" if n else "first state", gates * UNITS * UNITS, n, kept),
        ]
    return TimitModel(layers, (*matrices, Matrix("output", 2 * UNITS * outputs)), vectors)


def _sru(layers: int, outputs: int) -> TimitModel:
    """The SRU, with a projection before all layers but the first; 3 matrices in each layer."""
    matrices = [Matrix("input", FEATURES * 3 * 2 * UNITS)]
    for n in range(1, layers):
        matrices += [
            Matrix("first state" if n == 1 else "rest", 2 * UNITS * PROJECTION, n),
            Matrix("rest", PROJECTION * 3 * 2 * UNITS, n),
        ]
    vectors = layers * 4 * UNITS  # v_f, v_r, b_f, b_r
    return TimitModel(layers, (*matrices, Matrix("output", 2 * UNITS * outputs)), vectors)


MODELS: Mapping[str, TimitModel] = {
    "LSTM": _shared(4, 4, 1936, 4 * 2 * UNITS, Fraction(1, 4)),
    "GRU": _shared(3, 5, 1936, 5 * 2 * UNITS, Fraction(1, 3)),
    "LiGRU": _shared(2, 5, 1936, 5 * 2 * UNITS, Fraction(1, 2)),
    "LiGRU as published": _shared(2, 5, 1936, 5 * 2 * UNITS, Fraction(1, 3)),
    "SRU": _sru(4, 1904),
}
"""The paper counts the skipped path of its LiGRU as a third of the recurrent ones; it is half."""


def size_mb(model: str, scheme: str, skip: str = "all") -> float:
    """MB of a model of `MODELS` under a scheme of `SCHEMES`, with `skip` none, all or part."""
    shape = MODELS[model]
    kept = {"none": 0, "all": shape.layers, "part": -(-shape.layers // 2)}[skip]
    if scheme == "base":  # nothing to skip
        return (shape.weights + shape.vectors) * FLOAT_BITS / MB
    first, rest, output = PRESETS[scheme]
    bits = {"input": first, "rest": rest, "output": output}
    bits["first state"] = FIRST_STATE.get(scheme, rest)
    total = Fraction(16 * shape.vectors)
    for matrix in shape.matrices:
        share = matrix.skippable if matrix.layer < kept else Fraction(0)
        width = bits[matrix.role][0]
        total += matrix.weights * ((1 - share) * width + share * SKIPPED_BITS[0])
    return float(total / MB)


def size_table() -> list[list[str]]:
    """Rows of text: a heading, then a scheme and skip each, with the MB of each model."""
    rows = [["scheme", "skip", *MODELS]]
    for scheme in SCHEMES:
        for skip in SKIPS if scheme not in ("base", "16-bit") else ("none",):
            rows.append([scheme, skip, *(f"{size_mb(m, scheme, skip):.2f}" for m in MODELS)])
    return rows
