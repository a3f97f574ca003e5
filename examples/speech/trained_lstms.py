# SPDX-License-Identifier: Apache-2.0
"""The paper's table of variants, of LSTMs of the shipped one's size trained on the same speech.

    python examples/speech/prepare.py          # the data, if it is not there
    python examples/speech/trained_lstms.py    # trains what is missing, and prints the table

Each is two layers of 128 cells and a linear layer, trained by ``train.py`` and quantized by the
integer-only recipe: frame error in float and in integers, size, frames a second in golden and in
LiteRT on one core, words that differ from LiteRT's, cycles of a dense step on 64-bit weight words
by the cycle model, and what `tune` eliminates. With layer normalization, also the error without
the factor 2^10. Without ai-edge-litert its columns are empty.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import train
from safetensors.numpy import load_file

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

sys.path.append(str(train.ROOT / "benchmarks"))
from integer_lstm import LITERT, litert_outputs, without_resolution
from integer_lstm_area import WORD_BITS, dense_cycles

from deltaloom.hw.compiler.fit import derive_config

SHIPPED = Path(dl.__file__).parent / "data" / "speech"
VARIANTS = {
    "plain": "lstm",
    "layer normalisation": "lstm_norm",
    "peepholes": "lstm_peephole",
    "coupled gates": "lstm_coupled",
    "projection": "lstm_projected",
}
TRAINING = ("--epochs", "12", "--delta-epochs", "5", "--chunk", "100", "--batch", "32")
PROJECTED = 64
ALLOWED = 0.5
"""Points of frame error that `tune` may cost."""
COLUMNS = (
    *("variant", "kB", "float", "integer-only", "frames/s, golden", "frames/s, LiteRT"),
    *("words that differ", "cycles", "with thresholds", "eliminated"),
)


def trained(cell: str, work: Path) -> Path:
    """The checkpoint, which is trained where it is not there; the plain one is shipped."""
    if cell == "lstm":
        return SHIPPED / "lstm.safetensors"
    file = work / f"{cell}.safetensors"
    if not file.exists():
        width = ("--hidden", str(PROJECTED)) if cell == "lstm_projected" else ()
        options = ("--cell", cell, "--data", str(work), "--out", str(work), *TRAINING, *width)
        if train.main(options):
            raise SystemExit(1)
    return file


def float_network(cell: str, file: Path, labels: tuple[str, ...]) -> FloatNetwork:
    """The float network in a checkpoint."""
    if cell in ("lstm", "lstm_norm"):
        return from_model(import_checkpoint(file, labels))
    tensors = {name: values.astype(np.float64) for name, values in load_file(file).items()}
    layers = [_layer(f"lstm{n}", tensors, f"lstm.{n}.") for n in range(2)]
    linear = FloatLinear(
        name="linear", weights=tensors["linear.weight"], bias=tensors["linear.bias"]
    )
    return FloatNetwork(layers=(*layers, linear), labels=labels)


def _layer(name: str, tensors: Mapping[str, np.ndarray], prefix: str) -> FloatLstm:
    """A layer of `lstm_cells`."""
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


def cycles(network: IntegerNetwork) -> str:
    """Of a dense step, or nothing where the hardware has no such layer."""
    try:
        return f"{dense_cycles(network, derive_config(network, word_bits=WORD_BITS)):,}"
    except UserError:
        return "-"


def row(name: str, work: Path) -> dict[str, str]:
    """The table's entries for a variant."""
    sets = {
        part: Dataset.load(SHIPPED / f"{part}.npz") for part in ("calibration", "tuning", "test")
    }
    cell, test = VARIANTS[name], sets["test"]
    floats = float_network(cell, trained(cell, work), sets["calibration"].label_names)
    network = dl.quantize_integer_lstm(floats, sets["calibration"])
    found = dl.evaluate(network, test, floats)
    codes = [network.x.codes(x) for x in test.features]
    start = time.process_time()
    own = run(network, codes).outputs
    entries = {
        "variant": name,
        "kB": f"{found.size_bits / 8000:.1f}",
        "float": f"{found.float_error:.2f} %",
        "integer-only": f"{found.quantized_error:.2f} %",
        "frames/s, golden": f"{test.frames / (time.process_time() - start):,.0f}",
        "cycles": cycles(network),
    }
    if LITERT:
        theirs, seconds = litert_outputs(network, codes)
        wrong = sum(int((a != b).sum()) for a, b in zip(own, theirs, strict=True))
        entries["frames/s, LiteRT"] = f"{test.frames / seconds:,.0f}"
        entries["words that differ"] = f"{wrong} of {sum(a.size for a in own):,}"
    tuned = dl.tune(network, sets["tuning"], allowed=ALLOWED).network
    sparse = dl.evaluate(tuned, test)
    entries["with thresholds"] = f"{sparse.delta_error:.2f} %"
    entries["eliminated"] = f"{sparse.eliminated_operations:.1f} %"
    if cell == "lstm_norm":
        with mock.patch.object(lstm, "normalized", without_resolution):
            broken = dl.evaluate(network, test)
        entries["variant"] += f" (without the factor 2^10: {broken.quantized_error:.2f} %)"
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=train.ROOT / "build" / "speech")
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="default: all")
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in args.variants or VARIANTS:
        entries = row(name, args.work)
        print(f"| {' | '.join(entries.get(column, '') for column in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    main()
