# SPDX-License-Identifier: Apache-2.0
"""`deltaloom search`: bits, thresholds and hardware options for several objectives at once."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError, printable
from ..terminal.accelerator_options import add_lanes, add_longest, add_word_bits
from ..terminal.options import add_data, add_metrics, add_model, read_metrics
from ..terminal.outputs import check_folder, write_json, write_text
from ..terminal.progress import progress_bars
from ..terminal.scheme_options import add_method, read_options

if TYPE_CHECKING:
    from ..search.evaluations import Evaluations
    from ..search.genes import Space
    from ..search.problem import Bench, Problem
    from ..search.search import Search as Result
    from ..search.workers import Workers

METHODS = ("sensitivity", "nsga2", "random")
OBJECTIVES = (
    "error, nmse (of the outputs to the float model's, in dB), size (kB), eliminated (operations, "
    "percent), cycles, latency (us), luts, flip-flops, multipliers, block-rams, silago-speedup, "
    "silago-true-speedup, silago-energy (uJ), bitfusion-speedup, bitfusion-true-speedup, or "
    "FILE.py:FUNCTION"
)
NETWORK, SCHEME = "network.safetensors", "scheme.toml"
FRONT, REPORT, LOG = "front.json", "report.html", "evaluations.jsonl"


class Search:
    """Searches, prints the front, writes it with a page and a log, and a solution's network."""

    help = "search bits and thresholds of all paths: error against size, cycles and other costs"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Looks for the networks that no other beats in all objectives: each path's weight and "
            "activation bits, thresholds and hardware options. Every evaluation is kept in a log: "
            "a search that was interrupted goes on from there. See docs/search.md."
        )
        add_model(parser)
        add_data(parser, "typical sequences to calibrate on; labels are not needed")
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
        _add_search(parser)
        _add_genes(parser)
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
        from ..search.search import network_of, search

        check_folder("-o", args.output)
        problem, space, goals = _prepare(args)
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
                warn=lambda line: print("deltaloom:", printable(line), file=sys.stderr),
                show=show,
            )
        number = result.knee if args.knee else getattr(args, "pick", None)
        chosen = None if number is None else pick(result, number)
        write_json(plain(result, problem), args.output / FRONT)
        write_page(args.output / REPORT, result, problem, f"deltaloom search: {args.model.name}")
        if chosen is not None:
            network_of(problem, space, chosen).save(args.output / NETWORK)
            write_text(scheme_text(result, problem, chosen), args.output / SCHEME)
        _print(result, problem, space, number)
        files = [FRONT, REPORT, LOG] + ([NETWORK, SCHEME] if chosen is not None else [])
        _say(f"{', '.join(files)} -> {args.output}")


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method",
        dest="strategy",
        choices=METHODS,
        default=METHODS[0],
        help="sensitivity: each gene alone first, the front if effects added up, then what a "
        "surrogate names; nsga2: pymoo's NSGA-II as in the MOHAQ paper; random",
    )
    parser.add_argument(
        "--objective",
        action="append",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"two or three of {OBJECTIVES}; may be repeated (default: error and size)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help="what a value may be at most, or, where more is better, at least, in its unit, such "
        "as error=24 or size=200; may be repeated (default: none)",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        default="",
        help="the accelerator must fit this board, by the area estimate",
    )
    parser.add_argument(
        "--evaluations", type=int, metavar="N", default=630, help="candidates that are measured"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of all that is random")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=os.cpu_count() or 1,
        help="processes; the result is the same for any number",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        default=argparse.SUPPRESS,
        help="evaluate on a Dask cluster instead, such as tcp://host:8786 (default: none)",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--pick",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"write the network of solution N of the front, {NETWORK}, and its {SCHEME} "
        "(default: none)",
    )
    chosen.add_argument("--knee", action="store_true", help="the same of the front's knee")


def _add_genes(parser: argparse.ArgumentParser) -> None:
    for what in ("weights", "activations"):
        parser.add_argument(
            f"--{what}", metavar="BITS", default="2,4,8,16", help=f"widths of {what} to try"
        )
    parser.add_argument(
        "--thresholds",
        metavar="N,N,..",
        default="0",
        help="delta thresholds to try, in 8-bit codes; of other widths the same part of the range",
    )
    parser.add_argument(
        "--share",
        choices=("path", "layer"),
        default="path",
        help="bits and thresholds for each path, or one for all paths of a layer",
    )
    parser.add_argument(
        "--tied", action="store_true", help="activations have the bits of the weights"
    )
    parser.add_argument(
        "--vary",
        action="append",
        metavar="NAME=V,V,..",
        default=argparse.SUPPRESS,
        help="let another option vary, too: skip=none,all lanes=multiplier,shift_add or "
        "word-bits=128,256; may be repeated (default: none)",
    )


def _prepare(args: argparse.Namespace) -> tuple["Problem", "Space", Any]:
    """What the search is about, from the arguments."""
    from ..golden.data import Dataset
    from ..golden.evaluation.metrics import metric_of
    from ..golden.models.float_model import FloatModel
    from ..golden.quantization.calibration import observe
    from ..golden.quantization.input_ranges import balance_inputs
    from ..search.genes import Space
    from ..search.goals import Goals
    from ..search.options import Options
    from ..search.problem import Problem
    from .sweep import read_widths

    scheme = read_options(args)
    model = FloatModel.load(args.model)
    data, tuning = Dataset.load(args.data), Dataset.load(args.tune_data)
    metric = next(iter(read_metrics(args)), None) or metric_of(tuning)
    names = getattr(args, "objective", ["error", "size"])
    limits = dict(map(_limit, getattr(args, "limit", [])))
    goals = Goals.of(names, limits, (metric.title, metric.unit), args.board)
    space = Space.of(
        model,
        weights=read_widths("--weights", args.weights),
        activations=read_widths("--activations", args.activations),
        thresholds=_numbers("--thresholds", args.thresholds),
        share=args.share,
        tied=args.tied,
        settings=dict(map(_setting, getattr(args, "vary", []))),
    )
    with progress_bars() as progress:
        model = balance_inputs(model, data, scheme.input_scale)
        statistics = observe(model, data, progress)
    problem = Problem(
        model=model,
        statistics=statistics,
        dataset=tuning,
        metric=metric,
        scheme=scheme,
        names=goals.names,
        options=Options(
            word_bits=args.word_bits,
            lanes=args.lanes,
            longest=args.longest,
            clock_mhz=args.clock,
        ),
        board=args.board,
    )
    return problem, space, goals


def _crew(args: argparse.Namespace) -> Callable[["Problem", "Bench"], "Workers"]:
    from ..search.workers import Inline, Processes

    def make(problem: "Problem", bench: "Bench") -> "Workers":
        if "dask" in args:
            return _cluster(problem, args)
        if args.workers == 1:
            return Inline(problem, bench)
        return Processes(problem, args.workers, args.cells)

    return make


def _cluster(problem: "Problem", args: argparse.Namespace) -> "Workers":
    try:
        from ..search.cluster import Dask
    except ImportError as error:
        raise UserError(
            f"--dask {args.dask}: dask.distributed is not installed; pip install "
            "'deltaloom[search]'"
        ) from error
    return Dask(problem, args.dask, args.cells)


def _limit(word: str) -> tuple[str, float]:
    name, _, number = word.rpartition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise UserError(f"--limit {word!r}: expected NAME=VALUE, such as size=200") from error


def _setting(word: str) -> tuple[str, list[Any]]:
    """A gene of `genes.SETTINGS`, from "NAME=V,V"."""
    name, _, values = word.partition("=")
    known = {"skip": ("none", "all", "part"), "lanes": ("multiplier", "shift_add")}
    if name in ("word-bits", "word_bits"):
        return "word_bits", _numbers(f"--vary {name}", values)
    words = values.split(",")
    if name not in known or not set(words) <= set(known[name]):
        raise UserError(
            f"--vary {word!r}: expected skip=, lanes= or word-bits= with values, such as "
            "skip=none,all"
        )
    return name, words


def _numbers(option: str, words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {words!r}: expected whole numbers, such as 0,8,16") from error


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


def _print(result: "Result", problem: "Problem", space: "Space", picked: int | None) -> None:
    from rich.console import Console
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
    Console().print(table)
    _say("paths: " + " ".join(space.choice(space.tops).bits))
    _say(
        f"{result.evaluations:g} evaluations on {problem.dataset.frames:,} frames, "
        f"{result.measured} measured now, hypervolume {result.hypervolume:.4f}"
    )


def _say(line: str) -> None:
    from rich.console import Console

    Console().print(line, markup=False, highlight=False, soft_wrap=True)
