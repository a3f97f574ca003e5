# SPDX-License-Identifier: Apache-2.0
"""`deltaloom import`: a trained checkpoint in, a float model out."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError, printable
from ..golden.writing import is_stream, replacing, same, together
from ..terminal.console import stdout
from ..terminal.document import write_document
from ..terminal.imported import (
    plain_layers,
    plain_summary,
    plain_where,
    print_layers,
    print_summary,
    print_where,
)
from ..terminal.lstm_layers import plain_lstm_layers, print_lstm_layers
from ..terminal.outputs import check_output

if TYPE_CHECKING:
    from ..golden.importers.checkpoint import Imported
    from ..golden.importers.options import ImportOptions
    from ..golden.importers.tflite.read import AnyNetwork

TFLITE = ".tflite"


class Import:
    """Reads a checkpoint, finds its layers, and writes them as a float model."""

    help = "import a trained PyTorch, Keras, ONNX, TFLite or npz checkpoint as a float model"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "checkpoint",
            type=Path,
            metavar="CKPT",
            help="PyTorch, SpeechBrain, PyTorch-Kaldi or sru state dict: .pt, .pth, .ckpt or .pkl "
            "(needs torch), .safetensors (one, a part or the index), .npz; Keras: .h5, .keras "
            "(need h5py) or .npz with names LAYER/kernel; .onnx (needs onnx); .tflite with LSTMs; "
            "float16, bfloat16, float32 or float64; docs/checkpoints.md lists what each may hold",
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
            "--normalize-after",
            action="store_true",
            help="the layers of the package sru were made with normalize_after=True; needed only "
            "where all have as many inputs as units",
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
        parser.add_argument(
            "--recurrent-norm",
            action="store_true",
            help="LiGRU layers are SpeechBrain's SLiGRU, whose recurrent layer norm has no "
            "parameters unless it was made with recurrent_elementwise_affine",
        )
        parser.add_argument(
            "--norm-epsilon",
            type=float,
            metavar="E",
            default=argparse.SUPPRESS,
            help="what layer normalization adds to a variance, of files of tensors, which do not "
            "tell it (default: 1e-5, as in PyTorch, or what docs/checkpoints.md lists)",
        )
        parser.add_argument(
            "--nonlinearity",
            choices=("tanh", "relu"),
            default=argparse.SUPPRESS,
            help="of an Elman network (nn.RNN, SimpleRNN) of which the file holds weights only "
            "(default: as the file tells)",
        )
        parser.add_argument(
            "--embedding",
            metavar="NAME",
            default=argparse.SUPPRESS,
            help="the module or tensor that is an embedding, so that frames are tokens; of files "
            "of tensors whose names do not tell it (default: by its name)",
        )
        parser.add_argument(
            "--keep-embedding",
            action="store_true",
            help="make the embedding a layer of its own: fewer weights where the next layer is "
            "wide, but a product in every step; it is folded into the next layer's weights "
            "otherwise",
        )
        _add_parts(parser)

    def run(self, args: argparse.Namespace) -> None:
        from ..golden.importers.checkpoint import read_checkpoint

        if same(args.output, args.checkpoint):
            raise UserError(f"-o {args.output}: is the checkpoint itself; name another file")
        check_output(args.output)
        order = getattr(args, "order", "")
        labels = read_labels(args.labels) if "labels" in args else []
        options = _read_options(args)
        if args.checkpoint.suffix.lower() == TFLITE:
            if order:
                raise UserError(f"{args.checkpoint}: order: a graph tells it; leave --order out")
            _import_tflite(args, labels, options)
            return
        found = read_checkpoint(
            args.checkpoint,
            labels=labels,
            order=[name.strip() for name in order.split(",")] if order else (),
            options=options,
        )
        with together():
            sides = _save_sides(found, args)
            found.model.save(args.output)
        print_summary(found, args.output, sides)
        write_document(args, plain_summary(found, args.output, sides))


def _read_options(args: argparse.Namespace) -> "ImportOptions":
    from ..golden.importers.options import ImportOptions

    scales = getattr(args, "candidate_scale", "")
    return ImportOptions(
        candidate_scale=_read_scales(scales) if scales else (),
        without_skip=args.without_skip,
        normalize_after=args.normalize_after,
        bidirectional=args.bidirectional,
        reset=getattr(args, "reset", ""),
        recurrent_norm=args.recurrent_norm,
        norm_epsilon=getattr(args, "norm_epsilon", None),
        nonlinearity=getattr(args, "nonlinearity", ""),
        only=tuple(getattr(args, "only", ())),
        ignore=tuple(getattr(args, "ignore", ())),
        start=getattr(args, "start", ""),
        end=getattr(args, "end", ""),
        embedding=getattr(args, "embedding", ""),
        keep_embedding=args.keep_embedding,
        zero_state=args.zero_state,
        check=not args.no_check,
        most_bytes=_read_limit(args.limit),
    )


def _import_tflite(
    args: argparse.Namespace, labels: Sequence[str], options: "ImportOptions"
) -> None:
    from rich.markup import escape

    from ..golden.importers.tflite.read import read_tflite
    from ..golden.models.float_model import FloatModel

    found = read_tflite(args.checkpoint, labels, options)
    with together():
        found.network.save(args.output)
    console = stdout()
    print_where(found.where)
    if isinstance(found.network, FloatModel):
        print_layers(found.network)
        layers = plain_layers(found.network)
    else:
        print_lstm_layers(found.network)
        layers = plain_lstm_layers(found.network)
    for note in found.notes:
        console.print(escape(printable(note)), soft_wrap=True)
    console.print(f"{_contents(found.network)} -> {escape(str(args.output))}", soft_wrap=True)
    figures = {"layers": layers, "nodes": plain_where(found.where), "notes": found.notes}
    write_document(args, {"output": args.output, **figures})


def _contents(network: "AnyNetwork") -> str:
    """What a network is, in words."""
    from ..golden.integer_lstm.float_network import FloatNetwork
    from ..golden.integer_lstm.network import IntegerNetwork

    if isinstance(network, IntegerNetwork):
        return f"an integer-only LSTM network, {network.size_bits / 8000:,.1f} kB"
    text = f"{network.parameters:,} parameters"
    if isinstance(network, FloatNetwork):
        text += ", which `deltaloom quantize --scheme integer-lstm` takes, and no other scheme"
    return text


def _add_parts(parser: argparse.ArgumentParser) -> None:
    """Options for a checkpoint of which only a part becomes the network."""
    for option, names in (("--only", "to read"), ("--ignore", "to leave out of the network")):
        parser.add_argument(
            option,
            action="append",
            metavar="PATTERN",
            default=argparse.SUPPRESS,
            help=f"tensors {names}, by name, as in a shell: 'decoder.*'; may be given several "
            "times (default: none)",
        )
    for option, dest, place in (("--from", "start", "first"), ("--to", "end", "last")):
        parser.add_argument(
            option,
            dest=dest,
            metavar="NODE",
            default=argparse.SUPPRESS,
            help=f"the network's {place}: an ONNX graph's node, by its name or a value that it "
            f"makes, or a Keras model's layer; what is {'before' if place == 'first' else 'after'} "
            "it is cut off (default: from the file)",
        )
    parser.add_argument(
        "--zero-state",
        action="store_true",
        help="take first states that an ONNX graph gets from elsewhere to be zeros",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not run the model against onnxruntime or Keras; the model's file says so",
    )
    parser.add_argument(
        "--limit",
        type=float,
        metavar="GB",
        default=1.0,
        help="gigabytes of values that a checkpoint may make",
    )


def _read_limit(gigabytes: float) -> int:
    if not 0 < gigabytes < 1e6:
        raise UserError(f"--limit {gigabytes:g}: give gigabytes, above 0")
    return int(gigabytes * 2**30)


def _save_sides(found: "Imported", args: argparse.Namespace) -> list[Path]:
    """Write what stands before and after the network next to the model's file; the files."""
    written = []
    for name, content in (("before.onnx", found.before), ("after.onnx", found.after)):
        file = args.output.with_name(name)
        if not content or is_stream(args.output):
            continue
        if file.resolve() in (args.output.resolve(), args.checkpoint.resolve()):
            raise UserError(f"{file}: is in the way of what is cut off; give -o another folder")
        with replacing(file) as temporary:
            temporary.write_bytes(content)
        written.append(file)
    return written


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
