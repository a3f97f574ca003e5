# SPDX-License-Identifier: Apache-2.0
"""`deltaloom search`: bits, thresholds and hardware options for several objectives at once."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError, printable
from ..golden.writing import check_folder, write_text
from ..terminal.accelerator_options import add_lanes, add_longest, add_word_bits
from ..terminal.console import stdout
from ..terminal.document import write_document, write_json
from ..terminal.options import add_metrics
from ..terminal.originals import (
    add_calibration,
    add_model_or_network,
)
from ..terminal.scheme_options import INTEGER_LSTM, add_method
from ..terminal.search_options import (
    BEACONS,
    FRONT,
    LOG,
    NETWORK,
    REPORT,
    SCHEME,
    add_beacons,
    add_genes,
    add_search,
    read_beacons,
)
from ..terminal.search_problem import prepare
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..search.beacons import Rule
    from ..search.evaluations import Evaluations
    from ..search.genes import Space
    from ..search.problem import AnyProblem, Bench
    from ..search.search import Search as Result
    from ..search.workers import Workers


class Search:
    """Searches, prints the front, writes it with a page and a log, and a solution's network."""

    help = "search bits and thresholds of all paths: error against size, cycles and other costs"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Looks for the networks that no other beats in all objectives: each path's weight and "
            "activation bits, thresholds and hardware options; of a network that is quantized "
            "already, thresholds and hardware options. Every evaluation is kept in a log: "
            "a search that was interrupted goes on from there. See docs/search.md."
        )
        add_model_or_network(parser)
        add_calibration(parser)
        parser.add_argument(
            "--scheme",
            choices=(INTEGER_LSTM,),
            default=argparse.SUPPRESS,
            help="make the integer-only LSTM of MODEL (docs/integer-lstm.md) and search its "
            "thresholds; its bits are fixed (default: bits vary)",
        )
        parser.add_argument(
            "--tune-data",
            type=Path,
            metavar="T",
            required=True,
            default=argparse.SUPPRESS,
            help="sequences that candidates are judged on, .npz; labels or targets are needed "
            "where an objective is error",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="DIR",
            required=True,
            default=argparse.SUPPRESS,
            help=f"folder to write to: {FRONT}, {REPORT}, {LOG} (all evaluations) and, with --pick "
            f"or --knee, {NETWORK} and {SCHEME}",
        )
        add_search(parser)
        add_genes(parser)
        add_beacons(parser)
        add_metrics(parser)
        add_method(parser, "--quantization")
        add_word_bits(parser)
        add_lanes(parser)
        add_longest(parser)
        parser.add_argument(
            "--clock", type=float, metavar="MHZ", default=50.0, help="clock of the latency, MHz"
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..search.outputs import pick, plain, scheme_text, write_page
        from ..search.problem import Problem
        from ..search.search import network_of, search
        from ..training.options import check_torch

        check_folder("-o", args.output)
        options = read_beacons(args)
        if options is not None:
            check_torch()
        problem, space, goals = prepare(args)
        beacons = None
        if options is not None and isinstance(problem, Problem):
            from ..search.beacons import Beacons

            rule = _rule(args, options)
            problem = replace(problem, more=rule.digest)
            beacons = Beacons(problem, rule)
        with _progress(args.evaluations) as show:
            result = search(
                problem,
                space,
                goals,
                _crew(args),
                method=args.strategy,
                evaluations=args.evaluations,
                seed=args.seed,
                log=args.output / LOG,
                beacons=beacons,
                warn=lambda line: print("deltaloom:", printable(line), file=sys.stderr),
                show=show,
            )
        number = result.knee if args.knee else getattr(args, "pick", None)
        chosen = None if number is None else pick(result, number)
        write_json(plain(result, problem), args.output / FRONT)
        write_page(args.output / REPORT, result, problem, f"deltaloom search: {args.model.name}")
        files = [FRONT, REPORT, LOG]
        if chosen is not None:
            network_of(problem, space, chosen, beacons).save(args.output / NETWORK)
            files.append(NETWORK)
            if isinstance(problem, Problem):
                write_text(scheme_text(result, problem, chosen), args.output / SCHEME)
                files.append(SCHEME)
        _print(result, problem, space, number)
        _say(f"{', '.join(files)} -> {args.output}")
        written = {"picked": number, "files": files, "output": args.output}
        write_document(args, plain(result, problem) | {"measured": result.measured} | written)


def _rule(args: argparse.Namespace, options: dict[str, str]) -> "Rule":
    """When and how beacons are made.

    options: as `read_beacons` has them.
    """
    from ..golden.data import Dataset
    from ..search.beacons import Rule
    from ..training.options import Options

    try:
        low, high = map(float, options["errors"].split(","))
        distance, epochs = float(options["distance"]), int(options["epochs"])
    except ValueError as error:
        raise UserError(
            "--beacon-errors, --beacon-distance, --beacon-epochs: expected numbers, such as 1,15 "
            "and 5 and 5"
        ) from error
    return Rule(
        data=Dataset.load(args.beacons),
        calibration=Dataset.load(args.data),
        folder=args.output / BEACONS,
        errors=(low, high),
        distance=distance,
        options=Options(epochs=epochs, seed=args.seed),
        say=lambda line: print(line, file=sys.stderr),
    )


def _crew(args: argparse.Namespace) -> Callable[["AnyProblem", "Bench"], "Workers"]:
    from ..search.workers import Inline, Processes

    def make(problem: "AnyProblem", bench: "Bench") -> "Workers":
        if "dask" in args:
            return _cluster(problem, args)
        if args.workers == 1:
            return Inline(problem, bench)
        return Processes(problem, args.workers, args.cells)

    return make


def _cluster(problem: "AnyProblem", args: argparse.Namespace) -> "Workers":
    try:
        from ..search.cluster import Dask
    except ImportError as error:
        raise UserError(
            f"--dask {args.dask}: dask.distributed is not installed; pip install "
            "'deltaloom[search]'"
        ) from error
    return Dask(problem, args.dask, args.cells)


@contextmanager
def _progress(total: int) -> Iterator[Callable[["Evaluations"], None]]:
    """A callback that shows evaluations, hypervolume, front and time left; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("search"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("hypervolume {task.fields[volume]:.4f}, front {task.fields[front]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task("search", total=total, volume=0.0, front=0)

        def show(found: "Evaluations") -> None:
            bars.update(
                task,
                completed=int(found.spent + found.under_way),
                volume=found.hypervolume,
                front=len(found.front),
            )

        yield show


def _print(result: "Result", problem: "AnyProblem", space: "Space", picked: int | None) -> None:
    from rich.table import Table

    goals = result.goals
    table = Table("no.")
    for one in goals.objectives:
        table.add_column(f"{one.title}\n{one.unit}", justify="right")
    table.add_column("weights/activations Θ")
    for n, solution in enumerate(result.front):
        choice = space.choice(solution.levels)
        words = []
        for path, (weights, activations) in choice.bits.items():
            threshold = choice.thresholds[path]
            words.append(f"{weights}/{activations}" + (f"Θ{threshold}" if threshold else ""))
        words += [f"{value}" for value in choice.settings.values()]
        values = [f"{solution.values[one.name]:,.2f}" for one in goals.objectives]
        mark = (" <- knee" if n == result.knee else "") + (" <- picked" if n == picked else "")
        table.add_row(f"{n}", *values, " ".join(words) + mark)
    print_table(table)
    _say("paths: " + " ".join(space.choice(space.tops).bits))
    _say(
        f"{result.evaluations:g} evaluations on {problem.dataset.frames:,} frames, "
        f"{result.measured} measured now, hypervolume {result.hypervolume:.4f}"
    )


def _say(line: str) -> None:
    stdout().print(line, markup=False, highlight=False, soft_wrap=True)
