# SPDX-License-Identifier: Apache-2.0
"""`deltaloom simulate`: the generated Verilog against the golden model, every output bit."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..golden.writing import check_folder
from ..terminal.accelerator_options import add_lanes, add_weight_memory, memory_options
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.frame_options import add_frames, note_shortfall, read_frames
from ..terminal.options import add_data, add_network, add_thresholds, set_thresholds
from ..terminal.progress import stage_lines
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from ..golden.arithmetic import Ints
    from ..golden.evaluation.networks import AnyNetwork
    from ..sim.report import SimulationReport

SIMULATORS = ("icarus", "verilator")
STALLED_SHARE = 4
"""The run with random stalls takes one frame in so many: it is slow and measures nothing."""
MISMATCH = 1
"""Exit code of a design that is not as golden has it."""


class Simulate:
    """Generates the accelerator, runs it twice (full speed, random stalls), compares every word."""

    help = "simulate the generated Verilog and compare every output bit with the golden model"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Generates the accelerator of NET and runs frames of the data through it twice: at "
            "full speed (no idle cycles on either stream), which gives the cycle figures, and "
            "with random idle cycles on both streams, on a quarter of the frames. Every output "
            "word, the states after a run's last sequence (each sequence starts anew) and "
            "every counter must be what the golden model says; a run stops at the first that is "
            f"not. Exit code {MISMATCH} where one is not."
        )
        add_network(parser)
        add_data(parser, "sequences to take frames from; labels are not needed")
        parser.add_argument(
            "--sim", choices=SIMULATORS, default="verilator", help="simulator to run"
        )
        add_frames(parser)
        add_thresholds(parser)
        add_weight_memory(parser, clock=True)
        add_lanes(parser)
        for name, what in (("idle", "input"), ("backpressure", "output")):
            parser.add_argument(
                f"--{name}",
                type=float,
                metavar="P",
                default=0.3,
                help=f"chance that a cycle of the {what} stream rests in the second run, 0 to "
                "below 1; with --idle 0 --backpressure 0 there is no second run",
            )
        parser.add_argument(
            "--waves",
            action="store_true",
            default=argparse.SUPPRESS,
            help="write waveforms (large: some MB a frame) (default: none)",
        )
        parser.add_argument("--seed", type=int, default=0, help="seed of the random stalls")
        parser.add_argument(
            "--workdir",
            type=Path,
            metavar="DIR",
            default=Path("build/simulate"),
            help="folder for the design, the built simulators, logs and waveforms",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.networks import load_network

        check_folder("--workdir", args.workdir)
        check_simulator(args.sim)
        network = set_thresholds(load_network(args.network), getattr(args, "threshold", []))
        sequences = read_frames(args, network, Dataset.load(args.data))
        plans = plan_runs(sequences, idle=args.idle, backpressure=args.backpressure)
        reports = []
        with stage_lines() as progress:
            progress("generating the Verilog")
            longest = max(len(sequence) for sequence in sequences)
            verilog = generate_verilog(
                network,
                args.workdir / "rtl",
                lane_kind=args.lanes,
                longest=longest,
                **memory_options(args),
            )
            for plan in plans:
                report = run_plan(
                    plan,
                    verilog,
                    network,
                    simulator=args.sim,
                    seed=args.seed,
                    waves="waves" in args,
                    workdir=args.workdir,
                    progress=progress,
                )
                reports.append(report)
                if not report.ok:
                    break
        _print(reports, plans)
        note_shortfall(args, sequences)
        runs = [run_figures(*pair) for pair in zip(reports, plans, strict=False)]
        write_document(args, {"runs": runs})
        if not reports[-1].ok:
            raise SystemExit(MISMATCH)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run: its name; int16 frames [steps, inputs] per sequence; chances of a rest, 0..1."""

    name: str
    sequences: "Sequence[Ints]"
    idle: float
    backpressure: float


def check_simulator(simulator: str) -> None:
    """UserError, at once, where a tool that this simulator needs is missing."""
    from ..boards.tools import toolchain
    from ..sim.execute import TOOLS

    for tool in TOOLS[simulator]:
        toolchain.require(tool)


def plan_runs(
    sequences: "Sequence[Ints]", *, idle: float, backpressure: float
) -> tuple[RunPlan, ...]:
    """All frames at full speed; then, if there are any stalls, some of each sequence with them."""
    for name, value in (("idle", idle), ("backpressure", backpressure)):
        if not 0 <= value < 1:
            raise UserError(f"{name}: {value!r} is not possible, it must be at least 0 and below 1")
    full = RunPlan("full speed", sequences, 0.0, 0.0)
    if not idle and not backpressure:
        return (full,)
    some = [s[: -(-len(s) // STALLED_SHARE)] for s in sequences]
    return full, RunPlan("stalled", some, idle, backpressure)


def generate_verilog(
    network: "AnyNetwork",
    folder: Path,
    word_bits: int | None,
    lane_kind: str = "multiplier",
    longest: int = 1,
    **memory: Any,
) -> Path:
    """Write the smallest accelerator for `network`, image included; its Verilog file.

    longest: frames of a sequence, where the network must keep them. memory: where the weights are,
    as `derive_config` has it.
    """
    from ..hw.compiler.fit import derive_config
    from ..hw.generate import generate

    config = derive_config(
        network, word_bits=word_bits, lane_kind=lane_kind, frames=longest, **memory
    )
    return generate(network, folder, config=config).verilog


def run_plan(
    plan: RunPlan,
    verilog: Path,
    network: "AnyNetwork",
    *,
    simulator: str,
    workdir: Path,
    seed: int = 0,
    waves: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> "SimulationReport":
    """Simulate one run; progress is called with a line at the start and at each tenth."""
    from ..sim.simulate import simulate
    from ..sim.stimulus import Stimulus

    tenth = 0

    def show(done: int, steps: int) -> None:
        nonlocal tenth
        if done and 10 * done // steps > tenth:
            tenth = 10 * done // steps
            progress(f"{plan.name}: {done:,} of {steps:,} frames")

    progress(f"{plan.name}: building the simulator, first frames")
    return simulate(
        verilog,
        network,
        plan.sequences,
        workdir=workdir,
        simulator=simulator,
        stimulus=Stimulus(idle=plan.idle, backpressure=plan.backpressure, seed=seed),
        waves=waves,
        progress=show,
    )


def run_figures(report: "SimulationReport", plan: RunPlan) -> dict[str, Any]:
    """One run as plain data; cycles and utilisation (0..1) only where nothing stalled."""
    measured = report.ok and not plan.idle and not plan.backpressure
    return {
        "run": plan.name,
        "simulator": report.simulator,
        "idle": plan.idle,
        "backpressure": plan.backpressure,
        "seed": report.seed,
        "frames": report.steps,
        "sequences": report.sequences,
        "words": report.words,
        "state_words": report.states,
        "mismatches": 0 if report.ok else 1,  # a run stops at the first difference
        "mismatch": None if report.mismatch is None else str(report.mismatch),
        "cycles_per_step": report.cycles_per_step if measured else None,
        "ideal_cycles_per_step": report.ideal_cycles_per_step,
        "utilisation": report.utilisation if measured else None,
        "counters": report.counters,
        "events": report.events,
        "seconds": round(report.seconds, 1),
    }


def _print(reports: "Sequence[SimulationReport]", plans: Sequence[RunPlan]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("run")
    for heading in (
        "frames",
        "words\ncompared",
        "differs",
        "cycles\nper step",
        "ideal",
        "utilisation\n%",
    ):
        table.add_column(heading, justify="right")
    for report, plan in zip(reports, plans, strict=False):
        figures = run_figures(report, plan)
        cycles, utilisation = figures["cycles_per_step"], figures["utilisation"]
        table.add_row(
            plan.name,
            f"{report.steps:,}",
            f"{report.words:,}",
            "no" if report.ok else "yes",
            "-" if cycles is None else f"{cycles:,.1f}",
            f"{report.ideal_cycles_per_step:,.1f}",
            "-" if utilisation is None else f"{100 * utilisation:.1f}",
        )
    console = stdout()
    print_table(table)
    for report in reports:
        console.print(escape(str(report)), soft_wrap=True)
        if report.waves and report.ok:
            console.print(f"waveform: {escape(str(report.waves))}", soft_wrap=True)
