# SPDX-License-Identifier: Apache-2.0
"""What a network costs and how well it does: error, eliminated operations, size, ideal cycles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .arithmetic import Ints
from .calibration import Progress, ignore_progress
from .data import IGNORED, Dataset
from .delta import EXACT
from .engine import Result, quantize_frames, real_outputs, run
from .errors import UserError
from .float_engine import run_float_batch
from .model import FloatModel
from .network import Network, Path

WORD_BITS = 256
"""Width of a weight word where none is given."""
VECTOR_BITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A network on a data set.

    scored: frames that the errors are over, those with a label or a target; steps: all frames.
    task: of the data set; float_error, quantized_error, delta_error: see `error`; of the float
        model, of the network without thresholds, and with them. None without a model or labels.
    eliminated_operations, eliminated_by_path: percent of the multiply-accumulates of dense steps
        that delta steps leave out; eliminated_lossless: the same with all thresholds at 0.
    events_per_step: by path, fired deltas in an average step. thresholds: by path, in codes.
    size_bits: see `size_bits`. Cycles: of an average step with words of `word_bits`, see
        `ideal_cycles`.
    """

    sequences: int
    steps: int
    scored: int
    task: str
    float_error: float | None
    quantized_error: float | None
    delta_error: float | None
    thresholds: Mapping[str, int]
    eliminated_operations: float
    eliminated_by_path: Mapping[str, float]
    eliminated_lossless: float
    events_per_step: Mapping[str, float]
    size_bits: int
    word_bits: int
    ideal_cycles_per_step_dense: float
    ideal_cycles_per_step_delta: float


def evaluate(
    network: Network,
    dataset: Dataset,
    model: FloatModel | None = None,
    word_bits: int = WORD_BITS,
    progress: Progress = ignore_progress,
) -> Evaluation:
    """Run `network` dense and with its thresholds, and `model` where given, over `dataset`."""
    check_word_bits(network, word_bits)
    if model is not None and (model.inputs, model.outputs) != (network.inputs, network.outputs):
        raise UserError(
            f"model: {model.inputs} inputs and {model.outputs} outputs, the network has "
            f"{network.inputs} and {network.outputs}; give the model it was quantized from"
        )
    float_error = None
    if model is not None and dataset.scored:
        float_error = error(dataset, run_float_dataset(model, dataset, progress))
    dense = run_dataset(network, dataset, delta=False, progress=progress)
    thresholds = {name: path.threshold for name, path in network.paths()}
    # Exact deltas with threshold 0 are dense, bit for bit: such a network needs one run.
    same = network.delta_mode == EXACT and not any(thresholds.values())
    delta = dense if same else run_dataset(network, dataset, progress=progress)
    return Evaluation(
        sequences=len(dataset),
        steps=dataset.frames,
        scored=dataset.scored,
        task=dataset.task,
        float_error=float_error,
        quantized_error=error(dataset, dense.real(network)) if dataset.scored else None,
        delta_error=error(dataset, delta.real(network)) if dataset.scored else None,
        thresholds=thresholds,
        eliminated_operations=eliminated(network, delta.events, dataset.frames),
        eliminated_by_path={
            name: eliminated_in_path(path, delta.events[name], dataset.frames)
            for name, path in network.paths()
        },
        eliminated_lossless=eliminated(network, dense.events, dataset.frames),
        events_per_step={name: count / dataset.frames for name, count in delta.events.items()},
        size_bits=size_bits(network),
        word_bits=word_bits,
        ideal_cycles_per_step_dense=ideal_cycles(network, word_bits),
        ideal_cycles_per_step_delta=ideal_cycles(network, word_bits, delta.events, dataset.frames),
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """A network over a data set: outputs [steps, outputs] per sequence, events by path in all."""

    outputs: list[Ints]
    events: dict[str, int]

    def real(self, network: Network) -> list[np.ndarray]:
        """The outputs as real values."""
        return [real_outputs(network, y) for y in self.outputs]


def run_dataset(
    network: Network,
    dataset: Dataset,
    *,
    delta: bool = True,
    progress: Progress = ignore_progress,
) -> Totals:
    """The golden model over all sequences, some at a time."""
    dataset.check_width(network.inputs)
    dataset.check_labels(network.labels)
    if not dataset.frames:
        raise UserError("data set: no frames; give at least one")
    what = "golden model with thresholds" if delta else "golden model, dense"
    results: dict[int, Result] = {}
    done = 0
    for places in dataset.chunks():
        words = [quantize_frames(network, dataset.features[n]) for n in places]
        results.update(zip(places, run(network, words, delta=delta), strict=True))
        done += sum(len(w) for w in words)
        progress(what, done / dataset.frames)
    events = {
        name: sum(int(r.events[name].sum()) for r in results.values())
        for name, _ in network.paths()
    }
    return Totals([results[n].outputs for n in range(len(dataset))], events)


def run_float_dataset(
    model: FloatModel, dataset: Dataset, progress: Progress = ignore_progress
) -> list[np.ndarray]:
    """The float model's outputs [steps, outputs] for all sequences."""
    dataset.check_width(model.inputs)
    outputs: dict[int, np.ndarray] = {}
    done = 0
    for places in dataset.chunks():
        chunk = dataset.subset(places)
        outputs.update(zip(places, run_float_batch(model, chunk.features), strict=True))
        done += chunk.frames
        progress("float model", done / max(dataset.frames, 1))
    return [outputs[n] for n in range(len(dataset))]


def error(dataset: Dataset, outputs: Sequence[np.ndarray]) -> float:
    """How far real outputs [steps, outputs] of each sequence are from what the data set says.

    Classification: percent of the scored frames whose largest output is not the label; equal
    outputs count as the first. Regression: the normalized mean squared error, in dB, of all frames
    and outputs t of the targets: 10 log10(sum (y - t)**2 / sum t**2); -inf where y = t.
    Raises UserError where no frame has a label or a target.
    """
    if not dataset.scored:
        what = "targets" if dataset.task == "regression" else "labels"
        raise UserError(f"{what}: no frame is scored; an error needs labelled data")
    if outputs:
        dataset.check_outputs(outputs[0].shape[1])
    if dataset.targets is not None:
        return _nmse(dataset.targets, outputs)
    wrong = 0
    for y, out in zip(dataset.labels or (), outputs, strict=True):
        scored = y != IGNORED
        wrong += int((out[scored].argmax(axis=1) != y[scored]).sum())
    return 100 * wrong / dataset.scored


def _nmse(targets: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    noise = sum(float(np.square(y - t).sum()) for t, y in zip(targets, outputs, strict=True))
    power = sum(float(np.square(t.astype(np.float64)).sum()) for t in targets)
    if not power:
        raise UserError("targets: all are 0, so there is no NMSE; give other data")
    return 10 * math.log10(noise / power) if noise else -math.inf


def eliminated(network: Network, events: Mapping[str, int], steps: int) -> float:
    """Percent of all multiply-accumulates of `steps` dense steps that these events leave out.

    100 * (1 - sum(events * rows) / sum(steps * columns * rows)) over paths, as measured; the first
    step of a sequence counts too.
    """
    done = sum(events[name] * path.rows for name, path in network.paths())
    return 100 * (1 - done / (steps * network.macs))


def eliminated_in_path(path: Path, events: int, steps: int) -> float:
    """The same for one path."""
    return 100 * (1 - events / (steps * path.columns))


def size_bits(network: Network) -> int:
    """Bits of the parameters: weights at their bits, 16 for each bias, element of a cell's vectors
    and rescale multiplier.

    A multiplier that all units of a gate share (per-tensor scales) counts once.
    """
    vectors = 0
    for layer in network.layers:
        vectors += layer.bias.size + sum(vector.size for vector in layer.vectors.values())
        vectors += layer.cell.reads_input
        for path in layer.paths:
            vectors += sum(1 if (gate == gate[:1]).all() else gate.size for gate in path.mult)
    return network.weight_bits + VECTOR_BITS * vectors


def ideal_cycles(
    network: Network,
    word_bits: int,
    events: Mapping[str, int] | None = None,
    steps: int = 1,
) -> float:
    """Cycles of an average step if the weight port never waits: one word of rows a cycle.

    The sum over paths of columns (dense) or events per step * ceil(rows * weight_bits / word_bits).
    """
    return sum(
        (path.columns if events is None else events[name] / steps)
        * -(-path.rows * path.weight_bits // word_bits)
        for name, path in network.paths()
    )


def check_word_bits(network: Network, word_bits: int) -> None:
    """Raise UserError unless a word holds a whole number of any path's weights."""
    widest = max(path.weight_bits for _, path in network.paths())
    if word_bits < widest or word_bits % widest:
        raise UserError(
            f"word bits: {word_bits} is not possible, it must be a multiple of {widest}, "
            "the widest weights of the network"
        )
