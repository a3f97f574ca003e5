# SPDX-License-Identifier: Apache-2.0
"""`deltaloom evaluate`: what a quantized network gets right and what it costs."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.writing import together
from ..terminal.boards import boards_json, boards_section, print_boards
from ..terminal.document import write_document
from ..terminal.estimates import board_fits, estimated_area, estimated_cycles
from ..terminal.fidelity import print_outputs
from ..terminal.numbers import Numbers, print_numbers
from ..terminal.options import (
    add_data,
    add_metrics,
    add_network,
    add_thresholds,
    read_metrics,
    set_thresholds,
)
from ..terminal.outputs import add_report, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..boards.flow.fits import BoardFit
    from ..golden.evaluation.networks import AnyNetwork
    from ..golden.evaluation.result import Evaluation
    from ..hw.estimates.area import AreaEstimate


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
        add_thresholds(parser)
        parser.add_argument(
            "--word-bits",
            type=int,
            metavar="W",
            default=256,
            help="bits of a weight word, which the hardware reads every cycle",
        )
        add_report(parser)

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.evaluate import evaluate
        from ..golden.evaluation.networks import load_float, load_network
        from ..golden.models.float_model import FloatModel
        from ..golden.models.network import Network
        from ..golden.reports.sections import evaluate_sections

        inputs = [args.network, args.data, *([args.model] if "model" in args else [])]
        page = report_file(args, None, *inputs)
        network = set_thresholds(load_network(args.network), getattr(args, "threshold", []))
        model = load_float(args.model) if "model" in args else None
        known = model if isinstance(model, FloatModel) else None
        metrics = read_metrics(args)
        data = Dataset.load(args.data)
        with progress_bars() as progress:
            evaluation = evaluate(network, data, model, args.word_bits, progress, metrics)
        fits: Sequence[BoardFit] = ()
        cycles = area = None
        if isinstance(network, Network):
            fits = board_fits(network, args.word_bits)
            cycles = estimated_cycles(network, args.word_bits, data)
            area = estimated_area(network, args.word_bits)
        with together():
            if fits:
                print_boards(fits)
            numbers: Numbers | None = None
            if isinstance(network, Network):
                numbers = print_numbers(network, data, known)
            _print(evaluation, network, cycles, area)
            estimates = {"boards": boards_json(fits), **_estimates(cycles, area)}
            plain = {} if numbers is None else numbers.plain()
            write_document(args, asdict(evaluation) | estimates | plain)
            if page is not None:
                sections = evaluate_sections(network, evaluation, data, model)
                if numbers is not None:
                    sections.insert(1, numbers.section())
                if fits:
                    sections.insert(
                        1, boards_section(fits, _estimate_rows(evaluation, cycles, area))
                    )
                write_report(page, "evaluate", sections, *inputs)


def _estimates(
    cycles: tuple[float, float] | None, area: "AreaEstimate | None"
) -> dict[str, object]:
    """What is estimated of the hardware, as plain data; None for what is not."""
    names = ("luts", "flip_flops", "multipliers", "block_rams")
    return {
        "estimated_cycles_per_step": cycles and dict(zip(("dense", "delta"), cycles, strict=True)),
        "estimated_area": area and {name: getattr(area, name) for name in names},
    }


def _estimate_rows(
    evaluation: "Evaluation", cycles: tuple[float, float] | None, area: "AreaEstimate | None"
) -> list[tuple[str, str]]:
    """The same in words."""
    rows = []
    if cycles is not None:
        what = f"estimated cycles per step, {evaluation.word_bits}-bit words"
        rows += [(f"{what}, dense", f"{cycles[0]:,.0f}"), (f"{what}, delta", f"{cycles[1]:,.1f}")]
    if area is not None:
        blocks = f"{area.multipliers:,}, {area.block_rams:,}"
        rows += [
            ("estimated LUTs, flip-flops (ECP5)", f"{area.luts:,}, {area.flip_flops:,}"),
            ("estimated multipliers, block RAMs (ECP5)", blocks),
        ]
    return rows


def _print(
    evaluation: "Evaluation",
    network: "AnyNetwork",
    cycles: tuple[float, float] | None,
    area: "AreaEstimate | None",
) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..golden.evaluation.networks import bits_text

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
            bits_text(path),
            f"{path.threshold}",
            f"{evaluation.events_per_step[name]:.1f}",
            f"{evaluation.eliminated_by_path[name]:.1f}",
        )
    print_table(paths)

    totals = Table.grid(padding=(0, 2))
    totals.add_column()
    totals.add_column(justify="right")
    for row in evaluation.rows() + _estimate_rows(evaluation, cycles, area):
        totals.add_row(*map(escape, row))
    print_table(totals)
    if "delta" in evaluation.fidelity:
        print_outputs(evaluation.fidelity["delta"])
