# SPDX-License-Identifier: Apache-2.0
"""`deltaloom tune`: delta thresholds, by error against eliminated operations."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError
from ..golden.writing import together
from ..terminal.console import stdout
from ..terminal.document import write_document, write_json
from ..terminal.fidelity import print_fidelity
from ..terminal.numbers import print_numbers
from ..terminal.options import add_data, add_metrics, add_network, read_metrics
from ..terminal.originals import read_reference
from ..terminal.outputs import (
    add_report,
    beside,
    check_output,
    report_file,
    write_report,
)
from ..terminal.progress import progress_bars
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.evaluation.trials import Trial
    from ..golden.evaluation.tuning import Tuning

METHODS = ("greedy", "groups", "uniform")


class Tune:
    """Searches, prints the front and writes the network, the front and a log of all trials."""

    help = "choose delta thresholds: error against eliminated operations, on tuning data"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Tries delta thresholds and chooses those that eliminate most operations within the "
            "allowed error. Every trial is kept in a log: a run that was interrupted goes on from "
            "there. Tune on data that the network was not trained on, and report on other data."
        )
        add_network(parser)
        add_data(parser, "sequences to tune on, with labels or targets, or with --model")
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="NET2",
            default=argparse.SUPPRESS,
            help="network with the chosen thresholds to write; beside it NET2's name with "
            ".front.json (all trials and the front) and .trials.jsonl (the log) "
            "(default: nothing is written)",
        )
        parser.add_argument(
            "--method",
            choices=METHODS,
            default="greedy",
            help="a threshold for each path, by a search; for each group of paths, every "
            "combination, the first input's at 0, as published; or one for all paths",
        )
        parser.add_argument(
            "--allowed",
            type=float,
            metavar="E",
            default=0.5,
            help="error over that of thresholds 0, in the metric's unit",
        )
        parser.add_argument(
            "--candidates",
            action="append",
            metavar="[BITS:]N,N,...",
            default=argparse.SUPPRESS,
            help="thresholds to try, in codes, of paths with activations of BITS bits, or of all; "
            "may be repeated (default: groups 0,8,16,32 and else 0,2,4,6,8,12,16,24,32,48 at 8 "
            "bits, scaled to the range of other widths)",
        )
        parser.add_argument(
            "--keep-input", action="store_true", help="the input frames' threshold stays 0"
        )
        add_metrics(parser)
        parser.add_argument(
            "--model",
            type=Path,
            metavar="MODEL",
            default=argparse.SUPPRESS,
            help="float model to compare with; of data without labels and targets, the error is "
            "NMSE to its outputs (default: none)",
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            default=os.cpu_count() or 1,
            help="processes; the result is the same for any number",
        )
        add_report(parser, "NET2")

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.evaluate import fidelity, scored_data
        from ..golden.evaluation.networks import activation_bits, load_network
        from ..golden.evaluation.trials import Trials
        from ..golden.evaluation.tuning import tune
        from ..golden.reports.sections import tune_sections
        from ..golden.reports.totals import totals_section

        output: Path | None = getattr(args, "output", None)
        inputs = [args.network, args.data, *([args.model] if "model" in args else [])]
        check_output(output, *inputs)
        page = report_file(args, output, *inputs)
        network = load_network(args.network)
        model = read_reference(args)
        data = scored_data(network, Dataset.load(args.data), model)
        metric = next(iter(read_metrics(args)), None)
        if not (data.scored or metric):
            raise UserError(
                f"{args.data}: no frame has a label or a target; give --model, to whose outputs "
                "the error is NMSE then, or labelled data"
            )
        words = getattr(args, "candidates", [])
        bits = sorted({activation_bits(path) for _, path in network.paths()})
        candidates = read_candidates(words, bits)
        log, front = beside(output, ".trials.jsonl"), beside(output, ".front.json")
        with progress_bars() as progress:
            trials = Trials(network, data, metric, log=log, workers=args.workers, progress=progress)
            with trials:
                tuning = tune(
                    trials,
                    args.method,
                    args.allowed,
                    candidates=candidates,
                    keep_input=args.keep_input,
                )
        with together():
            _print(tuning, trials.found)
            plain = tuning.plain() | {"from_log": trials.found}
            sections = tune_sections(tuning, data)
            numbers = print_numbers(tuning.network, data, model)
            plain |= numbers.plain()
            sections.append(numbers.section())
            if model is not None:
                found = fidelity(tuning.network, data, model)
                print_fidelity(found, "chosen")
                plain["fidelity"] = asdict(found)
                sections.append(totals_section("Against the float model", found.rows("chosen")))
            if output is not None:
                tuning.network.save(output)
            if front is not None:
                write_json(tuning.plain(), front)
            if page is not None:
                write_report(page, "tune", sections, *inputs)
            write_document(args, plain)


def read_candidates(words: list[str], bits: list[int]) -> dict[int, tuple[int, ...]]:
    """Candidates by activation bits, from words "BITS:N,N" or "N,N" (all widths), in this order."""
    result: dict[int, tuple[int, ...]] = {}
    for word in words:
        width, colon, numbers = word.rpartition(":")
        try:
            values = tuple(map(int, numbers.split(",")))
            widths = [int(width)] if colon else bits
        except ValueError as error:
            raise UserError(
                f"--candidates {word!r}: expected whole numbers, such as 0,8,16 or 4:0,1,2"
            ) from error
        if not set(widths) <= set(bits):
            there = ", ".join(map(str, bits))
            raise UserError(f"--candidates {word!r}: no path of {width} bits; there are {there}")
        result |= dict.fromkeys(widths, values)
    return result


def _print(tuning: "Tuning", found: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    front = Table(f"{tuning.metric}\n{tuning.unit}", "eliminated\n%", "thresholds")
    for column in front.columns[:2]:
        column.justify = "right"
    for trial in tuning.front:
        mark = " <- chosen" if trial == tuning.chosen else ""
        front.add_row(
            f"{trial.error:.2f}", f"{trial.eliminated:.1f}", f"{_thresholds(trial)}{mark}"
        )
    chosen = Table("path", "threshold\ncodes")
    chosen.columns[1].justify = "right"
    for name, threshold in tuning.chosen.thresholds.items():
        chosen.add_row(escape(name), f"{threshold}")
    console = stdout()
    print_table(front)
    print_table(chosen)
    more = tuning.chosen.error - tuning.base.error
    unit = f" {tuning.unit}".rstrip()
    whole = f"{len(tuning.trials)} trials on all {tuning.base.frames:,} frames"
    lines = [
        f"{whole}, {tuning.evaluations:.1f} runs in all, {found} trials from the log",
        f"thresholds 0: {tuning.base.error:.2f}{unit}, {tuning.base.eliminated:.1f} % eliminated",
        f"chosen: {tuning.chosen.error:.2f}{unit} ({more:+.2f}, {tuning.allowed:g} allowed)",
    ]
    lines[-1] += f", {tuning.chosen.eliminated:.1f} % eliminated"
    for line in lines:
        console.print(line, highlight=False)


def _thresholds(trial: "Trial") -> str:
    return " ".join(map(str, trial.thresholds.values()))
