# SPDX-License-Identifier: Apache-2.0
"""Small networks that are cut out of trained ones, for what takes long to simulate."""

from dataclasses import replace

from ...golden.models.float_model import FloatModel


def cut(model: FloatModel, *, units: int, layers: int, outputs: int = 0) -> FloatModel:
    """The first `units` of the first layers of a stack, as they were trained.

    Parameters
    ----------
    layers: that are left, in front of the last one, which is linear.
    outputs: that are left of the last layer; 0: it is left out, too.
    """
    kept, columns = [], model.inputs
    *stack, last = model.layers
    for layer in [*stack[:layers], *([last] if outputs else [])]:
        rows = outputs if layer is last else units
        paths = tuple(
            replace(
                path,
                weights=path.weights[:, :rows, : columns if path.source == "x" else rows],
                scale=None if path.scale is None else path.scale[:, :rows],
            )
            for path in layer.paths
        )
        vectors = {name: vector[:rows] for name, vector in layer.vectors.items()}
        kept.append(replace(layer, paths=paths, bias=layer.bias[:, :rows], vectors=vectors))
        columns = rows
    return replace(model, layers=tuple(kept), labels=())
