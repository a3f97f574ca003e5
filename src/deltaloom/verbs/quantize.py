# SPDX-License-Identifier: Apache-2.0
"""`deltaloom quantize`: a float model and typical data in, a network of integers out."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import check_file, replacing, together
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.lstm_layers import plain_lstm_layers, print_lstm_files, print_lstm_layers
from ..terminal.numbers import print_numbers
from ..terminal.options import add_data, add_model, read_metrics
from ..terminal.outputs import add_report, check_output, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.scheme_options import (
    INTEGER_LSTM,
    add_scheme,
    read_options,
    read_target,
    refuse_options,
)
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.models.network import Network
    from ..golden.reports.paths import PathReport
    from ..search.smallest import Smallest


class Quantize:
    """Calibrates, quantizes, writes the network and prints how close each path came."""

    help = "quantize a float model after training, with typical data to calibrate on"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        add_model(parser)
        add_data(parser, "typical sequences to calibrate on; labels are not needed")
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="NET",
            required=True,
            default=argparse.SUPPRESS,
            help="quantized network to write (.safetensors)",
        )
        add_scheme(parser)
        parser.add_argument(
            "--threshold",
            type=int,
            metavar="N",
            default=0,
            help="delta threshold of all paths, in activation codes; 0 loses nothing",
        )
        _add_integer_lstm(parser)
        add_report(parser, "NET")

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.metrics import metric_of
        from ..golden.evaluation.thresholds import uniform_thresholds
        from ..golden.models.float_model import FloatModel
        from ..golden.quantization.calibration import observe
        from ..golden.quantization.norm_ranges import balance
        from ..golden.quantization.quantize import quantize_with, with_labels
        from ..golden.reports.paths import describe
        from ..golden.reports.sections import quantize_sections
        from ..golden.reports.totals import totals_section

        inputs = [args.model, args.data, *([args.tune_data] if "tune_data" in args else [])]
        check_output(args.output, *inputs)
        if getattr(args, "scheme", "") == INTEGER_LSTM:
            _quantize_lstm(args)
            return
        for option in ("tflite", "corrected"):
            if getattr(args, option, False):
                raise UserError(f"--{option}: is for --scheme {INTEGER_LSTM}; give both, or none")
        page = report_file(args, args.output, *inputs)
        scheme, target, metrics = read_options(args), read_target(args), read_metrics(args)
        model = FloatModel.load(args.model)
        data = Dataset.load(args.data)
        tuning = Dataset.load(args.tune_data) if "tune_data" in args else data
        found: Smallest | None = None
        with progress_bars() as progress:
            model = balance(model, data, scheme.input_scale)
            statistics = observe(model, data, progress)
            if target is None:
                network = quantize_with(model, statistics, scheme, progress)
            else:
                from ..search.problem import Problem
                from ..search.smallest import find_smallest

                problem = Problem(
                    model=model,
                    statistics=statistics,
                    dataset=tuning,
                    metric=metrics[0] if metrics else metric_of(tuning),
                    names=(),
                    scheme=scheme,
                )
                found = find_smallest(problem, target, progress)
                network = found.network
            network = uniform_thresholds(with_labels(network, data), args.threshold)
            reports = describe(network, model, statistics)
        with together():
            network.save(args.output)
            _print_reports(reports)
            numbers = print_numbers(network, data, reports=reports)
            _print_summary(network, data.frames, args.output)
            if found is not None:
                print(f"Smallest bits on {tuning.frames:,} frames: {found}")
            if page is not None:
                sections = quantize_sections(network, model, statistics, reports)
                rows = _summary_rows(network, data.frames)
                if found is not None:
                    rows.append((f"smallest bits on {tuning.frames:,} frames", f"{found}"))
                sections[1:1] = [totals_section("Network", rows), numbers.section()]
                write_report(page, "quantize", sections, args.model, args.data)
            figures = _plain(network, reports, found) | {"frames": data.frames} | numbers.plain()
            write_document(args, {"output": args.output, **figures})


def _add_integer_lstm(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(f"--scheme {INTEGER_LSTM}")
    group.add_argument(
        "--tflite",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the network as a .tflite file, too, which LiteRT runs to the same bits "
        "(default: none)",
    )
    group.add_argument(
        "--corrected",
        action="store_true",
        help="without what LiteRT does amiss with projections: all cells have their peephole, and "
        "ranges and clips are about the zero point; then it is not equal to LiteRT",
    )


def _quantize_lstm(args: argparse.Namespace) -> None:
    """The integer-only LSTM of Li and Alvarez."""
    from ..golden.data import Dataset
    from ..golden.evaluation.networks import load_float
    from ..golden.evaluation.thresholds import uniform_thresholds
    from ..golden.integer_lstm.export import to_tflite
    from ..golden.integer_lstm.recipe import quantize
    from ..golden.reports.lstm_sections import lstm_layers_section
    from ..golden.reports.pairs import coded_pair
    from ..golden.reports.sections import pair_sections

    refuse_options(args, INTEGER_LSTM)
    tflite: Path | None = getattr(args, "tflite", None)
    if tflite is not None:
        check_file("--tflite", tflite, args.model, args.data, args.output)
    others = (args.model, args.data, *([tflite] if tflite else []))
    page = report_file(args, args.output, *others)
    model = load_float(args.model)
    data = Dataset.load(args.data)
    with progress_bars() as progress:
        network = quantize(model, data, progress, corrected=args.corrected)
        network = uniform_thresholds(network, args.threshold)
        paths = coded_pair(network, model, data)
    content = None if tflite is None else to_tflite(network)
    reports = [path.report() for path in paths]
    with together():
        network.save(args.output)
        if tflite is not None and content is not None:
            with replacing(tflite) as temporary:
                temporary.write_bytes(content)
        print_lstm_layers(network)
        _print_reports(reports)
        numbers = print_numbers(network, data, reports=reports)
        print_lstm_files(network, data.frames, args.output, tflite)
        if page is not None:
            first, *more = pair_sections(paths)
            sections = [first, lstm_layers_section(network), numbers.section(), *more]
            write_report(page, "quantize", sections, args.model, args.data)
        figures = {"layers": plain_lstm_layers(network), "size_bits": network.size_bits}
        figures |= {"notes": list(network.notes), "frames": data.frames}
        figures |= {"paths": _plain_paths(reports)} | numbers.plain()
        write_document(args, {"output": args.output, "tflite": tflite, **figures})


def _plain_paths(reports: "Sequence[PathReport]") -> list[dict[str, Any]]:
    return [asdict(report) | {"accumulator_bits": report.accumulator_bits} for report in reports]


def _plain(
    network: "Network", reports: "tuple[PathReport, ...]", found: "Smallest | None"
) -> dict[str, Any]:
    """What is printed of a network, as plain data; formats: bits before the point."""
    from ..golden.evaluation.evaluate import size_bits

    figures: dict[str, Any] = {
        "size_bits": size_bits(network),
        "input_exponent": network.x_exponent,
        "layers": [
            {
                "name": layer.name,
                "c_exponent": layer.c_exponent if layer.cell.has_c else None,
                "h_exponent": layer.h_exponent,
                "gate_exponents": dict(zip(layer.cell.gates, layer.gate_exponents, strict=True)),
            }
            for layer in network.layers
        ],
        "paths": _plain_paths(reports),
    }
    if found is not None:
        names = ("metric", "unit", "error", "exact", "limit", "float_error", "evaluations")
        figures["smallest"] = {name: getattr(found, name) for name in names}
    return figures


def _print_reports(reports: "Sequence[PathReport]") -> None:
    from rich.markup import escape
    from rich.table import Table

    def table(*headings: str) -> Table:
        result = Table("path")
        for heading in headings:
            result.add_column(heading, justify="right")
        return result

    weights = table(
        "weight\nbits",
        "scale\n1e-3",
        "clipped\n%",
        "lost energy\n%",
        "SQNR\ndB",
        "products'\nSQNR, dB",
    )
    activations = table("activation\nbits", "scale\n1e-3", "saturated\n%", "SQNR\ndB", "sums\nbits")
    for report in reports:
        low, high = (1e3 * scale for scale in report.weight_scale)
        weights.add_row(
            escape(report.name),
            f"{report.weight_bits}",
            f"{low:.3g}" if low == high else f"{low:.3g}..{high:.3g}",
            f"{report.clipped:.2f}",
            f"{report.clip_loss:.4f}",
            f"{report.weight_sqnr:.1f}",
            f"{report.product_sqnr:.1f}",
        )
        if report.tokens:
            continue
        activations.add_row(
            escape(report.name),
            f"{report.activation_bits}",
            f"{1e3 * report.activation_scale:.3g}",
            f"{report.saturated:.2f}",
            f"{report.activation_sqnr:.1f}",
            f"{report.accumulator_bits}",
        )
    print_table(weights)
    print_table(activations)


def _print_summary(network: "Network", frames: int, file: Path) -> None:
    from rich.markup import escape

    console = stdout()
    (_, _), (_, formats), (_, size) = _summary_rows(network, frames)
    console.print(escape(f"Calibrated on {frames:,} frames: {formats}"), soft_wrap=True)
    console.print(f"{size} -> {escape(str(file))}", soft_wrap=True)


def _summary_rows(network: "Network", frames: int) -> list[tuple[str, str]]:
    """Calibration frames, fixed-point formats and size, in words."""
    from ..golden.evaluation.evaluate import size_bits

    e = network.x_exponent
    formats = ["input tokens" if network.tokens else f"input Q{e}.{15 - e}"]
    for layer in network.layers:
        e = layer.c_exponent if layer.cell.has_c else layer.h_exponent
        formats.append(f"{layer.name} {'c' if layer.cell.has_c else 'output'} Q{e}.{15 - e}")
        for gate, e in zip(layer.cell.gates, layer.gate_exponents, strict=True):
            if layer.cell.formats[gate] == "wide":
                formats[-1] += f" and {gate} Q{e}.{15 - e}"
    return [
        ("calibrated on frames", f"{frames:,}"),
        ("formats", ", ".join(formats)),
        ("size", f"{size_bits(network) / 8000:,.1f} kB"),
    ]
