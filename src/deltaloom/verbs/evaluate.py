# SPDX-License-Identifier: Apache-2.0
"""`deltaloom evaluate`: what a quantized network gets right and what it costs."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.writing import together
from ..terminal.boards import boards_json, boards_section, print_boards
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.estimates import (
    data_events,
    estimated_cycles,
    estimated_energy,
    planned,
    without_energy,
)
from ..terminal.fidelity import print_outputs
from ..terminal.numbers import print_numbers
from ..terminal.options import (
    add_data,
    add_metrics,
    add_network,
    add_thresholds,
    read_metrics,
    set_thresholds,
)
from ..terminal.originals import read_reference
from ..terminal.outputs import add_report, report_file, write_report
from ..terminal.progress import progress_bars
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..boards.flow.fits import BoardFit
    from ..golden.evaluation.networks import AnyNetwork
    from ..golden.evaluation.result import Evaluation
    from ..hw.estimates.area import AreaEstimate
    from ..hw.estimates.energy import EnergyEstimate


class Evaluate:
    """Runs the float model, the quantized network and the delta network over the same data."""

    help = "evaluate a quantized network: error, eliminated operations, size, cycles, energy"

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
        from rich.markup import escape

        from ..golden.data import Dataset
        from ..golden.evaluation.evaluate import evaluate
        from ..golden.evaluation.networks import load_network
        from ..golden.reports.sections import evaluate_sections
        from ..golden.reports.totals import totals_section

        inputs = [args.network, args.data, *([args.model] if "model" in args else [])]
        page = report_file(args, None, *inputs)
        network = set_thresholds(load_network(args.network), getattr(args, "threshold", []))
        model = read_reference(args)
        metrics = read_metrics(args)
        data = Dataset.load(args.data)
        with progress_bars() as progress:
            evaluation = evaluate(network, data, model, args.word_bits, progress, metrics)
        fits: Sequence[BoardFit] = ()
        hardware = Hardware()
        plan = planned(network, args.word_bits)
        if isinstance(plan, str):
            hardware = Hardware(missing=plan)
        else:
            from ..boards.flow.fits import fit_boards
            from ..hw.estimates.area import estimate_area

            fits = fit_boards(plan.config)
            events = data_events(network, data)
            hardware = Hardware(
                cycles=estimated_cycles(plan, events),
                energy=estimated_energy(plan, events),
                without_energy=without_energy(plan),
                area=estimate_area(plan.config),
            )
        with together():
            if fits:
                print_boards(fits)
            numbers = print_numbers(network, data, model)
            _print(evaluation, network, hardware)
            if hardware.missing:
                stdout().print(escape(f"no hardware: {hardware.missing}"), soft_wrap=True)
            estimates = {"boards": boards_json(fits), **hardware.plain()}
            write_document(args, asdict(evaluation) | estimates | numbers.plain())
            if page is not None:
                sections = evaluate_sections(network, evaluation, data, model)
                sections.insert(1, numbers.section())
                if hardware.missing:
                    row = ("none for this network", hardware.missing)
                    sections.insert(1, totals_section("Hardware", [row]))
                if fits:
                    sections.insert(
                        1, boards_section(fits, hardware.rows(evaluation) + hardware.gaps())
                    )
                write_report(page, "evaluate", sections, *inputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What is estimated of the hardware; None for what is not.

    Members
    -------
    missing: why there is no hardware, or "".
    cycles: per step of the data's first frames, dense and with their events.
    energy: of a frame in standard cells, dense, J, and with the same events.
    without_energy: why there is no energy, in words; or "".
    area: of an ECP5.
    """

    missing: str = ""
    cycles: tuple[float, float] | None = None
    energy: "tuple[float, EnergyEstimate] | None" = None
    without_energy: str = ""
    area: "AreaEstimate | None" = None

    def plain(self) -> dict[str, object]:
        """As plain data, energies in nJ."""
        names = ("luts", "flip_flops", "multipliers", "block_rams")
        energy = None
        if self.energy is not None:
            dense, delta = self.energy
            energy = {
                "corner": delta.corner,
                "dense": 1e9 * dense,
                "delta": 1e9 * delta.total,
                "parts": {name: 1e9 * part for name, part in delta.parts.items()},
                "clock": 1e9 * delta.clock,
            }
        return {
            "no_hardware": self.missing or None,
            "estimated_cycles_per_step": self.cycles
            and dict(zip(("dense", "delta"), self.cycles, strict=True)),
            "estimated_energy_nj": energy,
            "estimated_area": self.area and {name: getattr(self.area, name) for name in names},
        }

    def rows(self, evaluation: "Evaluation") -> list[tuple[str, str]]:
        """The same in words."""
        rows, words = [], f"{evaluation.word_bits}-bit words"
        if self.cycles is not None:
            what = f"estimated cycles per step, {words}"
            rows.append((f"{what}, dense", f"{self.cycles[0]:,.1f}"))
            rows.append((f"{what}, delta", f"{self.cycles[1]:,.1f}"))
        if self.energy is not None:
            dense, delta = self.energy
            what = f"estimated energy per step, {words}"
            rows.append((f"{what}, dense", f"{1e9 * dense:,.0f} nJ"))
            rows.append((f"{what}, delta", f"{1e9 * delta.total:,.0f} nJ"))
            library, corner = delta.corner.split(", ", 1)
            rows.append(("library of the energy, before placement", library))
            rows.append(("its corner", corner))
        if self.area is not None:
            blocks = f"{self.area.multipliers:,}, {self.area.block_rams:,}"
            rows += [
                (
                    "estimated LUTs, flip-flops (ECP5)",
                    f"{self.area.luts:,}, {self.area.flip_flops:,}",
                ),
                ("estimated multipliers, block RAMs (ECP5)", blocks),
            ]
        return rows

    def gaps(self) -> list[tuple[str, str]]:
        """What is not estimated, and why, where the rest is."""
        why = self.without_energy
        return [("estimated energy per step", f"none, {why}")] if why else []


def _print(evaluation: "Evaluation", network: "AnyNetwork", hardware: Hardware) -> None:
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
    for row in evaluation.rows() + hardware.rows(evaluation):
        totals.add_row(*map(escape, row))
    print_table(totals)
    for what, why in hardware.gaps():
        stdout().print(f"{what}: {why}", highlight=False, markup=False)
    if "delta" in evaluation.fidelity:
        print_outputs(evaluation.fidelity["delta"])
