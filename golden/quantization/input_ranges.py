# SPDX-License-Identifier: Apache-2.0
"""A scale per input feature, so that features of unlike range share one int16 format.

Frames have one format and each path one step for all its columns. Where one feature reaches 2 and
another 0.01, the second has hardly a code. So feature j is divided by s_j before it becomes a
word, and column j of every matrix that reads frames is multiplied by it: the function stays.

Frames that are read beside the outputs of a layer that keeps them within +-1 share its format. One
scale for all features brings them there.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel
from .calibration import check_calibration
from .clipping import find_clip, step_size, to_codes
from .exponents import MARGIN

PERCENTILE = 99.9
"""Of a feature's magnitudes, what its scale is. Higher ones lose to single frames; see
docs/quantization.md."""
PEAK = 4.0
"""Times its scale, what a feature reaches at the most: one that is 0 nearly always has a larger
scale than the percentile, or its few values would take the others' bits."""
SPREAD = 8.0
"""Of the scales, largest over smallest: from here on "auto" tries them. Three bits of a code."""
BITS = 8
"""At which "auto" compares."""
FRAMES, SAMPLES = 1 << 10, 1 << 15
"""At most, that it looks at: frames, and values for their clip."""
WITHIN = MARGIN * (1 + 2**-14)
"""Times the largest value, a scale that brings frames into Q0.15."""
LEAST = 2.0**-12
"""Of the largest scale, what another one is at least."""


def balance_inputs(model: FloatModel, calibration: Dataset, rule: str = "auto") -> FloatModel:
    """The same function with a scale per feature in front, from the calibration data.

    rule: "none", "feature", or "auto": where the features' ranges differ by `SPREAD` or more, and
        the products with frames then lose less at 8 bits. A model that has scales already, or that
        adds its frames to an output (an SRU without projection reads them by element, not by
        matrix), or whose frames are tokens, stays as it is.

    Raises UserError for data of another width, and for data without frames.
    """
    check_calibration(calibration, model.inputs, tokens=model.tokens)
    if rule == "none" or model.input_scale is not None or model.tokens or _adds_frames(model):
        return model
    scales = feature_scales(calibration)
    used = scales[scales > 0]
    if not used.size:
        return model
    scales = np.where(scales > 0, scales, used.max())
    wanted = rule == "feature" or used.max() >= SPREAD * used.min()
    frames = np.concatenate(calibration.features, dtype=np.float64)
    if _beside_bounded(model):
        reach = np.abs(frames).max(axis=0) if wanted else np.abs(frames).max()
        scales = np.maximum(reach, LEAST * np.max(reach)) * WITHIN
        return with_input_scale(model, np.broadcast_to(scales, (model.inputs,)))
    if not wanted:
        return model
    places = np.arange(0, len(frames), -(-len(frames) // FRAMES))
    some = frames[np.union1d(places, np.abs(frames).argmax(axis=0))]  # and each one's largest
    if rule == "auto" and loss(model, some, None) <= loss(model, some, scales):
        return model
    return with_input_scale(model, scales)


def loss(model: FloatModel, frames: Reals, scales: Reals | None) -> float:
    """What products with frames [n, inputs] lose with these scales: the sum of squared errors.

    With 8 bits for weights, a step per row, and for activations; the clips are of least error.
    """
    used = np.ones(model.inputs) if scales is None else scales
    x = frames / used
    sent = _rounded(x, float(find_clip(sampled(x), BITS, "mmse")))
    lost = 0.0
    for n, layer in enumerate(model.layers):
        for path in layer.paths:
            for columns in _frame_columns(model, n) if path.source == "x" else ():
                weights = path.weights[..., columns].astype(np.float64)
                if path.scale is not None:
                    weights *= path.scale[..., None]
                weights = weights.reshape(-1, model.inputs) * used
                codes = _rounded(weights, find_clip(weights, BITS, "mmse")[:, None])
                lost += float(np.square(x @ weights.T - sent @ codes.T).sum())
    return lost


def sampled(values: Reals) -> Reals:
    """Some of the values, [n], the largest among them."""
    flat = values.reshape(-1)
    some: Reals = flat[:: -(-flat.size // SAMPLES)]
    return np.append(some, flat[np.abs(flat).argmax()])


def _rounded(values: Reals, clip: float | Reals) -> Reals:
    step = step_size(clip, BITS)
    rounded: Reals = to_codes(values, step, BITS) * step
    return rounded


def _frame_columns(model: FloatModel, n: int) -> Iterator[slice]:
    """The columns of layer n's input that are the frames."""
    start = 0
    for index in graph.inputs_of(model.layers, n):
        frames = index == graph.FRAMES
        width = model.inputs if frames else model.layers[index].units
        if frames:
            yield slice(start, start + width)
        start += width


def _beside_bounded(model: FloatModel) -> bool:
    """Whether frames share the format of a layer that keeps its h within +-1."""
    groups = graph.together(model.layers, model.puts_out)
    return any(
        graph.FRAMES in group
        and any(n != graph.FRAMES and model.layers[n].cell.bounded for n in group)
        for group in groups
    )


def with_input_scale(model: FloatModel, scale: Reals | None) -> FloatModel:
    """The same function with these scales [inputs] in front, unless it has some; None: as it is."""
    if scale is None or model.input_scale is not None:
        return model
    scales = scale.astype(np.float32)
    layers = tuple(_scaled(model, n, scales) for n in range(len(model.layers)))
    return replace(model, layers=layers, input_scale=scales)


def feature_scales(calibration: Dataset) -> Reals:
    """[inputs] the percentile of each feature's magnitudes, or a part of its largest."""
    frames = np.abs(np.concatenate(calibration.features, dtype=np.float64))
    if not len(frames):
        return np.zeros(frames.shape[1])
    reach: Reals = np.maximum(np.percentile(frames, PERCENTILE, axis=0), frames.max(axis=0) / PEAK)
    return reach


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
