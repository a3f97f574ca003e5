# SPDX-License-Identifier: Apache-2.0
"""`deltaloom sweep`: the error over widths of weights and of activations."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import together, write_text
from ..terminal.console import stdout
from ..terminal.document import write_document, write_json
from ..terminal.options import add_data, add_metrics, add_model, read_metrics
from ..terminal.outputs import add_report, check_output, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.scheme_options import WIDTHS, add_method, read_options
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.evaluation.sweep import Sweep as Result

FORMATS = (".csv", ".json")


class Sweep:
    """Quantizes with each pair of widths, runs each network, prints and writes the errors."""

    help = "sweep the widths of weights and activations, 2 to 16 bits, in the golden model"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        add_model(parser)
        add_data(parser, "typical sequences to calibrate on; labels are not needed")
        parser.add_argument(
            "--test",
            type=Path,
            metavar="T",
            required=True,
            default=argparse.SUPPRESS,
            help="sequences with labels or targets to take the error on, .npz",
        )
        for what in ("weights", "activations"):
            parser.add_argument(
                f"--{what}",
                metavar="BITS",
                default="16",
                help=f"widths of {what} to try, such as 2-16, 8 or 2,4,8; every one with every "
                "one of the other list",
            )
        add_metrics(parser)
        add_method(parser)
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="write the table to this .csv or .json file, too (default: none)",
        )
        add_report(parser)

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.sweep import sweep
        from ..golden.models.float_model import FloatModel
        from ..golden.quantization.calibration import observe
        from ..golden.quantization.norm_ranges import balance
        from ..golden.reports.sections import sweep_sections

        output = getattr(args, "output", None)
        if output is not None and output.suffix not in FORMATS:
            raise UserError(f"-o {output}: unknown format, end it in {' or '.join(FORMATS)}")
        inputs = (args.model, args.data, args.test)
        check_output(output, *inputs)
        page = report_file(args, None, *inputs, *([output] if output else []))
        weights = read_widths("--weights", args.weights)
        activations = read_widths("--activations", args.activations)
        scheme, metrics = read_options(args), read_metrics(args)
        model = FloatModel.load(args.model)
        calibration, test = Dataset.load(args.data), Dataset.load(args.test)
        with progress_bars() as progress:
            model = balance(model, calibration, scheme.input_scale)
            statistics = observe(model, calibration, progress)
            metric = metrics[0] if metrics else None
            result = sweep(model, statistics, test, weights, activations, scheme, metric, progress)
        with together():
            if output is not None:
                _write(result, output)
            _print(result)
            if page is not None:
                write_report(page, "sweep", sweep_sections(result), *inputs)
            write_document(args, _plain(result))


def read_widths(option: str, words: str) -> list[int]:
    """Numbers of bits, rising, from words such as "2-16" or "2,4,8"."""
    widths: set[int] = set()
    for word in words.split(","):
        first, dash, last = word.partition("-")
        if not first.isdecimal() or not (last if dash else first).isdecimal():
            raise UserError(f"{option} {words!r}: expected widths such as 2-16, 8 or 2,4,8")
        widths.update(range(int(first), int(last or first) + 1))
    if not widths or not widths <= {*WIDTHS}:
        raise UserError(
            f"{option} {words!r}: widths must be within {WIDTHS[0]}..{WIDTHS[-1]}, at least one"
        )
    return sorted(widths)


def _plain(result: "Result") -> dict[str, Any]:
    title, unit = result.metric
    points = [asdict(point) for point in result.points]
    return {"metric": title, "unit": unit, "float_error": result.float_error, "points": points}


def _write(result: "Result", file: Path) -> None:
    import csv
    import io

    plain = _plain(result)
    if file.suffix == ".json":
        write_json(plain, file)
        return
    points = plain["points"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=[*points[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(points)
    write_text(stream.getvalue(), file)


def _print(result: "Result") -> None:
    from rich.table import Table

    title, unit = result.metric
    table = Table("weight\nbits", "activation\nbits")
    for heading in (f"{title}\n{unit}", "more than\nfloat", "size\nkB"):
        table.add_column(heading, justify="right")
    for point in result.points:
        table.add_row(
            f"{point.weight_bits}",
            f"{point.activation_bits}",
            f"{point.error:.2f}",
            f"{point.error - result.float_error:+.2f}",
            f"{point.size_bits / 8000:,.1f}",
        )
    console = stdout()
    console.print(f"{title}, float: {result.float_error:.2f} {unit}", highlight=False)
    print_table(table)
