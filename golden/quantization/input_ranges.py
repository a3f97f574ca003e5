# SPDX-License-Identifier: Apache-2.0
"""A scale per input feature, so that features of unlike range share one int16 format.

Frames have one format and each path one step for all its columns. Where one feature reaches 2 and
another 0.01, the second has hardly a code. So feature j is divided by s_j before it becomes a
word, and column j of every matrix that reads frames is multiplied by it: the function stays.
"""

from dataclasses import replace

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel

PERCENTILE = 99.9
"""Of a feature's magnitudes, what its scale is. Higher ones lose to single frames; see
docs/quantization.md."""
SPREAD = 8.0
"""Of the scales, largest over smallest: from here on "auto" takes them. Three bits of a code."""


def balance_inputs(model: FloatModel, calibration: Dataset, rule: str = "auto") -> FloatModel:
    """The same function with a scale per feature in front, from the calibration data.

    rule: "none", "feature", or "auto": where the features' ranges differ by `SPREAD` or more. A
    model that has scales already, or that adds its frames to an output (an SRU without projection
    reads them by element, not by matrix), stays as it is.
    """
    calibration.check_width(model.inputs)
    if rule == "none" or model.input_scale is not None or _adds_frames(model):
        return model
    scales = feature_scales(calibration)
    used = scales[scales > 0]
    if not used.size or (rule == "auto" and used.max() < SPREAD * used.min()):
        return model
    return with_input_scale(model, np.where(scales > 0, scales, used.max()))


def with_input_scale(model: FloatModel, scale: Reals | None) -> FloatModel:
    """The same function with these scales [inputs] in front, unless it has some; None: as it is."""
    if scale is None or model.input_scale is not None:
        return model
    scales = scale.astype(np.float32)
    layers = tuple(_scaled(model, n, scales) for n in range(len(model.layers)))
    return replace(model, layers=layers, input_scale=scales)


def feature_scales(calibration: Dataset) -> Reals:
    """[inputs] the percentile of each feature's magnitudes; its largest where that is 0."""
    frames = np.abs(np.concatenate(calibration.features, dtype=np.float64))
    if not len(frames):
        return np.zeros(frames.shape[1])
    reach: Reals = np.percentile(frames, PERCENTILE, axis=0)
    return np.where(reach > 0, reach, frames.max(axis=0))


def _adds_frames(model: FloatModel) -> bool:
    return any(
        layer.cell.reads_input and graph.FRAMES in graph.inputs_of(model.layers, n)
        for n, layer in enumerate(model.layers)
    )


def _scaled(model: FloatModel, n: int, scales: np.ndarray) -> FloatLayer:
    """Layer n with the columns that read frames multiplied by the scales."""
    layer, columns = model.layers[n], []
    for index in graph.inputs_of(model.layers, n):
        frames = index == graph.FRAMES
        columns.append(scales if frames else np.ones(model.layers[index].units, np.float32))
    factors = np.concatenate(columns)
    paths = tuple(
        replace(path, weights=path.weights * factors) if path.source == "x" else path
        for path in layer.paths
    )
    return replace(layer, paths=paths)
