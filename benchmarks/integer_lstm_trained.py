# SPDX-License-Identifier: Apache-2.0
"""Trained LSTMs of every variant as integer-only LSTMs: the table of docs/integer-lstm.md.

`examples/speech/trained_lstms.py` trains them into build/speech and prints the table; the plain one
is shipped.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
from figures import REPORT, Figure
from integer_lstm import ALLOWED, LITERT, litert_outputs, without_resolution
from integer_lstm_area import WORD_BITS, step_cycles
from safetensors.numpy import load_file
from speech import DATA

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.integer_lstm import lstm
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.float_layers import FloatLinear, FloatLstm
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, from_model
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.shape import COUPLED, GATES
from deltaloom.hw.compiler.fit import derive_config

COMMAND = "make bench ARGS=integer-lstm-trained"
VARIANTS = {
    "plain": "lstm",
    "layer normalisation": "lstm_norm",
    "peepholes": "lstm_peephole",
    "coupled gates": "lstm_coupled",
    "projection": "lstm_projected",
}
"""By name, the cell that `examples/speech/train.py` calls it."""
TRAINED = REPORT.parents[1] / "speech"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was measured of a variant; errors are frame errors on the test set, percent.

    Members
    -------
    kilobytes: of its integers. float_error, error: of the float and of the integer-only network.
    speed, litert_speed: frames a second of one core; None without LiteRT.
    differ: words that are not LiteRT's, of `words`; None without it.
    cycles: of a dense step; None where the hardware has no such layer.
    sparse_error, eliminated: with tuned thresholds; the operations that they eliminate, percent.
    broken_error: without the factor 2^10 of the layer normalisation; None without one.
    """

    kilobytes: float
    float_error: float
    error: float
    speed: float
    litert_speed: float | None
    differ: int | None
    words: int
    cycles: int | None
    sparse_error: float
    eliminated: float
    broken_error: float | None


def checkpoint(cell: str, folder: Path = TRAINED) -> Path:
    """The checkpoint of a cell; the plain one is shipped, others are trained."""
    return (DATA if cell == "lstm" else folder) / f"{cell}.safetensors"


def float_network(cell: str, file: Path) -> FloatNetwork:
    """The float network in a checkpoint, with the shipped data's label names."""
    labels = Dataset.load(DATA / "calibration.npz").label_names
    if cell in ("lstm", "lstm_norm"):
        return from_model(import_checkpoint(file, labels))
    tensors = {name: values.astype(np.float64) for name, values in load_file(file).items()}
    layers = [_layer(f"lstm{n}", tensors, f"lstm.{n}.") for n in range(2)]
    linear = FloatLinear(
        name="linear", weights=tensors["linear.weight"], bias=tensors["linear.bias"]
    )
    return FloatNetwork(layers=(*layers, linear), labels=labels)


def _layer(name: str, tensors: Mapping[str, np.ndarray], prefix: str) -> FloatLstm:
    """A layer of `examples/speech/lstm_cells.py`."""
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    columns = own["projection"].shape[1] if "projection" in own else own["weight_hh"].shape[1]
    gates = COUPLED if len(own["weight_hh"]) == len(COUPLED) * columns else GATES
    shape = (len(gates), columns, -1)
    return FloatLstm(
        name=name,
        gates=gates,
        weights=own["weight_ih"].reshape(shape),
        recurrent=own["weight_hh"].reshape(shape),
        bias=own["bias"].reshape(shape[:2]),
        peephole=own.get("peephole"),
        projection=own.get("projection"),
    )


def measure(floats: FloatNetwork) -> Row:
    """The table's row of a float network."""
    calibration, tuning, test = (
        Dataset.load(DATA / f"{part}.npz") for part in ("calibration", "tuning", "test")
    )
    network = dl.quantize_integer_lstm(floats, calibration)
    found = dl.evaluate(network, test, floats)
    codes = [network.x.codes(x) for x in test.features]
    start = time.process_time()
    own = run(network, codes).outputs
    seconds = time.process_time() - start
    differ = litert_seconds = None
    if LITERT:
        theirs, litert_seconds = litert_outputs(network, codes)
        differ = sum(int((a != b).sum()) for a, b in zip(own, theirs, strict=True))
    tuned = dl.tune(network, tuning, allowed=ALLOWED).network
    sparse = dl.evaluate(tuned, test)
    broken = None
    if any(isinstance(layer, FloatLstm) and layer.norm is not None for layer in floats.layers):
        with mock.patch.object(lstm, "normalized", without_resolution):
            broken = dl.evaluate(network, test).quantized_error
    return Row(
        kilobytes=found.size_bits / 8000,
        float_error=_scored(found.float_error),
        error=_scored(found.quantized_error),
        speed=test.frames / seconds,
        litert_speed=None if litert_seconds is None else test.frames / litert_seconds,
        differ=differ,
        words=sum(a.size for a in own),
        cycles=dense_cycles(network),
        sparse_error=_scored(sparse.delta_error),
        eliminated=sparse.eliminated_operations,
        broken_error=broken,
    )


def _scored(error: float | None) -> float:
    if error is None:
        raise ValueError("the data has no labels")
    return error


def dense_cycles(network: IntegerNetwork) -> int | None:
    """Of a dense step, or None where the hardware has no such layer."""
    try:
        return step_cycles(network, derive_config(network, word_bits=WORD_BITS), share=1)
    except UserError:
        return None


def figures(work: Path) -> Iterator[Figure]:
    """Of the variants whose checkpoints are there; those that are missing are named."""
    for variant, cell in VARIANTS.items():
        file = checkpoint(cell)
        if not file.exists():
            print(
                f"{file}: is missing; examples/speech/trained_lstms.py trains it", file=sys.stderr
            )
            continue
        yield from _figures(f"trained integer LSTM, {variant}", measure(float_network(cell, file)))


def _figures(name: str, row: Row) -> Iterator[Figure]:
    percent = partial(Figure, unit="%", command=COMMAND)
    exact = {"reference": round(row.float_error, 2), "reference_is": "% float"}
    yield Figure(name=f"{name}: size", value=round(row.kilobytes, 1), unit="kB", command=COMMAND)
    yield percent(name=f"{name}: frame error", value=round(row.error, 2), **exact)
    if row.broken_error is not None:
        value = round(row.broken_error, 2)
        yield percent(name=f"{name}: frame error without the factor 2^10", value=value)
    yield percent(
        name=f"{name}: frame error with tuned thresholds",
        value=round(row.sparse_error, 2),
        reference=round(row.eliminated, 1),
        reference_is="% of the operations eliminated",
    )
    if row.cycles is not None:
        yield Figure(name=f"{name}: cycles, dense", value=row.cycles, unit="", command=COMMAND)
    yield Figure(
        name=f"{name}: frames per second of golden",
        value=round(row.speed),
        unit="",
        reference=None if row.litert_speed is None else round(row.litert_speed),
        reference_is="LiteRT's",
        command=COMMAND,
    )
    if row.differ is not None:
        yield Figure(
            name=f"{name}: words that differ from LiteRT",
            value=row.differ,
            unit="",
            reference=row.words,
            reference_is="words",
            target=0,
            at_most=True,
            command=COMMAND,
        )
