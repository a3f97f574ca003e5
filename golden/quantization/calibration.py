# SPDX-License-Identifier: Apache-2.0
"""What the float model does on calibration data: ranges and samples for quantization."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import Reals
from ..data import Dataset
from ..engines.float_engine import run_float_batch
from ..engines.packed import Packing
from ..errors import UserError
from ..models import graph
from ..models.float_model import FloatModel, Floats, Trace
from ..models.states import first_reals, state_parts
from .cell_formats import c_errors, needs_choice

SAMPLES = 1 << 16
"""Values of a source that are kept, of all frames and elements; each sequence's largest is one."""
FRAMES = 1 << 13
"""Whole frames of a source that are kept."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the part of it that is done, 0..1."""


def ignore_progress(what: str, part: float) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """One layer over all calibration frames; layers that share weights, one after the other.

    samples: by source ("x", "h" and, where the cell has it, "rh"), some of its values [n], real; of
        tokens the value 1, of the element that is on.
    x, c, h: largest magnitudes over all frames, real; those of c and h count the pre-activations
        and candidates that the cell takes in their format, too; c of a cell without one, its wide
        pre-activations.
    sequences: by source, the samples sequence by sequence.
    frames: by source, some of its frames [n, columns], real; tokens [n, 1].
    c_errors: by exponent, what e_c costs in h, see `cell_formats`; empty where the format
        that covers c is the one to take.
    """

    samples: Mapping[str, Reals]
    x: float
    c: float
    h: float
    sequences: Mapping[str, Sequence[Reals]] = field(default_factory=dict)
    frames: Mapping[str, Floats] = field(default_factory=dict)
    c_errors: Mapping[int, float] = field(default_factory=dict)


Statistics = tuple[LayerStatistics, ...]


def check_calibration(data: Dataset, inputs: int, *, tokens: bool = False) -> None:
    """Raise UserError for frames that a model of `inputs` does not take, and where there are none.

    tokens: whether the model's frames are indices.
    """
    data.check_width(inputs, tokens=tokens)
    if not data.frames:
        raise UserError("calibration data: no frames; give some typical sequences")


def observe(
    model: FloatModel, calibration: Dataset, progress: Progress = ignore_progress
) -> Statistics:
    """Statistics of each layer over the frames of `calibration`; labels are not needed."""
    check_calibration(calibration, model.inputs, tokens=model.tokens)
    rng = np.random.default_rng(0)
    sources = [("x", "h", "rh") if layer.cell.middle else ("x", "h") for layer in model.layers]
    kept: list[dict[str, list[Reals]]] = [{name: [] for name in names} for names in sources]
    frames: list[dict[str, list[Floats]]] = [{name: [] for name in names} for names in sources]
    largest = [{"x": 0.0, "c": 0.0, "h": 0.0} for _ in model.layers]

    def see(place: int, trace: Trace) -> None:
        layer = model.layers[place]
        values = {"x": trace.x, "c": trace.c, "h": trace.h}
        if trace.rh is not None:
            values["rh"] = trace.rh
        for name, array in values.items():
            size = reach(layer.name, name, array)
            if name in kept[place]:
                frames[place][name].append(sample_frames(array))
            if name == "x" and layer.tokens:
                kept[place][name] = [np.ones(1)]
                continue
            if name in largest[place]:
                largest[place][name] = max(largest[place][name], size)
            if name in kept[place]:
                kept[place][name] += map(sample, packing.unpack(array))
        for g, (gate, name) in enumerate(layer.cell.formats.items()):
            if name != "gate":
                size = reach(layer.name, f"gate {gate}", trace.p[:, g])
                name = "c" if name == "wide" else name
                largest[place][name] = max(largest[place][name], size)
        named = {gate: trace.p[:, g] for g, gate in enumerate(layer.cell.gates)}
        name = "c" if layer.cell.has_c else "h"
        for candidate in layer.cell.float_candidates(named, layer.vectors):
            size = reach(layer.name, "candidate", candidate)
            largest[place][name] = max(largest[place][name], size)

    def reach(layer: str, name: str, values: Reals | Floats) -> float:
        if not np.isfinite(values).all():
            raise UserError(
                f"{layer}: the float model's {name} is NaN or infinite; mend the checkpoint"
            )
        return float(np.abs(values).max(initial=0))

    def sample(values: Reals) -> Reals:
        share = SAMPLES / (calibration.frames * values.shape[1])
        flat = values.reshape(-1)
        if share >= 1 or not flat.size:
            return flat
        chosen = rng.random(flat.shape) < share
        chosen[np.abs(flat).argmax()] = True
        result: Reals = flat[chosen]
        return result

    def sample_frames(values: Reals) -> Floats:
        share = FRAMES / calibration.frames
        chosen = values if share >= 1 else values[rng.random(len(values)) < share]
        return chosen.astype(np.float32)

    for layer, sizes in zip(model.layers, largest, strict=True):
        for name, state in layer.initial.items():
            sizes[name] = reach(layer.name, f"initial {name}", state)
    for name, (n, part) in state_parts(model.layers).items():
        if name in calibration.states:
            values = calibration.states[name]
            largest[n][part] = max(largest[n][part], reach(name, "first state", values))
    done = 0
    for places in calibration.chunks():
        chunk = calibration.subset(places)
        packing = Packing.of([len(x) for x in chunk.features])
        first = first_reals(model, chunk.states, len(chunk))
        run_float_batch(model, chunk.features, observe=see, first=first)
        done += chunk.frames
        progress("float model on calibration data", done / calibration.frames)
    reached = {n: sizes["c"] for n, sizes in enumerate(largest)}
    chosen = {n: c for n, c in reached.items() if needs_choice(model.layers[n], c)}
    errors = c_errors(model, calibration, chosen) if chosen else {}
    by_layer = []
    for n, sizes in enumerate(largest):
        names = dict.fromkeys(kept[n], n) | {"h": graph.h_source(model.layers, n)}
        by_layer.append(
            LayerStatistics(
                {name: np.concatenate(kept[at][name]) for name, at in names.items()},
                **sizes,
                sequences={name: tuple(kept[at][name]) for name, at in names.items()},
                frames={name: np.concatenate(frames[at][name]) for name, at in names.items()},
                c_errors=errors.get(n, {}),
            )
        )
    return tuple(_of_shared(model, by_layer))


def _of_shared(model: FloatModel, own: Sequence[LayerStatistics]) -> Iterator[LayerStatistics]:
    """Statistics in which layers that share weights count as one, so that they share scales."""
    first = [graph.shared_with(model.layers, n) for n in range(len(own))]
    roots = [n if m is None else m for n, m in enumerate(first)]
    for root in roots:
        same = [seen for seen, other in zip(own, roots, strict=True) if other == root]
        names = [*same[0].samples]
        yield LayerStatistics(
            {name: np.concatenate([seen.samples[name] for seen in same]) for name in names},
            max(seen.x for seen in same),
            max(seen.c for seen in same),
            max(seen.h for seen in same),
            {name: tuple(part for seen in same for part in seen.sequences[name]) for name in names},
            {name: np.concatenate([seen.frames[name] for seen in same]) for name in names},
            _added([seen.c_errors for seen in same if seen.c_errors]),
        )


def _added(errors: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {e: sum(each[e] for each in errors) for e in (errors[0] if errors else ())}
