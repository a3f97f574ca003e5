# SPDX-License-Identifier: Apache-2.0
"""`deltaloom quantize`: a float model and typical data in, a network of integers out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.writing import together
from ..terminal.console import stdout
from ..terminal.numbers import print_numbers
from ..terminal.options import add_data, add_model
from ..terminal.outputs import add_report, check_output, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.scheme_options import add_scheme, read_options

if TYPE_CHECKING:
    from ..golden.models.network import Network
    from ..golden.reports.paths import PathReport


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
        add_report(parser, "NET")

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.thresholds import uniform_thresholds
        from ..golden.models.float_model import FloatModel
        from ..golden.quantization.calibration import observe
        from ..golden.quantization.input_ranges import balance_inputs
        from ..golden.quantization.quantize import quantize_with, with_labels
        from ..golden.reports.paths import describe
        from ..golden.reports.sections import quantize_sections

        check_output(args.output, args.model, args.data)
        page = report_file(args, args.output, args.model, args.data)
        scheme = read_options(args)
        model = FloatModel.load(args.model)
        data = Dataset.load(args.data)
        with progress_bars() as progress:
            model = balance_inputs(model, data, scheme.input_scale)
            statistics = observe(model, data, progress)
            network = quantize_with(model, statistics, scheme, progress)
            network = uniform_thresholds(with_labels(network, data), args.threshold)
            reports = describe(network, model, statistics)
        with together():
            network.save(args.output)
            _print_reports(reports)
            print_numbers(network, data, reports=reports)
            _print_summary(network, data.frames, args.output)
            if page is not None:
                sections = quantize_sections(network, model, statistics, reports)
                write_report(page, "quantize", sections, args.model, args.data)


def _print_reports(reports: "tuple[PathReport, ...]") -> None:
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
        activations.add_row(
            escape(report.name),
            f"{report.activation_bits}",
            f"{1e3 * report.activation_scale:.3g}",
            f"{report.saturated:.2f}",
            f"{report.activation_sqnr:.1f}",
            f"{report.accumulator_bits}",
        )
    console = stdout()
    console.print(weights)
    console.print(activations)


def _print_summary(network: "Network", frames: int, file: Path) -> None:
    from rich.markup import escape

    from ..golden.evaluation.evaluate import size_bits

    console = stdout()
    formats = [f"input Q{network.x_exponent}.{15 - network.x_exponent}"]
    for layer in network.layers:
        e = layer.c_exponent if layer.cell.has_c else layer.h_exponent
        formats.append(f"{layer.name} {'c' if layer.cell.has_c else 'output'} Q{e}.{15 - e}")
        for gate, e in zip(layer.cell.gates, layer.gate_exponents, strict=True):
            if layer.cell.formats[gate] == "wide":
                formats[-1] += f" and {gate} Q{e}.{15 - e}"
    console.print(escape(f"Calibrated on {frames:,} frames: " + ", ".join(formats)), soft_wrap=True)
    console.print(f"{size_bits(network) / 8000:,.1f} kB -> {escape(str(file))}", soft_wrap=True)
