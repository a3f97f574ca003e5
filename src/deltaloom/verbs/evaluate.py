# SPDX-License-Identifier: Apache-2.0
"""`deltaloom evaluate`: what a quantized network gets right and what it costs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError
from ..terminal.estimates import estimated_area, estimated_cycles
from ..terminal.options import add_data, add_metrics, add_network, read_metrics
from ..terminal.progress import progress_bars
from ..terminal.reports import add_report, report_file, write_report

if TYPE_CHECKING:
    from ..golden.evaluation.evaluate import Evaluation
    from ..golden.models.network import Network


class Evaluate:
    """Runs the float model, the quantized network and the delta network over the same data."""

    help = "evaluate a quantized network: error, eliminated operations, size, cycles"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        add_network(parser)
        add_data(parser, "sequences to run; with labels or targets there are errors")
        parser.add_argument(
            "--model",
            type=Path,
            metavar="MODEL",
            default=argparse.SUPPRESS,
            help="float model to compare with (default: none)",
        )
        add_metrics(parser, several=True)
        parser.add_argument(
            "--threshold",
            action="append",
            metavar="N|PATH=N",
            default=argparse.SUPPRESS,
            help="delta threshold of all paths, or of one, in activation codes; may be repeated, "
            "the last one counts (default: as in NET)",
        )
        parser.add_argument(
            "--word-bits",
            type=int,
            metavar="W",
            default=256,
            help="bits of a weight word, which the hardware reads every cycle",
        )
        parser.add_argument(
            "--json",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="write all numbers to this file, too (default: none)",
        )
        add_report(parser)

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.evaluate import evaluate
        from ..golden.models.float_model import FloatModel
        from ..golden.models.network import Network
        from ..golden.reports.sections import evaluate_sections

        inputs = [args.network, args.data, *([args.model] if "model" in args else [])]
        page = report_file(args, None, *inputs, *([args.json] if "json" in args else []))
        network = set_thresholds(Network.load(args.network), getattr(args, "threshold", []))
        model = FloatModel.load(args.model) if "model" in args else None
        metrics = read_metrics(args)
        data = Dataset.load(args.data)
        with progress_bars() as progress:
            evaluation = evaluate(network, data, model, args.word_bits, progress, metrics)
        if "json" in args:
            _write_json(evaluation, args.json)
        _print(evaluation, network, estimated_cycles(network, args.word_bits, data))
        if page is not None:
            sections = evaluate_sections(network, evaluation, data, model)
            write_report(page, "evaluate", sections, *inputs)


def set_thresholds(network: "Network", words: list[str]) -> "Network":
    """The network with thresholds from words "N" (all paths) or "PATH=N", in this order."""
    from ..golden.evaluation.thresholds import uniform_thresholds

    for word in words:
        name, equals, number = word.rpartition("=")
        try:
            value = int(number)
        except ValueError as error:
            raise UserError(
                f"threshold {word!r}: {number!r} is not a whole number; give N or PATH=N"
            ) from error
        if equals:
            network = network.with_thresholds({name: value})
        else:
            network = uniform_thresholds(network, value)
    return network


def _write_json(evaluation: "Evaluation", file: Path) -> None:
    import json
    from dataclasses import asdict

    from ..golden.storage import replacing

    with replacing(file) as temporary:
        temporary.write_text(json.dumps(asdict(evaluation), indent=2) + "\n", encoding="utf-8")


def _print(
    evaluation: "Evaluation", network: "Network", cycles: tuple[float, float] | None
) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    paths = Table("path")
    for heading in (
        "columns",
        "rows",
        "bits\nW/A",
        "threshold\ncodes",
        "events\nper step",
        "eliminated\n%",
    ):
        paths.add_column(heading, justify="right")
    for name, path in network.paths():
        paths.add_row(
            escape(name),
            f"{path.columns:,}",
            f"{path.rows:,}",
            f"{path.weight_bits}/{path.quantizer.bits}",
            f"{path.threshold}",
            f"{evaluation.events_per_step[name]:.1f}",
            f"{evaluation.eliminated_by_path[name]:.1f}",
        )
    console = Console()
    console.print(paths)

    totals = Table.grid(padding=(0, 2))
    totals.add_column()
    totals.add_column(justify="right")
    dense, delta = evaluation.ideal_cycles_per_step_dense, evaluation.ideal_cycles_per_step_delta
    rows = [
        ("frames (sequences)", f"{evaluation.steps:,} ({evaluation.sequences:,})"),
        ("frames scored", f"{evaluation.scored:,}"),
    ]
    for errors in evaluation.errors.values():
        rows += [
            (f"{errors.title}, float", _with_unit(errors.float_error, errors.unit)),
            (f"{errors.title}, quantized", _with_unit(errors.quantized_error, errors.unit)),
            (f"{errors.title}, quantized, delta", _with_unit(errors.delta_error, errors.unit)),
        ]
    rows += [
        ("operations per step, dense", f"{evaluation.operations_per_step_dense:,}"),
        ("operations per step, delta", f"{evaluation.operations_per_step_delta:,.0f}"),
        ("operations eliminated, thresholds 0", f"{evaluation.eliminated_lossless:.1f} %"),
        ("operations eliminated", f"{evaluation.eliminated_operations:.1f} %"),
        (
            "eliminated as published, thresholds 0",
            f"{evaluation.eliminated_lossless_as_published:.1f} %",
        ),
        (
            "eliminated as published",
            f"{evaluation.eliminated_as_published:.1f} %",
        ),
        ("size", f"{evaluation.size_bits / 8000:,.1f} kB"),
        (f"ideal cycles per step, {evaluation.word_bits}-bit words, dense", f"{dense:,.0f}"),
        (f"ideal cycles per step, {evaluation.word_bits}-bit words, delta", f"{delta:,.1f}"),
    ]
    if cycles is not None:
        what = f"estimated cycles per step, {evaluation.word_bits}-bit words"
        rows += [(f"{what}, dense", f"{cycles[0]:,.0f}"), (f"{what}, delta", f"{cycles[1]:,.1f}")]
    area = estimated_area(network, evaluation.word_bits)
    if area is not None:
        blocks = f"{area.multipliers:,}, {area.block_rams:,}"
        rows += [
            ("estimated LUTs, flip-flops (ECP5)", f"{area.luts:,}, {area.flip_flops:,}"),
            ("estimated multipliers, block RAMs (ECP5)", blocks),
        ]
    for row in rows:
        totals.add_row(*row)
    console.print(totals)


def _with_unit(error: float | None, unit: str) -> str:
    return "-" if error is None else f"{error:.2f} {unit}".rstrip()
