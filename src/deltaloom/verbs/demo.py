# SPDX-License-Identifier: Apache-2.0
"""`deltaloom demo`: the main job, end to end, on the shipped model and real speech."""

import argparse
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.writing import check_folder
from ..terminal.beside import Beside, Command
from ..terminal.demo_report import (
    ALLOWED,
    MARGIN,
    PICTURES,
    REPORT,
    by_threshold,
    draw,
    print_report,
    threshold_of,
)
from ..terminal.document import write_document, write_json
from ..terminal.progress import Stages
from .build import REPORT as BOARD_REPORT
from .simulate import MISMATCH, check_simulator

if TYPE_CHECKING:
    from ..golden.evaluation.result import Evaluation
    from ..golden.evaluation.tuning import Tuning

SPEECH = Path(__file__).parent.parent / "data" / "speech"
MODELS: Mapping[str, str] = {
    "lstm": "lstm.safetensors",
    "gru": "gru.safetensors",
    "ligru": "ligru.safetensors",
    "sru": "sru.safetensors",
    "rnn": "rnn.safetensors",
    "min_gru": "min_gru.safetensors",
}
"""Shipped checkpoints, in `SPEECH`, by cell."""
UNITS = {
    "float_error": "percent of frames",
    "quantized_error": "percent of frames",
    "delta_error": "percent of frames",
    "eliminated_operations": "percent of the multiply-accumulates of dense steps",
    "threshold": "activation codes",
    "rtl_words": "16-bit output words compared, all simulations",
    "rtl_mismatches": "simulation runs that differ from the golden model; each stops at the first",
    "test_frames": "frames of the test set, scored or not",
    "scored_frames": "frames of the test set with a label, which the errors are over",
    "cycles_per_step": "clock cycles, at full speed",
    "ideal_cycles_per_step": "clock cycles, of the same frames",
    "utilisation": "ideal over measured cycles, 0 to 1",
    "luts": "4-input lookup tables",
    "ffs": "flip-flops",
    "dsps": "18x18 multipliers",
    "brams": "18-kbit block RAMs",
    "stage_seconds": "seconds",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How much the demo does.

    thresholds: candidates, in codes. frames: by simulator, at full speed. stalled: simulators
    that also run a quarter of them with random stalls. board: to synthesize for; "" leaves
    synthesis out.
    """

    thresholds: tuple[int, ...] = (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24)
    word_bits: int = 256
    frames: tuple[tuple[str, int], ...] = (("verilator", 300), ("icarus", 40))
    stalled: tuple[str, ...] = ("verilator", "icarus")
    board: str = "ulx3s_85f"


class Demo:
    """Import, quantize, thresholds, evaluate, generate, simulate twice, synthesize, report."""

    help = "run the whole flow on the shipped speech model and report what came out"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        budget = Budget()
        frames = " and ".join(f"{n} frames in {sim}" for sim, n in budget.frames)
        parser.description = (
            "Imports the shipped model, quantizes it to 8-bit weights and activations, chooses a "
            f"delta threshold, evaluates on the test set, simulates the generated Verilog ({frames}"
            f"), and synthesizes it for {budget.board}. Some minutes; a second run reuses what was "
            f"built. Exit code {MISMATCH} where the Verilog differs from the golden model."
        )
        parser.add_argument("--cell", choices=tuple(MODELS), default="lstm", help="shipped model")
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="DIR",
            default=Path("build/demo"),
            help=f"folder for {REPORT}, {PICTURES[0]}, the network, the Verilog and all logs",
        )

    def run(self, args: argparse.Namespace) -> None:
        # One thread for NumPy, before it is imported: its products are small here, and threads
        # that wait for a core that a simulator has make them slower.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        budget = Budget()
        check_tools(budget)
        report = run_demo(args.cell, args.output, budget)
        print_report(report, args.output, SPEECH / "test.npz")
        write_document(args, report)
        if report["rtl_mismatches"]:
            raise SystemExit(MISMATCH)


def check_tools(budget: Budget) -> None:
    """UserError, before anything runs, where a tool is missing."""
    from ..boards.tools import toolchain

    for simulator, _ in budget.frames:
        check_simulator(simulator)
    if budget.board:
        toolchain.require("pyosys")


def run_demo(cell: str, folder: Path, budget: Budget, data: Path = SPEECH) -> dict[str, Any]:
    """Do it all, write the report and the pictures into `folder`; the report as plain data.

    data: folder of calibration.npz, tuning.npz and test.npz.
    """
    import json

    from ..golden.data import Dataset
    from ..golden.evaluation.evaluate import evaluate
    from ..golden.evaluation.trials import Trials
    from ..golden.evaluation.tuning import tune
    from ..golden.importers.checkpoint import import_checkpoint
    from ..golden.quantization.quantize import Scheme, quantize

    check_folder("-o", folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stages = stack.enter_context(Stages())
        with stages.stage("import the model"):
            model = import_checkpoint(SPEECH / MODELS[cell])
            calibration = Dataset.load(data / "calibration.npz")
            tuning = Dataset.load(data / "tuning.npz")
            test = Dataset.load(data / "test.npz")
            model.save(folder / "model.safetensors")
        with stages.stage("quantize to 8-bit weights and codes") as show:
            network = quantize(model, calibration, Scheme(), show)
        with stages.stage("choose the delta threshold") as show:
            trials = Trials(network, tuning, workers=os.cpu_count() or 1, progress=show)
            with trials:
                curve = tune(trials, "uniform", ALLOWED * MARGIN, candidates={8: budget.thresholds})
            network = curve.network
            network.save(folder / "network.safetensors")

        beside = [
            stack.enter_context(Beside(command, folder / f"{name}.log", stages))
            for name, command in _verbs(folder, data / "test.npz", budget).items()
        ]
        with stages.stage("evaluate on the test set") as show:
            evaluation = evaluate(network, test, model, budget.word_bits, show)
        for verb in beside:
            verb.wait()
        with stages.stage("draw the threshold curve"):
            draw(curve, evaluation, folder)
        runs = [
            run
            for simulator, _ in budget.frames
            for run in json.loads(_results(folder, simulator).read_text("utf-8"))["runs"]
        ]
        board = _board_report(folder) if budget.board else {}
    report = _report(cell, budget, curve, evaluation, runs, board)
    report |= {"stage_seconds": stages.seconds, "units": UNITS}
    write_json(report, folder / REPORT)
    return report


def _verbs(folder: Path, test: Path, budget: Budget) -> dict[str, Command]:
    """What runs beside the evaluation, by name."""
    network, word_bits = folder / "network.safetensors", ("--word-bits", budget.word_bits)
    verbs: dict[str, Command] = {}
    words: list[str | int | Path]
    places: list[str | int | Path]
    if budget.board:
        words = ["build", network, "--board", budget.board, *word_bits, "--synth-only"]
        verbs["synthesis"] = Command(
            title=f"synthesize for {budget.board}",
            words=[*words, "-o", folder / "board"],
            result=folder / "board" / BOARD_REPORT,
        )
    for simulator, frames in budget.frames:
        stalls = [] if simulator in budget.stalled else ["--idle", "0", "--backpressure", "0"]
        words = ["simulate", network, "--data", test, "--sim", simulator, *word_bits, *stalls]
        places = ["--workdir", folder / simulator, "--json", _results(folder, simulator)]
        verbs[simulator] = Command(
            title=f"simulate {frames} frames in {simulator}",
            words=[*words, "--frames", frames, *places],
            result=_results(folder, simulator),
        )
    return verbs


def _results(folder: Path, simulator: str) -> Path:
    return folder / f"{simulator}.json"


def _board_report(folder: Path) -> dict[str, Any]:
    import json

    report: dict[str, Any] = json.loads((folder / "board" / BOARD_REPORT).read_text("utf-8"))
    return report


def _report(
    cell: str,
    budget: Budget,
    curve: "Tuning",
    evaluation: "Evaluation",
    runs: list[dict[str, Any]],
    board: dict[str, Any],
) -> dict[str, Any]:
    """The figures; cycles are those of the first simulation at full speed."""
    speed = next((run for run in runs if run["cycles_per_step"] is not None), runs[0])
    area = {
        name: board[name]["used"] if board else None for name in ("luts", "ffs", "dsps", "brams")
    }
    return {
        "cell": cell,
        "float_error": evaluation.float_error,
        "quantized_error": evaluation.quantized_error,
        "delta_error": evaluation.delta_error,
        "eliminated_operations": evaluation.eliminated_operations,
        "threshold": threshold_of(curve.chosen),
        "rtl_words": sum(run["words"] for run in runs),
        "rtl_mismatches": sum(run["mismatches"] for run in runs),
        "cycles_per_step": speed["cycles_per_step"],
        "ideal_cycles_per_step": speed["ideal_cycles_per_step"],
        "utilisation": speed["utilisation"],
        **area,
        "available": {name: board[name]["available"] for name in area} if board else {},
        "board": budget.board,
        "word_bits": budget.word_bits,
        "test_frames": evaluation.steps,
        "scored_frames": evaluation.scored,
        "test_ideal_cycles_per_step": evaluation.ideal_cycles_per_step_delta,
        "test_ideal_cycles_per_step_dense": evaluation.ideal_cycles_per_step_dense,
        "size_bits": evaluation.size_bits,
        "simulations": runs,
        "threshold_curve": [
            {"threshold": threshold_of(p), "error": p.error, "eliminated_operations": p.eliminated}
            for p in by_threshold(curve)
        ],
    }
