# SPDX-License-Identifier: Apache-2.0
"""Integer-only LSTMs: error against the float network by variant, equality with LiteRT, speed."""

import importlib
import os
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from unittest import mock

import numpy as np
from figures import Figure
from speech import DATA

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import evaluate
from deltaloom.golden.evaluation.sweep import of_network, of_widths, sweep_networks
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.importers.tflite.runtime import outputs_of
from deltaloom.golden.integer_lstm import lstm
from deltaloom.golden.integer_lstm.arithmetic import clamp16, divide, rescale, wrap32
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.export import to_tflite
from deltaloom.golden.integer_lstm.float_engine import run_float
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, from_model
from deltaloom.golden.integer_lstm.layer_norm import inverse_root
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.quantization.calibration import observe

COMMAND = "make bench ARGS=integer-lstm"
SIZES, PROJECTED = (40, 128), 64
SEEDS, SEQUENCES, STEPS = 6, 4, 100
ALLOWED = 0.5
"""Points of frame error that tuned thresholds may cost."""
THRESHOLDS = (0, 4, 8, 12, 16, 24)
LITERT = find_spec("ai_edge_litert") is not None


def figures() -> Iterator[Figure]:
    """By variant, then the shipped speech LSTM; what needs ai-edge-litert only where it is."""
    for variant in VARIANTS:
        yield from _of_variant(variant)
    with mock.patch.object(lstm, "normalized", without_resolution):
        usual, _, _ = _errors("norm")
    yield _error("norm, without the factor 2^10", usual)
    yield from _of_speech()


def _of_variant(variant: str) -> Iterator[Figure]:
    usual, corrected, wrong = _errors(variant)
    yield _error(variant, usual)
    if corrected != usual:
        yield _error(f"{variant}, corrected", corrected)
    if wrong is not None:
        yield Figure(
            name=f"integer LSTM, {variant}: words that differ from LiteRT",
            value=wrong[0],
            unit="",
            reference=wrong[1],
            reference_is="words",
            target=0,
            at_most=True,
            command=COMMAND,
        )


def _error(name: str, value: float) -> Figure:
    return Figure(
        name=f"integer LSTM, {name}: error over the outputs' deviation",
        value=round(100 * value, 2),
        unit="%",
        command=COMMAND,
    )


def _errors(variant: str) -> tuple[float, float, tuple[int, int] | None]:
    """The root of the mean squared error over the outputs' deviation, as in LiteRT and corrected;
    and words that differ from LiteRT's, of how many.
    """
    found: dict[bool, list[float]] = {False: [], True: []}
    wrong = words = 0
    for seed in range(SEEDS):
        floats = make_lstm_network(variant, SIZES, projected=PROJECTED, seed=seed)
        data = make_frames(SIZES[0], [STEPS] * 8, seed=seed)
        frames = make_frames(SIZES[0], [STEPS] * SEQUENCES, seed=seed + 100)
        exact = np.array(run_float(floats, frames))
        for corrected, errors in found.items():
            network = quantize(floats, Dataset(tuple(data)), corrected=corrected)
            codes = [network.x.codes(x) for x in frames]
            own = run(network, codes).outputs
            errors.append(float(np.sqrt(np.mean((network.y.real(np.array(own)) - exact) ** 2))))
            errors[-1] /= float(exact.std())
            if LITERT and not corrected and lstm.normalized is not without_resolution:
                theirs, _ = litert_outputs(network, codes)
                wrong += sum(int((a != b).sum()) for a, b in zip(own, theirs, strict=True))
                words += sum(a.size for a in own)
    usual, corrected_error = (float(np.mean(found[c])) for c in (False, True))
    return usual, corrected_error, (wrong, words) if words else None


def litert_outputs(
    network: IntegerNetwork, sequences: Sequence[Ints]
) -> tuple[list[np.ndarray], float]:
    """LiteRT's outputs on one thread, and the seconds that it took without the first loading."""
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
        model_content=to_tflite(network), num_threads=1
    )
    start = time.process_time()
    found = [outputs_of(interpreter, x.astype(np.int8)[None, None])[0, 0] for x in sequences]
    return found, time.process_time() - start


def _of_speech() -> Iterator[Figure]:
    model = import_checkpoint(DATA / "lstm.safetensors")
    floats: FloatNetwork = from_model(model)
    network = quantize(floats, Dataset.load(DATA / "calibration.npz"))
    data = Dataset.load(DATA / "test.npz")
    found = evaluate(network, data, model)
    name = "integer LSTM, speech"
    yield Figure(
        name=f"{name}: frame error",
        value=round(found.quantized_error or 0, 2),
        unit="%",
        reference=round(found.float_error or 0, 2),
        reference_is="% float",
        command=COMMAND,
    )
    yield from _tuned(name, network, data)
    yield from _beside_ours(name, network, model, data)
    codes = [network.x.codes(x) for x in data.features]
    start = time.process_time()
    own = run(network, codes).outputs
    seconds = time.process_time() - start
    theirs, reference = litert_outputs(network, codes) if LITERT else (own, None)
    yield Figure(
        name=f"{name}: frames per second of golden",
        value=round(data.frames / seconds),
        unit="",
        reference=None if reference is None else round(data.frames / reference),
        reference_is="LiteRT's",
        command=COMMAND,
    )
    yield Figure(
        name=f"{name}: words that differ from LiteRT",
        value=sum(int((a != b).sum()) for a, b in zip(own, theirs, strict=True)),
        unit="",
        reference=sum(a.size for a in own),
        reference_is="words" if LITERT else "words, not compared",
        target=0,
        at_most=True,
        command=COMMAND,
    )


def _tuned(name: str, network: IntegerNetwork, data: Dataset) -> Iterator[Figure]:
    """With the thresholds of `deltaloom tune --allowed 0.5`."""
    tuning = Dataset.load(DATA / "tuning.npz")
    with Trials(network, tuning, workers=os.cpu_count() or 1) as trials:
        tuned = tune(trials, allowed=ALLOWED).network
    found = evaluate(tuned, data)
    chosen = ", ".join(str(path.threshold) for _, path in tuned.paths())
    yield Figure(
        name=f"{name}: frame error with tuned thresholds",
        value=round(found.delta_error or 0, 2),
        unit="%",
        reference=round(found.eliminated_operations, 1),
        reference_is=f"% of the operations eliminated, thresholds {chosen}",
        command=COMMAND,
    )


def _beside_ours(
    name: str, network: IntegerNetwork, model: FloatModel, data: Dataset
) -> Iterator[Figure]:
    """One threshold for all paths, in our own arithmetic at 8 bits and integer-only."""
    statistics = observe(model, Dataset.load(DATA / "calibration.npz"))
    candidates = [
        of_network("integer-only", network),
        *of_widths(model, statistics, [8], [8]),
    ]
    for point in sweep_networks(candidates, data, thresholds=THRESHOLDS).points:
        yield Figure(
            name=f"{name}, threshold {point.threshold}, {point.name}: frame error",
            value=round(point.error, 2),
            unit="%",
            reference=round(point.eliminated, 1),
            reference_is="% of the operations eliminated",
            command=COMMAND,
        )


def without_resolution(v: Ints, gain: Ints, bias: Ints, scale: tuple[int, int], guard: int) -> Ints:
    """`layer_norm.normalized` with normalised values in whole deviations, without the factor 2^10,
    which the paper says does not work.
    """
    cells = v.shape[-1]
    mean = divide(v.sum(axis=-1, keepdims=True), cells)
    variance = divide((v * v).sum(axis=-1, keepdims=True), cells) - mean * mean
    mult, shift = inverse_root(np.where(variance < 1, guard, variance))
    unit = rescale(wrap32(v - mean), mult, shift)
    scaled = wrap32(unit * gain + divide(bias, 1024))
    return clamp16(rescale(scaled, scale[0], scale[1] + 12))
