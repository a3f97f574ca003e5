# SPDX-License-Identifier: Apache-2.0
"""What the float model does on calibration data: ranges and samples for quantization."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .arithmetic import Reals
from .data import Dataset
from .errors import UserError
from .float_engine import run_float_batch
from .model import FloatModel, Trace

SAMPLES = 1 << 16
"""Values of a source that are kept, of all frames and elements; the largest is always one."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the part of it that is done, 0..1."""


def ignore_progress(what: str, part: float) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """One layer over all calibration frames.

    samples: by source ("x", "h"), some of its values [n], real. Largest magnitudes, real: `x`, `c`
    and `h` over all frames.
    """

    samples: Mapping[str, Reals]
    x: float
    c: float
    h: float


Statistics = tuple[LayerStatistics, ...]


def observe(
    model: FloatModel, calibration: Dataset, progress: Progress = ignore_progress
) -> Statistics:
    """Statistics of each layer over the frames of `calibration`; labels are not needed."""
    calibration.check_width(model.inputs)
    if not calibration.frames:
        raise UserError("calibration data: no frames; give some typical sequences")
    rng = np.random.default_rng(0)
    kept: list[dict[str, list[Reals]]] = [{"x": [], "h": []} for _ in model.layers]
    largest = [{"x": 0.0, "c": 0.0, "h": 0.0} for _ in model.layers]

    def see(place: int, trace: Trace) -> None:
        for name, values in (("x", trace.x), ("c", trace.c), ("h", trace.h)):
            if not np.isfinite(values).all():
                raise UserError(
                    f"{model.layers[place].name}: the float model's {name} is NaN or infinite; "
                    "mend the checkpoint"
                )
            if not values.size:
                continue
            peak = values.flat[np.abs(values).argmax()]
            largest[place][name] = max(largest[place][name], abs(float(peak)))
            if name in kept[place]:
                share = SAMPLES / (calibration.frames * values.shape[1])
                chosen = values if share >= 1 else values[rng.random(values.shape) < share]
                kept[place][name] += [chosen.reshape(-1), np.array([peak])]

    done = 0
    for places in calibration.chunks():
        chunk = calibration.subset(places)
        run_float_batch(model, chunk.features, observe=see)
        done += chunk.frames
        progress("float model on calibration data", done / calibration.frames)
    return tuple(
        LayerStatistics({name: np.concatenate(parts) for name, parts in samples.items()}, **sizes)
        for samples, sizes in zip(kept, largest, strict=True)
    )
