# SPDX-License-Identifier: Apache-2.0
"""`deltaloom sweep`: the error over widths, schemes and delta thresholds."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import together, write_text
from ..terminal.console import stdout
from ..terminal.document import write_document, write_json
from ..terminal.options import add_metrics, read_metrics
from ..terminal.originals import (
    add_calibration,
    add_model_or_network,
    read_calibration,
    read_reference,
    refuse_calibration,
    refuse_float_network,
    refuse_quantized,
    refuse_reference,
    warn_of_pair,
)
from ..terminal.outputs import add_report, check_output, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.scheme_options import (
    AUTO,
    INTEGER_LSTM,
    add_method,
    method_options,
    read_options,
    read_widths,
    refuse_method,
)
from ..terminal.search_options import read_numbers
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import AnyFloat
    from ..golden.evaluation.sweep import Candidate, SweepPoint
    from ..golden.evaluation.sweep import Sweep as Result
    from ..golden.models.float_model import FloatModel
    from ..golden.quantization.calibration import Progress

FORMATS = (".csv", ".json")
WIDEST = "16"
"""Of weights and activations where nothing says otherwise."""


class Sweep:
    """Makes each network, runs it with each threshold, prints and writes the errors."""

    help = "sweep widths, schemes and delta thresholds in the golden model"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "The error, the size and the operations eliminated of networks of several widths and "
            "schemes, each with several delta thresholds. See docs/quantization.md."
        )
        add_model_or_network(parser)
        add_calibration(parser)
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
                default=argparse.SUPPRESS,
                help=f"widths of {what} to try, such as 2-16, 8 or 2,4,8; every one with every "
                f"one of the other list (default: {WIDEST}, or none beside --scheme)",
            )
        parser.add_argument(
            "--scheme",
            action="append",
            metavar="NAME|FILE.toml",
            default=argparse.SUPPRESS,
            help="the network of a scheme of `quantize`, too, such as 8-bit, M1 or integer-lstm, "
            "the integer-only LSTM of docs/integer-lstm.md; may be repeated (default: none)",
        )
        parser.add_argument(
            "--thresholds",
            metavar="N,N,..",
            default="0",
            help="delta thresholds of all paths to try, in 8-bit codes; of other widths the same "
            "part of the range",
        )
        parser.add_argument(
            "--keep-input", action="store_true", help="the input frames' threshold stays 0"
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
        from ..golden.evaluation.networks import load_any
        from ..golden.evaluation.sweep import of_network, sweep_networks
        from ..golden.integer_lstm.network import IntegerNetwork
        from ..golden.models.network import Network
        from ..golden.reports.scheme_sections import sweep_sections

        output = getattr(args, "output", None)
        if output is not None and output.suffix not in FORMATS:
            raise UserError(f"-o {output}: unknown format, end it in {' or '.join(FORMATS)}")
        inputs = [args.model, args.test]
        inputs += [getattr(args, name) for name in ("data", "beside") if name in args]
        check_output(output, *inputs)
        page = report_file(args, None, *inputs, *([output] if output else []))
        thresholds = sorted(set(read_numbers("--thresholds", args.thresholds)))
        metric = next(iter(read_metrics(args)), None)
        widths = _widths(args)
        given = load_any(args.model)
        test = Dataset.load(args.test)
        model: AnyFloat | None
        with progress_bars() as progress:
            if isinstance(given, (Network, IntegerNetwork)):
                refuse_calibration(args, "data", "weights", "activations", "scheme")
                for option in method_options(args):
                    refuse_quantized(args, option)
                model = read_reference(args, "beside")
                warn_of_pair(given, model)
                name = INTEGER_LSTM if isinstance(given, IntegerNetwork) else args.model.stem
                candidates = [of_network(name, given)]
            else:
                refuse_reference(args)
                model = given
                candidates = [*_candidates(args, given, widths, progress)]
            result = sweep_networks(
                candidates,
                test,
                model,
                thresholds=thresholds,
                keep_input=args.keep_input,
                metric=metric,
                progress=progress,
            )
        with together():
            if output is not None:
                _write(result, output)
            _print(result)
            if page is not None:
                write_report(page, "sweep", sweep_sections(result), *inputs)
            write_document(args, _plain(result))


def _widths(args: argparse.Namespace) -> tuple[list[int], list[int]] | None:
    """Of weights and of activations; None where schemes alone are swept."""
    names = ("weights", "activations")
    if "scheme" in args and not any(name in args for name in names):
        return None
    first, second = (read_widths(f"--{n}", getattr(args, n, WIDEST)) for n in names)
    return first, second


def _candidates(
    args: argparse.Namespace,
    model: "AnyFloat",
    widths: tuple[list[int], list[int]] | None,
    progress: "Progress",
) -> "Iterator[Candidate]":
    """What is made of a float model."""
    from ..golden.evaluation.sweep import of_network
    from ..golden.integer_lstm.float_network import FloatNetwork
    from ..golden.integer_lstm.recipe import quantize

    data = read_calibration(args)
    schemes = getattr(args, "scheme", [])
    for name in schemes:
        if schemes.count(name) > 1:
            raise UserError(f"--scheme {name}: is given twice; leave one of them out")
    if isinstance(model, FloatNetwork) or (widths is None and {*schemes} == {INTEGER_LSTM}):
        refuse_method(args, INTEGER_LSTM)
    if isinstance(model, FloatNetwork):
        others = [name for name in schemes if name != INTEGER_LSTM]
        others += [f"--{name}" for name in ("weights", "activations") if name in args]
        for name in others:
            refuse_float_network(args, name)
        schemes = [INTEGER_LSTM]
    else:
        yield from _own(args, model, data, widths, progress)
    if INTEGER_LSTM in schemes:
        yield of_network(INTEGER_LSTM, quantize(model, data, progress))


def _own(
    args: argparse.Namespace,
    model: "FloatModel",
    data: "Dataset",
    widths: tuple[list[int], list[int]] | None,
    progress: "Progress",
) -> "Iterator[Candidate]":
    """Networks in our own arithmetic."""
    from ..golden.evaluation.sweep import of_scheme, of_widths
    from ..golden.quantization.calibration import observe
    from ..golden.quantization.norm_ranges import balance

    names = [name for name in getattr(args, "scheme", []) if name != INTEGER_LSTM]
    if AUTO in names:
        raise UserError(
            f"--scheme {AUTO}: finds bits for one error and is for `deltaloom quantize`; name a "
            f"preset, a FILE.toml or {INTEGER_LSTM}"
        )
    chosen = [(name, read_options(args, name)) for name in names]
    if widths is not None:
        plain = {name: value for name, value in vars(args).items() if name != "scheme"}
        chosen.insert(0, ("", read_options(argparse.Namespace(**plain))))
    prepared = {}
    for name, scheme in chosen:
        if scheme.input_scale not in prepared:
            balanced = balance(model, data, scheme.input_scale)
            prepared[scheme.input_scale] = balanced, observe(balanced, data, progress)
        own, statistics = prepared[scheme.input_scale]
        if name or widths is None:
            yield of_scheme(name, own, statistics, scheme)
        else:
            yield from of_widths(own, statistics, *widths, scheme)


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
    from rich.markup import escape
    from rich.table import Table

    title, unit = result.metric
    named = any(point.scheme for point in result.points)
    several = len({point.threshold for point in result.points}) > 1
    table = Table("weight\nbits", "activation\nbits")
    if named:
        table = Table("scheme", "weight\nbits", "activation\nbits")
    headings = ["more than\nfloat"] if result.float_error is not None else []
    headings = [f"{title}\n{unit}", *headings, "eliminated\n%", "size\nkB"]
    for heading in (*(["threshold"] if several else []), *headings):
        table.add_column(heading, justify="right")
    for point in result.points:
        table.add_row(
            *([escape(point.scheme)] if named else []),
            *("mixed" if b is None else f"{b}" for b in (point.weight_bits, point.activation_bits)),
            *([f"{point.threshold}"] if several else []),
            *_numbers(point, result.float_error),
        )
    console = stdout()
    if result.float_error is not None:
        console.print(f"{title}, float: {result.float_error:.2f} {unit}", highlight=False)
    print_table(table)


def _numbers(point: "SweepPoint", float_error: float | None) -> list[str]:
    more = [] if float_error is None else [f"{point.error - float_error:+.2f}"]
    return [
        f"{point.error:.2f}",
        *more,
        f"{point.eliminated:.1f}",
        f"{point.size_bits / 8000:,.1f}",
    ]
