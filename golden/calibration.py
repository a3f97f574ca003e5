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

    samples: by source ("x", "h" and, where the cell has it, "rh"), some of its values [n], real.
    x, c, h: largest magnitudes over all frames, real; those of c and h count the pre-activations
        that the cell takes in their format, too.
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
    kept: list[dict[str, list[Reals]]] = [
        {source: [] for source in ("x", "h", "rh") if source != "rh" or layer.cell.middle}
        for layer in model.layers
    ]
    largest = [{"x": 0.0, "c": 0.0, "h": 0.0} for _ in model.layers]

    def see(place: int, trace: Trace) -> None:
        layer = model.layers[place]
        values = {"x": trace.x, "c": trace.c, "h": trace.h}
        if trace.rh is not None:
            values["rh"] = trace.rh
        for name, array in values.items():
            size = reach(layer.name, name, array)
            if name in largest[place]:
                largest[place][name] = max(largest[place][name], size)
            if name in kept[place]:
                kept[place][name] += sample(array)
        for g, (gate, name) in enumerate(layer.cell.formats.items()):
            if name != "gate":
                size = reach(layer.name, f"gate {gate}", trace.p[:, g])
                largest[place][name] = max(largest[place][name], size)

    def reach(layer: str, name: str, values: Reals) -> float:
        if not np.isfinite(values).all():
            raise UserError(
                f"{layer}: the float model's {name} is NaN or infinite; mend the checkpoint"
            )
        return float(np.abs(values).max(initial=0))

    def sample(values: Reals) -> list[Reals]:
        if not values.size:
            return []
        share = SAMPLES / (calibration.frames * values.shape[1])
        chosen = values if share >= 1 else values[rng.random(values.shape) < share]
        return [chosen.reshape(-1), values.reshape(-1)[[np.abs(values).argmax()]]]

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
