# SPDX-License-Identifier: Apache-2.0
"""Train one of the four networks of "Shrink and Eliminate" on the data sets of ``prepare.py``.

Bidirectional layers (``cells.py``) and a linear layer that names each frame's phone. The rate is
halved after each epoch that lowers the frame error on the development set by less than 0.1 points;
the weights of the best epoch are kept. The checkpoint is a float32 state dict,
``<out>/<cell>.safetensors``, with the names of PyTorch-Kaldi (LSTM, GRU, LiGRU) or ``sru``, and
``linear.weight``, ``linear.bias``.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from cells import SharedLayer, SRULayer
from rich.progress import Progress
from safetensors.torch import save_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
LEAST = 0.001  # of the frame error, what an epoch must bring for the rate to stay


def speech() -> ModuleType:
    """examples/speech/train.py: its data sets, batches and frame error serve here, too."""
    folder = ROOT / "examples" / "speech"
    sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location("speech_train", folder / "train.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder / 'train.py'} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


SPEECH = speech()


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the paper's networks: layers of units a direction; projection of SRU's inputs."""

    layers: int
    units: int
    dropout: float
    rate: float
    projection: int = 0


SHAPES = {
    "lstm": Shape(4, 550, dropout=0.2, rate=1e-3),
    "gru": Shape(5, 550, dropout=0.2, rate=4e-4),
    "ligru": Shape(5, 550, dropout=0.2, rate=4e-4),
    "sru": Shape(4, 550, dropout=0.1, rate=1e-3, projection=256),
}


class Classifier(nn.Module):
    """The recurrent layers and a linear one. skip: SRU's; see ``cells.SRULayer``."""

    def __init__(self, cell: str, inputs: int, classes: int, shape: Shape, skip: bool) -> None:
        super().__init__()
        widths = [inputs, *[2 * shape.units] * (shape.layers - 1)]
        self.recurrent = nn.ModuleList(
            SRULayer(width, shape.units, shape.dropout, shape.projection, skip)
            if cell == "sru"
            else SharedLayer(cell, width, shape.units, shape.dropout)
            for width in widths
        )
        self.linear = nn.Linear(2 * shape.units, classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits ``[batch, frames, classes]``; without lengths, no frame is padding.

        They are computed where the weights are, and come back to where ``x`` is.
        """
        home, device = x.device, self.linear.weight.device
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1])
        x, lengths = x.to(device), lengths.to(device)
        for layer in self.recurrent:
            x = layer(x, lengths)
        logits: Tensor = self.linear(x).to(home)
        return logits

    def export(self) -> dict[str, Tensor]:
        """The state dict of the checkpoint."""
        state = {f"linear.{name}": tensor for name, tensor in self.linear.state_dict().items()}
        for number, layer in enumerate(self.recurrent):
            state |= layer.export(number)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def lengths_of(labels: Tensor) -> Tensor:
    """``[batch]`` frames up to the last scored one of labels ``[batch, frames]``.

    What is after it is padding, or adds nothing to the loss.
    """
    places = torch.arange(1, labels.shape[1] + 1)
    lengths: Tensor = ((labels != SPEECH.IGNORED) * places).amax(dim=1)
    return lengths.clamp(min=1)


def train(args: argparse.Namespace, data: Any, held_out: Any) -> tuple[Classifier, float]:
    """The network of the best epoch and its frame error on ``held_out``; both are ``DataSet``."""
    generator = torch.Generator().manual_seed(args.seed)
    torch.manual_seed(args.seed)
    shape = Shape(args.layers, args.units, args.dropout, args.rate, args.projection)
    bands, classes = data.features[0].shape[1], len(data.label_names)
    model = Classifier(args.cell, bands, classes, shape, not args.without_skip).to(args.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)
    score = nn.CrossEntropyLoss(ignore_index=SPEECH.IGNORED)
    whole = max(len(x) for x in data.features)  # utterances are not cut
    best, kept = 1.0, model.state_dict()
    with Progress() as progress:
        task = progress.add_task(f"training {args.cell}", total=args.epochs)
        for epoch in range(args.epochs):
            model.train()
            losses = []
            for x, y in SPEECH.batches(data, args.batch, whole, generator):
                loss = score(model(x, lengths_of(y)).flatten(0, 1), y.flatten())
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                losses.append(loss.item())
            error = SPEECH.frame_error(model, held_out)
            if best - error < LEAST:
                optimiser.param_groups[0]["lr"] /= 2
            if error < best or not epoch:
                best, kept = error, {n: t.clone() for n, t in model.state_dict().items()}
            text = f"epoch {epoch + 1:2d}: loss {np.mean(losses):.3f}, frame error {error:.2%}"
            progress.console.print(text)
            progress.advance(task)
    model.load_state_dict(kept)
    return model, best


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    work = ROOT / "build" / "timit"
    parser = argparse.ArgumentParser(
        description="train a bidirectional phone classifier",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--cell", choices=sorted(SHAPES), default="lstm", help="recurrent cell")
    parser.add_argument("--data", type=Path, default=work, help="folder of prepare.py's files")
    parser.add_argument("--out", type=Path, default=work, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8, help="utterances per step")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--device", default="cpu", help="where PyTorch trains, such as cuda")
    parser.add_argument(
        "--without-skip",
        action="store_true",
        help="SRU without skip, which keeps its projections when it is imported",
    )
    unset = argparse.SUPPRESS  # the cell's own values come later
    texts = {
        "layers": (int, "4 (lstm, sru), 5 (gru, ligru)"),
        "units": (int, "550 a direction"),
        "dropout": (float, "0.2 of the candidates; sru: 0.1 of the inputs"),
        "rate": (float, "first learning rate: 0.001 (lstm, sru), 0.0004 (gru, ligru)"),
        "projection": (int, "of sru's inputs but the first layer's: 256; 0: none"),
    }
    for name, (kind, text) in texts.items():
        parser.add_argument(f"--{name}", type=kind, default=unset, help=f"default: {text}")
    args = parser.parse_args(argv)
    for name in texts:
        vars(args).setdefault(name, getattr(SHAPES[args.cell], name))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Train and save; returns the exit code."""
    args = parse(argv)
    torch.set_num_threads(args.threads)
    paths = [args.data / "train.npz", args.data / "dev.npz"]
    for path in paths:
        if not path.exists():
            print(f"train: {path} is missing; run prepare.py first", file=sys.stderr)
            return 1
    began = time.perf_counter()
    model, error = train(args, *map(SPEECH.load_data_set, paths))
    args.out.mkdir(parents=True, exist_ok=True)
    target = args.out / f"{args.cell}.safetensors"
    save_file(model.export(), target)
    print(f"{target}: frame error {error:.2%} (dev), {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
