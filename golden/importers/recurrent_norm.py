# SPDX-License-Identifier: Apache-2.0
"""SpeechBrain's SLiGRU: a light GRU whose recurrent norm may have no parameters, so no tensors."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..cells import CELLS
from ..cells.norm import epsilons
from ..errors import UserError
from ..models.float_model import FloatLayer
from .modules import Module
from .tensors.norm_layouts import LIGRU_FAMILY

__all__ = ["with_recurrent_norm"]

KINDS = {"ligru": "ligru_norm_h", "ligru_norm": "ligru_norm_xh"}
"""Without the norm, and with it."""
X, H = {"a": "ax", "z": "zx"}, {"a": "ah", "z": "zh"}


def with_recurrent_norm(modules: Sequence[Module]) -> list[Module]:
    """The modules with SpeechBrain's light GRUs normalizing their recurrent product.

    Raises UserError where there is none, or one of another source.
    """
    found = [(m, layer) for m in modules for stage in m.stages for layer in stage.layers]
    light = [(module, layer) for module, layer in found if layer.kind in KINDS]
    if not light:
        raise UserError(
            "recurrent norm: there is no LiGRU layer of SpeechBrain whose tensors lack it; leave "
            "--recurrent-norm out"
        )
    for module, layer in light:
        if module.family != LIGRU_FAMILY:
            raise UserError(
                f"recurrent norm: {layer.name} is a LiGRU of {module.family or 'another source'}, "
                "only SpeechBrain's may have such a norm; leave --recurrent-norm out"
            )
    return [
        replace(module, stages=tuple(stage.change(_normed) for stage in module.stages))
        for module in modules
    ]


def _normed(layer: FloatLayer) -> FloatLayer:
    if layer.kind not in KINDS:
        return layer
    paths, bias, vectors = layer.paths, layer.bias, dict(layer.vectors)
    if layer.kind == "ligru":  # whose products share their gates
        renamed = {"x": X, "h": H}
        paths = tuple(
            replace(path, gates=tuple(renamed[path.source][gate] for gate in path.gates))
            for path in paths
        )
        bias = np.concatenate([bias, np.zeros_like(bias)])
        vectors |= dict.fromkeys(("bias_a", "bias_z"), np.zeros(layer.units, np.float32))
    vectors |= dict.fromkeys(("gain_ah", "gain_zh"), np.ones(layer.units, np.float32))
    kind = KINDS[layer.kind]
    vectors |= epsilons(CELLS[kind], layer.units)
    return replace(layer, kind=kind, paths=paths, bias=bias, vectors=vectors)
