# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of the shipped speech networks: 2-bit weights, and fewer operations at equal error.

The training set is that of `examples/speech/prepare.py`, in build/speech. Each training takes
minutes; its network is kept below the work folder, so that a suite that was interrupted goes on.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from figures import REPORT, Figure
from speech import DATA

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import evaluate, run_dataset, run_float_dataset
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import Tuning, tune
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.training.options import Options

TRAIN = REPORT.parents[1] / "speech" / "train.npz"
FEW = {"lstm": Options(epochs=5), "gru": Options(epochs=3, longest=100, batch=64)}
FEWER_CHANGES = Options(epochs=3, longest=100, batch=64, delta_penalty=1.0)
ALLOWED = 0.5
"""Points of error that the thresholds may cost that are trained with."""
PLAIN = TRAIN.parent / "plain"
MORE_CHANGES = replace(FEWER_CHANGES, epochs=6, patience=6)
FAR = 3.0
"""The same of a network that was never trained with deltas."""
ALONE = tuple(n / 4 for n in range(1, 17))
"""Points that thresholds alone may cost, of the curve that training is held against."""

_figure = partial(Figure, command="make bench ARGS=training")


def figures(work: Path) -> Iterator[Figure]:
    """W2/A8 of the LSTM and the GRU, and the LSTM's operations with a penalty on changes."""
    yield from two_bits("lstm", work)
    yield from operations("lstm", work)
    yield from changes(work)
    yield from two_bits("gru", work)


def two_bits(cell: str, work: Path) -> Iterator[Figure]:
    """Frame errors on the test set, before and after."""
    model = import_checkpoint(DATA / f"{cell}.safetensors")
    network = quantize(model, _data("calibration"), Scheme(weight_bits=2, activation_bits=8))
    found = trained(cell, network, FEW[cell], work / f"{cell}-2-8.safetensors")
    test = _data("test")
    exact = metric_of(test)(test, run_float_dataset(model, test))
    before, after = (error(one, test) for one in (network, found))
    yield _figure(
        name=f"training, {cell} W2/A8: points over float after fine-tuning, test set",
        value=round(after - exact, 2),
        unit="points",
        reference=round(before - exact, 2),
        reference_is=f"before; float {exact:.2f} %",
        target=1.0,
        at_most=True,
    )


def operations(cell: str, work: Path) -> Iterator[Figure]:
    """Operations of thresholds alone over those with delta-aware training, at equal error.

    The trained network keeps the thresholds that it was trained with; those alone are tuned for its
    error on the tuning set. Operations are counted on the test set.
    """
    model, tuning = import_checkpoint(DATA / f"{cell}.safetensors"), _data("tuning")
    network = quantize(model, _data("calibration"), Scheme(weight_bits=8, activation_bits=8))
    alone = tuned(network, ALLOWED)
    found = trained(cell, alone.network, FEWER_CHANGES, work / f"{cell}-changes.safetensors")
    more = error(found, tuning) - alone.base.error
    equal = alone if more <= ALLOWED else tuned(network, more)
    before, after = (evaluate(one, _data("test")) for one in (equal.network, found))
    done = [one.operations_per_step_delta for one in (before, after)]
    yield _figure(
        name=f"training, {cell} W8/A8: operations of thresholds alone over delta-aware training",
        value=round(done[0] / done[1], 3),
        unit="x",
        reference=round(before.eliminated_operations, 1),
        reference_is=f"% eliminated alone, {after.eliminated_operations:.1f} % with training; test "
        f"errors {before.delta_error:.2f} and {after.delta_error:.2f} %",
    )


def changes(work: Path) -> Iterator[Figure]:
    """The same of an LSTM that was trained in floating point alone, without thought of deltas.

    Its thresholds are chosen far beyond what it bears, then it is trained with them and a penalty
    on changes. Thresholds alone are tuned for errors on the tuning set; between two of them,
    operations are on the line.
    """
    model = import_checkpoint(_plain())
    network = quantize(model, _data("calibration"), Scheme(weight_bits=8, activation_bits=8))
    tuning, test = _data("tuning"), _data("test")
    with Trials(network, tuning) as trials:
        curve = {allowed: tune(trials, "greedy", allowed).network for allowed in ALONE}
    found = trained(
        "lstm", curve[FAR], MORE_CHANGES, work / "lstm-plain-changes.safetensors", model
    )
    alone = [[evaluate(one, data) for one in curve.values()] for data in (tuning, test)]
    own = [evaluate(found, data) for data in (tuning, test)]
    done = [one.operations_per_step_delta for one in alone[1]]
    for name, points, one in zip(("tuning", "test"), alone, own, strict=True):
        errors = np.maximum.accumulate([point.delta_error for point in points])
        equal = float(np.interp(one.delta_error, errors, done))
        yield _figure(
            name="training, plain lstm W8/A8: operations of thresholds alone over delta-aware "
            f"training, equal error on the {name} set",
            value=round(equal / own[1].operations_per_step_delta, 3),
            unit="x",
            reference=round(own[1].eliminated_operations, 1),
            reference_is=f"% eliminated with training, {100 * (1 - equal / found.macs):.1f} % "
            f"alone; {name} error {one.delta_error:.2f} %",
            target=1.3,
        )


def _plain() -> Path:
    """The LSTM of `examples/speech/train.py` without its second phase; made if missing."""
    file = PLAIN / "lstm.safetensors"
    if not file.exists():
        _check_training_set()
        script = REPORT.parents[2] / "examples" / "speech" / "train.py"
        command = [sys.executable, script, "--delta-epochs", "0", "--out", PLAIN]
        subprocess.run(command, check=True)
    return file


def tuned(network: Network, allowed: float) -> Tuning[Network]:
    """Thresholds that eliminate most with at most this error over thresholds 0, on tuning data."""
    with Trials(network, _data("tuning")) as trials:
        return tune(trials, "greedy", allowed)


def trained(
    cell: str, network: Network, options: Options, file: Path, model: FloatModel | None = None
) -> Network:
    """The network after fine-tuning, from its file if there; model: where not the shipped one."""
    if not file.exists():
        from deltaloom.training.finetune import finetune, threads  # PyTorch, where it is needed

        _check_training_set()
        file.parent.mkdir(parents=True, exist_ok=True)
        data, tuning = Dataset.load(TRAIN), _data("tuning")
        model = model or import_checkpoint(DATA / f"{cell}.safetensors")
        with threads(1):
            found = finetune(
                network,
                model,
                data,
                tuning,
                metric_of(tuning),
                options,
                checkpoint=file.with_suffix(".pt"),
                show=_show,
            )
        found.network.save(file)
    return Network.load(file)


def _check_training_set() -> None:
    if not TRAIN.exists():
        raise SystemExit(f"{TRAIN} is missing: python examples/speech/prepare.py makes it")


def error(network: Network, data: Dataset) -> float:
    """Frame error with the network's thresholds, percent."""
    return metric_of(data)(data, run_dataset(network, data).real(network))


def _data(name: str) -> Dataset:
    return Dataset.load(DATA / f"{name}.npz")


def _show(epochs: object, part: float) -> None:
    print(f"\r{part:.0%}", end="\r", flush=True)
