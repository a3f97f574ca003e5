# SPDX-License-Identifier: Apache-2.0
"""What a network costs and how well it does: error, eliminated operations, size, ideal cycles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import Ints
from ..data import Dataset
from ..engines.engine import DENSE
from ..errors import UserError
from ..integer_lstm.network import IntegerNetwork
from ..models import graph
from ..models.network import path_name
from ..quantization.calibration import Progress, ignore_progress
from .fidelity import Fidelity, compare
from .metrics import Metric, metric_of
from .networks import (
    AnyFloat,
    AnyNetwork,
    AnyPath,
    Outcome,
    real_outputs,
    run_floats,
    run_settings,
)
from .operations import DENSE_STEPS, eliminated, eliminated_as_published, eliminated_in_path
from .pairs import check_pair
from .result import Errors, Evaluation

WORD_BITS = 256
"""Width of a weight word where none is given."""
VECTOR_BITS = 16


def evaluate(
    network: AnyNetwork,
    dataset: Dataset,
    model: AnyFloat | None = None,
    word_bits: int = WORD_BITS,
    progress: Progress = ignore_progress,
    metrics: Sequence[Metric] = (),
) -> Evaluation:
    """Run `network` dense and with its thresholds, and `model` where given, over `dataset`.

    Parameters
    ----------
    network: what is evaluated.
    dataset: sequences; without labels or targets there are no errors.
    model: the float model that the network was quantized from; None: no float errors, and no
        `fidelity`.
    word_bits: bits of a weight word, for the ideal cycles.
    progress: called with what is being done and the part that is done, 0..1.
    metrics: what the errors are; without any, the metric of the data set's task.

    Raises UserError where data, model or word bits do not fit the network.
    """
    check_word_bits(network, word_bits)
    if model is not None:
        check_pair(network, model)
    metrics = metrics or (metric_of(dataset),)
    exact = None
    if model is not None:
        exact = run_float_dataset(model, dataset, progress)
    dense, delta = run_dataset_settings(network, dataset, [DENSE, {}], progress)
    errors = {
        metric.name: Errors(
            metric.title,
            metric.unit,
            metric(dataset, exact) if exact and dataset.scored else None,
            metric(dataset, dense.real(network)) if dataset.scored else None,
            metric(dataset, delta.real(network)) if dataset.scored else None,
        )
        for metric in metrics
    }
    first = errors[metrics[0].name]
    close: dict[str, Fidelity] = {}
    if exact is not None:
        for name, totals in (("quantized", dense), ("delta", delta)):
            found = totals.real(network)
            close[name] = compare(dataset, exact, found, network.labels)
    left_out = eliminated(network, delta.events, dataset.frames)
    return Evaluation(
        sequences=len(dataset),
        steps=dataset.frames,
        scored=dataset.scored,
        task=dataset.task,
        metric=metrics[0].name,
        float_error=first.float_error,
        quantized_error=first.quantized_error,
        delta_error=first.delta_error,
        errors=errors,
        fidelity=close,
        thresholds={name: path.threshold for name, path in network.paths()},
        operations_per_step_dense=network.macs,
        operations_per_step_delta=network.macs * (1 - left_out / 100),
        eliminated_operations=left_out,
        eliminated_by_path={
            name: eliminated_in_path(path, delta.events[name], dataset.frames)
            for name, path in network.paths()
        },
        eliminated_lossless=eliminated(network, dense.events, dataset.frames),
        eliminated_as_published=delta.eliminated_as_published(network, dataset),
        eliminated_lossless_as_published=dense.eliminated_as_published(network, dataset),
        events_per_step={name: count / dataset.frames for name, count in delta.events.items()},
        size_bits=size_bits(network),
        token_bits=token_bits(network),
        word_bits=word_bits,
        ideal_cycles_per_step_dense=ideal_cycles(network, word_bits),
        ideal_cycles_per_step_delta=ideal_cycles(network, word_bits, delta.events, dataset.frames),
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """A network over a data set.

    Members
    -------
    outputs: [steps, outputs] per sequence.
    events: by path, of all sequences.
    first_events: those in the first two steps of each.
    """

    outputs: list[Ints]
    events: dict[str, int]
    first_events: dict[str, int]

    def real(self, network: AnyNetwork) -> list[np.ndarray]:
        """The outputs as real values."""
        return [real_outputs(network, y) for y in self.outputs]

    def eliminated_as_published(self, network: AnyNetwork, dataset: Dataset) -> float:
        """See `operations.eliminated_as_published`."""
        first = sum(min(len(x), DENSE_STEPS) for x in dataset.features)
        return eliminated_as_published(
            network, self.events, self.first_events, dataset.frames, first
        )


def run_dataset(
    network: AnyNetwork,
    dataset: Dataset,
    *,
    delta: bool = True,
    progress: Progress = ignore_progress,
) -> Totals:
    """The golden model over all sequences, some at a time.

    Parameters
    ----------
    network, dataset: what runs, over what.
    delta: False ignores the thresholds and the delta mode.
    progress: called with what is being done and the part that is done, 0..1.

    Raises UserError where the data does not fit the network or has no frame.
    """
    (totals,) = run_dataset_settings(network, dataset, [{} if delta else DENSE], progress)
    return totals


def run_dataset_settings(
    network: AnyNetwork,
    dataset: Dataset,
    settings: Sequence[Mapping[str, int] | None],
    progress: Progress = ignore_progress,
) -> list[Totals]:
    """The same for each of these settings, see `engine.run_settings`."""
    dataset.check_width(network.inputs, tokens=network.tokens)
    dataset.check_labels(network.labels)
    if not dataset.frames:
        raise UserError("data set: no frames; give at least one")
    results: list[dict[int, Outcome]] = [{} for _ in settings]
    done = 0
    for places in dataset.chunks():
        chunk = dataset.subset(places)
        for own, found in zip(results, run_settings(network, chunk, settings), strict=True):
            own.update(zip(places, found, strict=True))
            done += chunk.frames
            progress("golden model", done / (dataset.frames * len(settings)))
    return [_totals(network, [own[n] for n in range(len(dataset))]) for own in results]


def _totals(network: AnyNetwork, results: Sequence[Outcome]) -> Totals:
    first = {name: slice(DENSE_STEPS) for name, _ in network.paths()}
    if not isinstance(network, IntegerNetwork):
        first |= {
            path_name(layer, n): slice(-DENSE_STEPS, None)
            for layer in network.layers
            for n in range(len(layer.paths))
            if layer.backward
        }
    return Totals(
        outputs=[r.outputs for r in results],
        events={name: sum(int(r.events[name].sum()) for r in results) for name in first},
        first_events={
            name: sum(int(r.events[name][steps].sum()) for r in results)
            for name, steps in first.items()
        },
    )


def run_float_dataset(
    model: AnyFloat, dataset: Dataset, progress: Progress = ignore_progress
) -> list[np.ndarray]:
    """The float model's outputs [steps, outputs] for all sequences."""
    dataset.check_width(model.inputs, tokens=model.tokens)
    outputs: dict[int, np.ndarray] = {}
    done = 0
    for places in dataset.chunks():
        chunk = dataset.subset(places)
        outputs.update(zip(places, run_floats(model, chunk), strict=True))
        done += chunk.frames
        progress("float model", done / max(dataset.frames, 1))
    return [outputs[n] for n in range(len(dataset))]


def fidelity(
    network: AnyNetwork,
    dataset: Dataset,
    model: AnyFloat,
    *,
    delta: bool = True,
    progress: Progress = ignore_progress,
) -> Fidelity:
    """The network's outputs against those of the float model that it was quantized from.

    Parameters
    ----------
    network, model, dataset: what is compared, with what, over what; labels are not needed.
    delta: False ignores the thresholds and the delta mode.
    progress: called with what is being done and the part that is done, 0..1.

    Raises UserError where the data does not fit, has no frame, or the two are no pair.
    """
    check_pair(network, model)
    wanted = run_float_dataset(model, dataset, progress)
    found = run_dataset(network, dataset, delta=delta, progress=progress).real(network)
    return compare(dataset, wanted, found, network.labels)


def with_float_targets(
    model: AnyFloat, dataset: Dataset, progress: Progress = ignore_progress
) -> Dataset:
    """The data as a regression whose targets are the float model's outputs.

    What searches by an error can so search without labels: by the data's metric, NMSE, which is
    then `Fidelity.nmse`.
    """
    outputs = run_float_dataset(model, dataset, progress)
    return replace(
        dataset,
        labels=None,
        offset=None,
        task="regression",
        targets=tuple(y.astype(np.float32) for y in outputs),
    )


def scored_data(network: AnyNetwork, dataset: Dataset, model: AnyFloat | None) -> Dataset:
    """The data itself where it is scored or there is no model, else `with_float_targets` of it.

    Raises UserError where the model and the network are no pair.
    """
    if model is not None:
        check_pair(network, model)
    return dataset if dataset.scored or model is None else with_float_targets(model, dataset)


def error(dataset: Dataset, outputs: Sequence[np.ndarray]) -> float:
    """The error of real outputs [steps, outputs] of each sequence, by the metric of the task.

    Raises UserError where no frame has a label or a target.
    """
    return metric_of(dataset)(dataset, outputs)


def size_bits(network: AnyNetwork) -> int:
    """Bits of the parameters: weights at their bits, 16 for each bias, rescale multiplier, element
    of a cell's vectors and of an initial state.

    A multiplier that all units of a gate share (per-tensor scales) counts once, and so do the
    parameters of layers that share them (both directions of a bidirectional layer), but for their
    initial states, which are their own. Those of an integer-only LSTM count as in LiteRT's file.
    """
    if isinstance(network, IntegerNetwork):
        return network.size_bits
    vectors = 0
    for at, layer in enumerate(network.layers):
        vectors += sum(state.size for state in layer.initial.values())
        if graph.shared_with(network.layers, at) is not None:
            continue
        vectors += layer.bias.size + sum(vector.size for vector in layer.vectors.values())
        vectors += layer.cell.reads_input
        for path in layer.paths:
            vectors += sum(1 if (gate == gate[:1]).all() else gate.size for gate in path.mult)
    return network.weight_bits + VECTOR_BITS * vectors


def token_bits(network: AnyNetwork) -> int:
    """Bits of the columns that tokens choose from, of an embedding folded into weights."""
    if isinstance(network, IntegerNetwork):
        return 0
    return sum(
        path.weights.size * path.weight_bits
        for n, layer in enumerate(network.layers)
        if graph.shared_with(network.layers, n) is None
        for path in layer.paths
        if path.tokens
    )


def ideal_cycles(
    network: AnyNetwork,
    word_bits: int,
    events: Mapping[str, int] | None = None,
    steps: int = 1,
) -> float:
    """Cycles of an average step if the weight port never waits: one word of rows a cycle.

    The sum over paths of columns (dense) or events per step * ceil(rows * lane_bits / word_bits).

    Parameters
    ----------
    network: whose paths these are.
    word_bits: bits of a weight word.
    events: by path name, of `steps` steps; None: every element of every step.
    steps: how many steps the events are of.
    """
    return sum(
        (path.most_events if events is None else events[name] / steps)
        * -(-path.rows * lane_bits(path) // word_bits)
        for name, path in network.paths()
    )


def lane_bits(path: AnyPath) -> int:
    """What a weight takes in a word: its bits, or the next power of two."""
    return 1 << (path.weight_bits - 1).bit_length()


def check_word_bits(network: AnyNetwork, word_bits: int) -> None:
    """Raise UserError unless a word holds a whole number of any path's weights."""
    widest = max(lane_bits(path) for _, path in network.paths())
    if word_bits < widest or word_bits % widest:
        raise UserError(
            f"word bits: {word_bits} is not possible, it must be a multiple of {widest}, "
            "the widest weights of the network"
        )
