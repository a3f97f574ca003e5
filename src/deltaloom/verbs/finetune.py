# SPDX-License-Identifier: Apache-2.0
"""`deltaloom finetune`: a network is trained on at its bits and with its thresholds."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.writing import check_file, together
from ..terminal.console import stdout
from ..terminal.document import write_document, write_json
from ..terminal.options import add_data, add_metrics, add_network, read_metrics
from ..terminal.outputs import beside, check_output
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..training.result import Epoch, FineTuning, Show

CHECKPOINT, EPOCHS = ".checkpoint.pt", ".epochs.json"
OPTIONS = (
    *("epochs", "patience", "batch", "longest", "rate", "delta_penalty", "teacher", "noise"),
    "seed",
)


class Finetune:
    """Trains, prints the epochs and writes the best one's network."""

    help = "train a quantized network on, at its bits and with its thresholds"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Trains a quantized network on, with the golden model's own integers, so that it makes "
            "fewer errors at few bits, or, with --delta-penalty, changes less and lets thresholds "
            "eliminate more. Of all epochs the best on the tuning data is kept. A run that was "
            "interrupted goes on. Needs PyTorch: pip install 'deltaloom[torch]'."
        )
        add_network(parser)
        parser.add_argument(
            "--model",
            type=Path,
            metavar="MODEL",
            required=True,
            default=argparse.SUPPRESS,
            help="float model that NET was quantized from, whose weights are trained",
        )
        add_data(parser, "sequences to train on, with labels or targets")
        parser.add_argument(
            "--tune-data",
            type=Path,
            metavar="T",
            required=True,
            default=argparse.SUPPRESS,
            help="other sequences that epochs are judged on, with labels or targets, .npz",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="NET2",
            required=True,
            default=argparse.SUPPRESS,
            help=f"network to write; beside it NET2's name with {EPOCHS} and, while it trains, "
            f"{CHECKPOINT}",
        )
        parser.add_argument(
            "--float-output",
            type=Path,
            metavar="MODEL2",
            default=argparse.SUPPRESS,
            help="write what the network's weights stand for as a float model, too, to quantize "
            "to other bits (default: none)",
        )
        for name, unit, default, what in (
            ("epochs", "N", 10, "passes over the data, at most"),
            ("patience", "N", 5, "epochs without a better network, after which training ends"),
            ("batch", "N", 32, "pieces of sequences that are trained on together"),
            ("longest", "FRAMES", 300, "frames of a piece; longer sequences are cut"),
            ("seed", "N", 0, "of all that is random"),
        ):
            parser.add_argument(f"--{name}", type=int, metavar=unit, default=default, help=what)
        penalty = (
            "added to the loss, in nats or as a part of the targets' energy, times the part of a "
            "dense step's operations that changes ask for"
        )
        for name, unit, rate, what in (
            ("rate", "R", 0.01, "peak rate of Adam, as a part of a path's weights"),
            ("delta-penalty", "P", 0.0, penalty),
            ("teacher", "S", 0.5, "share of the loss that is by the float model's outputs, 0..1"),
            ("noise", "N", 0.1, "deviation of noise on training frames, as a part of their own"),
        ):
            parser.add_argument(f"--{name}", type=float, metavar=unit, default=rate, help=what)
        parser.add_argument(
            "--threads",
            type=int,
            metavar="N",
            default=1,
            help="of PyTorch; more pay with hundreds of units only",
        )
        add_metrics(parser)

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.metrics import metric_of
        from ..golden.evaluation.networks import check_float
        from ..golden.models.float_model import FloatModel
        from ..golden.models.network import Network
        from ..training.options import Options, check_torch

        inputs = [args.network, args.model, args.data, args.tune_data]
        check_output(args.output, *inputs)
        real: Path | None = getattr(args, "float_output", None)
        if real is not None:
            check_file("--float-output", real, *inputs, args.output)
        options = Options(**{name: getattr(args, name) for name in OPTIONS})
        check_torch()
        from ..training.finetune import finetune, threads

        network = Network.load(args.network)
        check_float("--model", args.model)
        model = FloatModel.load(args.model)
        data, tuning = Dataset.load(args.data), Dataset.load(args.tune_data)
        metric = next(iter(read_metrics(args)), None) or metric_of(tuning)
        with _progress(metric.title) as show, threads(args.threads):
            found = finetune(
                network,
                model,
                data,
                tuning,
                metric,
                options,
                checkpoint=beside(args.output, CHECKPOINT),
                show=show,
            )
        with together():
            _print(found, tuning)
            found.network.save(args.output)
            if real is not None:
                found.model.save(real)
            epochs = beside(args.output, EPOCHS)
            if epochs is not None:
                write_json(found.plain(), epochs)
        write_document(args, found.plain() | {"output": args.output})
        stdout().print(f"network -> {args.output}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(title: str) -> Iterator["Show"]:
    """A callback that shows the epoch, the last error and the time left; a line for each epoch
    where stderr is no terminal.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    live, said = console.is_terminal, 0
    with Progress(*columns, console=console, transient=True, disable=not live) as bars:
        task = bars.add_task("training", total=1.0)

        def show(epochs: "Sequence[Epoch]", part: float) -> None:
            nonlocal said
            last = epochs[-1]
            text = f"epoch {last.number + 1}, {title} {last.error:.2f}"
            bars.update(task, completed=part, description=text)
            if not live and len(epochs) > said:
                said = len(epochs)
                line = f"epoch {last.number}: {title} {last.error:.2f}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield show


def _print(found: "FineTuning", tuning: "Dataset") -> None:
    from rich.table import Table

    unit = found.metric.unit
    table = Table("epoch", "loss", f"{found.metric.title}\n{unit}", "eliminated\n%")
    for column in table.columns:
        column.justify = "right"
    for epoch in found.epochs:
        mark = " <- kept" if epoch.number == found.best else ""
        loss = f"{epoch.loss:.4f}" if epoch.number else "-"
        table.add_row(
            f"{epoch.number}", loss, f"{epoch.error:.2f}", f"{epoch.eliminated:.1f}{mark}"
        )
    print_table(table)
    first, best = found.epochs[0], found.epochs[found.best]
    line = (
        f"{found.metric.title} on {tuning.frames:,} frames: float {found.float_error:.2f}, before "
        f"{first.error:.2f}, after {best.error:.2f} {unit}".rstrip()
    )
    stdout().print(line, markup=False, highlight=False, soft_wrap=True)
