# SPDX-License-Identifier: Apache-2.0
"""The factor of LiGRU's candidate at test time, folded into weights."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..errors import UserError
from ..models.float_model import FloatLayer
from .tensors.directions import Stage


def with_candidate_scale(stages: Sequence[Stage], scales: Sequence[float]) -> list[Stage]:
    """Folds the factor into the rows of LiGRU's candidate, where relu(m * a) = m * relu(a)."""
    if not scales:
        return [*stages]
    text = ",".join(f"{scale:g}" for scale in scales)
    places = [n for n, stage in enumerate(stages) if stage.first.kind in _CANDIDATES]
    if len(scales) not in (1, len(places)) or not places:
        raise UserError(
            f"candidate scale {text}: {len(scales)} for {len(places)} layers with a candidate; "
            "give one, or one for each LSTM, GRU and LiGRU layer"
        )
    bad = next((scale for scale in scales if not 0 < scale <= 1), None)
    if bad is not None:
        raise UserError(
            f"candidate scale {bad:g}: it is 1 - dropout, above 0 and at most 1; give that"
        )
    each = list(scales) if len(scales) > 1 else [scales[0]] * len(places)
    by_place = dict(zip(places, each, strict=True))
    return [
        stage.change(partial(_scaled, scale=by_place[n])) if by_place.get(n, 1.0) != 1.0 else stage
        for n, stage in enumerate(stages)
    ]


_CANDIDATES = {"lstm": "tanh(g)", "gru": "tanh(n)", "gru_before": "tanh(n)", "ligru": "relu(a)"}


def _scaled(layer: FloatLayer, scale: float) -> FloatLayer:
    if layer.kind != "ligru":
        raise UserError(
            f"candidate scale {scale:g}: {layer.name} is of kind {layer.kind}, whose candidate is "
            f"{_CANDIDATES[layer.kind]}; a factor after tanh cannot be folded into weights, only "
            "ligru takes one; give 1 for this layer, or train it with dropout 0"
        )
    at = layer.cell.gates.index("a")
    bias = layer.bias.copy()
    bias[at] *= scale
    paths = []
    for path in layer.paths:
        rows = np.array([scale if gate == "a" else 1.0 for gate in path.gates], np.float32)
        if path.scale is None:
            path = replace(path, weights=path.weights * rows[:, None, None])
        else:
            path = replace(path, scale=path.scale * rows[:, None])
        paths.append(path)
    return replace(layer, paths=tuple(paths), bias=bias)
