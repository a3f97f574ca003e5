# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning of the shipped speech networks: 2-bit weights, and fewer operations at equal error.

The training set is that of `examples/speech/prepare.py`, in build/speech. Each training takes
minutes; its network is kept below the work folder, so that a suite that was interrupted goes on.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from figures import REPORT, Figure
from speech import DATA

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import evaluate, run_dataset, run_float_dataset
from deltaloom.golden.evaluation.metrics import metric_of
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import Tuning, tune
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.quantize import Scheme, quantize
from deltaloom.training.options import Options

TRAIN = REPORT.parents[1] / "speech" / "train.npz"
FEW = {"lstm": Options(epochs=5), "gru": Options(epochs=3, longest=100, batch=64)}
FEWER_CHANGES = Options(epochs=3, longest=100, batch=64, delta_penalty=1.0)
ALLOWED = 0.5
"""Points of error that the thresholds may cost that are trained with."""

_figure = partial(Figure, command="make bench ARGS=training")


def figures(work: Path) -> Iterator[Figure]:
    """W2/A8 of the LSTM and the GRU, and the LSTM's operations with a penalty on changes."""
    yield from two_bits("lstm", work)
    yield from operations("lstm", work)
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
        target=1.3,
    )


def tuned(network: Network, allowed: float) -> Tuning[Network]:
    """Thresholds that eliminate most with at most this error over thresholds 0, on tuning data."""
    with Trials(network, _data("tuning")) as trials:
        return tune(trials, "greedy", allowed)


def trained(cell: str, network: Network, options: Options, file: Path) -> Network:
    """The network after fine-tuning, from its file where it is there."""
    if not file.exists():
        from deltaloom.training.finetune import finetune, threads  # PyTorch, where it is needed

        if not TRAIN.exists():
            raise SystemExit(f"{TRAIN} is missing: python examples/speech/prepare.py makes it")
        file.parent.mkdir(parents=True, exist_ok=True)
        data, tuning = Dataset.load(TRAIN), _data("tuning")
        model = import_checkpoint(DATA / f"{cell}.safetensors")
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


def error(network: Network, data: Dataset) -> float:
    """Frame error with the network's thresholds, percent."""
    return metric_of(data)(data, run_dataset(network, data).real(network))


def _data(name: str) -> Dataset:
    return Dataset.load(DATA / f"{name}.npz")


def _show(epochs: object, part: float) -> None:
    print(f"\r{part:.0%}", end="\r", flush=True)
