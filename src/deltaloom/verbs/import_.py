# SPDX-License-Identifier: Apache-2.0
"""`deltaloom import`: a trained checkpoint in, a float model out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..golden.models.float_model import FloatModel


class Import:
    """Reads a checkpoint, finds its layers, and writes them as a float model."""

    help = "import a trained PyTorch, Keras, ONNX or npz checkpoint as a float model"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "checkpoint",
            type=Path,
            metavar="CKPT",
            help="PyTorch, SpeechBrain, PyTorch-Kaldi or sru state dict: .pt, .pth, .ckpt or .pkl "
            "(needs torch), .safetensors, .npz; Keras weights: .h5 (needs h5py) or .npz with names "
            "LAYER/kernel; .onnx (needs onnx); float16, bfloat16, float32 or float64; "
            "docs/checkpoints.md lists what each may hold",
        )
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="MODEL",
            required=True,
            default=argparse.SUPPRESS,
            help="float model to write (.safetensors, float32)",
        )
        parser.add_argument(
            "--labels",
            metavar="LABELS",
            default=argparse.SUPPRESS,
            help="names of the outputs: a file with one a line, or a list with commas "
            "(default: none)",
        )
        parser.add_argument(
            "--order",
            metavar="MODULES",
            default=argparse.SUPPRESS,
            help="names of the modules from input to output, with commas; "
            "needed only where the shapes fit several orders (default: from the shapes)",
        )

        parser.add_argument(
            "--candidate-scale",
            metavar="SCALES",
            default=argparse.SUPPRESS,
            help="PyTorch-Kaldi's 1 - dropout, which multiplies LiGRU's candidate at test time: "
            "0.8, or one a recurrent layer with commas (default: 1, as in SpeechBrain)",
        )
        parser.add_argument(
            "--without-skip",
            action="store_true",
            help="the layers of the package sru were made with has_skip_term=False; "
            "needed only where all have as many inputs as units",
        )
        parser.add_argument(
            "--bidirectional",
            action="store_true",
            help="the layers run in both directions, where the checkpoint does not tell: those of "
            "sru, and a last LiGRU or PyTorch-Kaldi layer",
        )
        parser.add_argument(
            "--reset",
            choices=("after", "before"),
            default=argparse.SUPPRESS,
            help="whether a Keras GRU without biases resets after the recurrent product or before "
            "(default: from the shape of its bias)",
        )

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.importers.checkpoint import ImportOptions, import_checkpoint

        if args.output.resolve() == args.checkpoint.resolve():
            raise UserError(f"-o {args.output}: is the checkpoint itself; name another file")
        order = getattr(args, "order", "")
        model = import_checkpoint(
            args.checkpoint,
            labels=read_labels(args.labels) if "labels" in args else (),
            order=[name.strip() for name in order.split(",")] if order else (),
            options=ImportOptions(
                candidate_scale=_read_scales(args.candidate_scale)
                if "candidate_scale" in args
                else (),
                without_skip=args.without_skip,
                bidirectional=args.bidirectional,
                reset=getattr(args, "reset", ""),
            ),
        )
        model.save(args.output)
        _print_summary(model, args.output)


def _read_scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"candidate scale {text}: give numbers with commas between, as in 0.8,0.8,1"
        ) from error


def read_labels(text: str) -> list[str]:
    """Labels from a file with one a line if `text` is its path, else from a list with commas."""
    file = Path(text)
    if file.is_file():
        try:
            labels = file.read_text(encoding="utf-8").rstrip().splitlines() or [""]
        except UnicodeDecodeError as error:
            raise UserError(f"labels {text}: not UTF-8 text; give one label a line") from error
        what = "line"
    elif "," not in text and (file.suffix or len(file.parts) > 1):
        raise UserError(f"labels {text}: no such file; give a file or a list with commas")
    else:
        labels, what = text.split(","), "place"
    labels = [label.strip() for label in labels]
    if "" in labels:
        raise UserError(f"labels {text}: {what} {labels.index('') + 1} is empty; name every output")
    return labels


def _print_summary(model: "FloatModel", file: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("layer", "cell")
    for heading in ("inputs", "units", "parameters"):
        table.add_column(heading, justify="right")
    for layer in model.layers:
        numbers = (layer.inputs, layer.units, layer.parameters)
        table.add_row(escape(layer.name), layer.kind, *(f"{n:,}" for n in numbers))
    console = Console()
    console.print(table)
    if any(layer.kind == "linear" for layer in model.layers[:-1]):
        console.print(
            "A checkpoint does not tell what follows a linear layer; no activation is assumed.",
            soft_wrap=True,
        )
    if any(layer.kind.startswith("sru") for layer in model.layers):
        one = not any(layer.backward for layer in model.layers)
        console.print(
            "A checkpoint of sru does not tell a bidirectional layer from one of twice the units; "
            f"{'one direction is' if one else 'both directions are'} assumed, and no activation "
            "of c.",
            soft_wrap=True,
        )
    console.print(f"{model.parameters:,} parameters -> {escape(str(file))}", soft_wrap=True)
