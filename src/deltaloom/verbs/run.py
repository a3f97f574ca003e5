# SPDX-License-Identifier: Apache-2.0
"""`deltaloom run`: data through a board, a simulated board or golden; every output is compared."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError
from ..terminal.document import write_document
from ..terminal.frame_options import add_frames, note_shortfall, read_frames
from ..terminal.options import add_data, add_network, add_thresholds, set_thresholds
from ..terminal.outputs import check_output
from ..terminal.progress import stage_lines
from ..terminal.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..golden.arithmetic import Ints
    from ..golden.evaluation.networks import AnyNetwork
    from ..host.accelerator import Accelerator

MISMATCH = 1
"""Exit code of an accelerator that does not say what golden says."""


class Run:
    """Opens an accelerator, loads NET where another is there, runs data, compares every word."""

    help = "run data on a board, a simulated board or golden, and compare every output"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            "Opens the accelerator of a build, loads NET unless it is there already, runs frames "
            "of the data through it, and compares every output word with the golden model. "
            f"Exit code {MISMATCH} where one differs. See docs/host.md."
        )
        add_network(parser)
        add_data(parser, "sequences to run; labels are not needed")
        parser.add_argument(
            "--port",
            metavar="P",
            required=True,
            default=argparse.SUPPRESS,
            help="serial port of the board, such as /dev/ttyUSB0; sim for a simulated board of the "
            "build; golden for none",
        )
        parser.add_argument(
            "--build",
            type=Path,
            metavar="DIR",
            default=argparse.SUPPRESS,
            help="folder of the board's `deltaloom build`; only golden does without",
        )
        add_frames(parser)
        parser.add_argument(
            "--baud",
            type=int,
            metavar="B",
            default=argparse.SUPPRESS,
            help="bits a second of the serial port (default: what the board was built for)",
        )
        parser.add_argument(
            "--noise",
            type=float,
            metavar="P",
            default=0.0,
            help="chance, 0 to below 1, that a byte on a simulated board's line is damaged",
        )
        add_thresholds(parser)
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="write the outputs, real values, to this .npz: outputs [frames, outputs] and "
            "lengths [sequences] (default: none)",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.data import Dataset
        from ..golden.evaluation.networks import load_network
        from ..host.accelerator import Accelerator

        check_output(getattr(args, "output", None), args.network, args.data)
        network = set_thresholds(load_network(args.network), getattr(args, "threshold", []))
        sequences = read_frames(args, network, Dataset.load(args.data))
        with (
            stage_lines() as progress,
            Accelerator.open(
                args.port,
                build=getattr(args, "build", None),
                network=network,
                baud=getattr(args, "baud", None),
                noise=args.noise,
                progress=progress,
            ) as accelerator,
        ):
            progress("running")
            outputs, figures = run_sequences(accelerator, network, sequences)
        figures = {"port": args.port} | figures
        if "output" in args:
            _write(network, outputs, args.output)
        _print(figures)
        note_shortfall(args, sequences)
        write_document(args, figures)
        if figures["differ"]:
            raise SystemExit(MISMATCH)


def run_sequences(
    accelerator: "Accelerator", network: "AnyNetwork", sequences: "Sequence[Ints]"
) -> "tuple[list[Ints], dict[str, Any]]":
    """The output words of each sequence, and the run's figures as plain data."""
    import numpy as np

    from ..golden.evaluation.networks import run_words

    accelerator.counters(clear=True)
    started = time.perf_counter()
    outputs = [accelerator.predict(words).astype(np.int64) for words in sequences]
    seconds = time.perf_counter() - started
    counted = accelerator.counters()
    wanted = [result.outputs for result in run_words(network, sequences)]
    return outputs, {
        "frames": sum(len(words) for words in sequences),
        "sequences": len(sequences),
        "words": sum(words.size for words in outputs),
        "differ": sum(int((a != b).sum()) for a, b in zip(outputs, wanted, strict=True)),
        "eliminated": counted.eliminated,
        "cycles_per_step": None if counted.cycles is None else counted.cycles / counted.steps,
        "seconds": round(seconds, 3),
    }


def _write(network: "AnyNetwork", outputs: "list[Ints]", file: Path) -> None:
    import numpy as np

    from ..golden.evaluation.networks import real_outputs
    from ..golden.writing import replacing

    if file.suffix != ".npz":
        raise UserError(f"-o {file}: must end in .npz")
    real = real_outputs(network, np.concatenate(outputs)).astype(np.float32)
    with replacing(file) as temporary, temporary.open("wb") as out:
        np.savez(out, outputs=real, lengths=[len(words) for words in outputs])


def _print(figures: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"deltaloom run: {figures['port']}", show_header=False)
    cycles = figures["cycles_per_step"]
    for name, value in (
        ("frames", f"{figures['frames']:,} in {figures['sequences']} sequences"),
        ("words compared with golden", f"{figures['words']:,}"),
        ("words that differ", f"{figures['differ']:,}"),
        ("multiplications eliminated", _percent(figures["eliminated"])),
        ("cycles a frame", "-" if cycles is None else f"{cycles:,.1f}"),
        (
            "frames a second, line and host included",
            f"{figures['frames'] / figures['seconds']:,.0f}" if figures["seconds"] else "-",
        ),
    ):
        table.add_row(name, value)
    print_table(table)


def _percent(part: float | None) -> str:
    return "not counted" if part is None else f"{100 * part:.1f} %"
