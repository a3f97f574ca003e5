# SPDX-License-Identifier: Apache-2.0
"""Train a recurrent phone classifier on the data sets of ``prepare.py``.

The network is ``layers`` x ``hidden`` unidirectional recurrent layers and a linear layer, run
frame by frame from zero state at the start of each sequence. The checkpoint is a plain float32
state dict, ``<out>/<cell>.safetensors`` and ``<out>/<cell>.pt``. Its names are those of the
multi-layer class of each cell's own package (``CELLS``) and of ``nn.Linear`` under ``linear``:
``lstm.weight_ih_l0``, ..., ``linear.weight``, ``linear.bias``.

Training has two phases: the plain network, then ``--delta-epochs`` epochs as a delta network (see
``delta.py``) with a penalty on large states. The second makes the network tolerate the
thresholds it will run with, and keeps its states within a small fixed-point range.

The frame error is the share of scored frames (label >= 0) whose highest output is not the label.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from delta import delta_forward
from ligru import LiGRU
from lstm_cells import CoupledLSTM, PeepholeLSTM, ProjectedLSTM
from min_gru import MinGRU
from norm_cells import NormGRU, NormLSTM, SLiGRU
from numpy.typing import NDArray
from rich.progress import Progress
from safetensors.torch import save_file
from sru import SRU
from torch import Tensor, nn
from torch_cells import GRU, LSTM, RNN

ROOT = Path(__file__).resolve().parents[2]
IGNORED = -1  # label of a frame that is not scored


@dataclass(frozen=True, slots=True)
class Cell:
    """What differs between the cells.

    Parameters
    ----------
    layer : class
        ``cls(inputs, units, batch_first=True)(x) -> (h, state)``; also a ``delta.Layer``.
    tensor : str
        Name in the checkpoint of a layer's tensor.
    layers, threshold_h, delta_l1
        What the options of these names are where the command line does not say; h is within +-1
        in an LSTM or GRU alone.
    """

    layer: type[nn.Module]
    tensor: str
    layers: int
    threshold_h: float
    delta_l1: float


CELLS = {
    "lstm": Cell(LSTM, "lstm.{name}_l{n}", layers=2, threshold_h=0.1, delta_l1=1.0),
    "gru": Cell(GRU, "gru.{name}_l{n}", layers=2, threshold_h=0.1, delta_l1=1.0),
    "ligru": Cell(LiGRU, "rnn.{n}.{name}", layers=2, threshold_h=0.2, delta_l1=1.0),
    "rnn": Cell(RNN, "rnn.{name}_l{n}", layers=2, threshold_h=0.1, delta_l1=1.0),
    "min_gru": Cell(MinGRU, "layers.{n}.{name}", layers=4, threshold_h=0.2, delta_l1=0.3),
    "sru": Cell(SRU, "sru.rnn_lst.{n}.{name}", layers=4, threshold_h=0.2, delta_l1=0.3),
    "lstm_norm": Cell(NormLSTM, "lstm.{n}.{name}", layers=2, threshold_h=0.1, delta_l1=1.0),
    "gru_norm": Cell(NormGRU, "gru.{n}.{name}", layers=2, threshold_h=0.1, delta_l1=1.0),
    "sligru": Cell(SLiGRU, "rnn.{n}.{name}", layers=2, threshold_h=0.1, delta_l1=0.3),
    "lstm_peephole": Cell(PeepholeLSTM, "lstm.{n}.{name}", 2, threshold_h=0.1, delta_l1=1.0),
    "lstm_coupled": Cell(CoupledLSTM, "lstm.{n}.{name}", 2, threshold_h=0.1, delta_l1=1.0),
    "lstm_projected": Cell(ProjectedLSTM, "lstm.{n}.{name}", 2, threshold_h=0.1, delta_l1=1.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """Sequences of one .npz file.

    Parameters
    ----------
    features : list of float32 tensors, shape [frames, bands]
    labels : list of int64 tensors, shape [frames]
        Class numbers; -1 for frames that are not scored.
    label_names : list of str
    """

    features: list[Tensor]
    labels: list[Tensor]
    label_names: list[str]


def load_data_set(path: Path) -> DataSet:
    """Read one file that ``prepare.py`` wrote."""
    with np.load(path) as arrays:
        stops = np.cumsum(arrays["lengths"])[:-1]
        return DataSet(
            features=split(arrays["features"].astype(np.float32), stops),
            labels=split(arrays["labels"].astype(np.int64), stops),
            label_names=[str(name) for name in arrays["label_names"]],
        )


def joined(sets: Sequence[DataSet]) -> DataSet:
    """All sequences of data sets with the same labels."""
    return DataSet(
        features=[x for part in sets for x in part.features],
        labels=[y for part in sets for y in part.labels],
        label_names=sets[0].label_names,
    )


def split(array: NDArray, stops: NDArray) -> list[Tensor]:
    """Cut a concatenated array into one tensor per sequence."""
    return [torch.from_numpy(part.copy()) for part in np.split(array, stops)]


class Classifier(nn.Module):
    """Stacked recurrent layers and a linear output.

    Parameters
    ----------
    cell : str
        A key of ``CELLS``.
    inputs, hidden, layers, classes : int
        Features per frame, units per layer, recurrent layers, output classes.
    dropout : float
        Probability on the inputs of every layer but the first.
    """

    def __init__(
        self, cell: str, inputs: int, hidden: int, layers: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        sizes = [inputs, *[hidden] * layers]
        self.recurrent = nn.ModuleList(
            self.cell.layer(size, hidden, batch_first=True) for size in sizes[:-1]
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[batch, frames, classes]`` of features ``[batch, frames, inputs]``."""
        for number, layer in enumerate(self.recurrent):
            x, _ = layer(self.dropout(x) if number else x)
        logits: Tensor = self.linear(self.dropout(x))
        return logits

    def export(self) -> dict[str, Tensor]:
        """The state dict under the names of the cell's own package."""
        state = {}
        for number, layer in enumerate(self.recurrent):
            for name, tensor in layer.state_dict().items():
                target = self.cell.tensor.format(name=name.removesuffix("_l0"), n=number)
                state[target] = tensor.clone()
        for name, tensor in self.linear.state_dict().items():
            state[f"linear.{name}"] = tensor.clone()
        return state


def batches(
    data: DataSet, size: int, chunk: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled training batches: features ``[size, <= chunk, bands]`` and labels.

    Long sequences are cut at a random phase into pieces of at most ``chunk`` frames; pieces of
    similar length share a batch and are padded with zeros, which are not scored.
    """
    pieces = []
    for x, y in zip(data.features, data.labels, strict=True):
        start = -int(torch.randint(chunk, (), generator=generator)) if len(x) > chunk else 0
        for begin in range(start, len(x), chunk):
            part = slice(max(begin, 0), begin + chunk)
            pieces.append((x[part], y[part]))
    noise = torch.rand(len(pieces), generator=generator) * 20
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i][0]) + float(noise[i]))
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    for number in torch.randperm(len(groups), generator=generator).tolist():
        xs, ys = zip(*(pieces[i] for i in groups[number]), strict=True)
        yield (
            nn.utils.rnn.pad_sequence(list(xs), batch_first=True),
            nn.utils.rnn.pad_sequence(list(ys), batch_first=True, padding_value=IGNORED),
        )


@torch.no_grad()
def frame_error(model: Classifier, data: DataSet) -> float:
    """Share of scored frames that are classified wrongly, over whole sequences."""
    model.eval()
    wrong = total = 0
    for x, y in zip(data.features, data.labels, strict=True):
        scored = y != IGNORED
        best = model(x[None])[0].argmax(dim=-1)
        wrong += int((best != y)[scored].sum())
        total += int(scored.sum())
    return wrong / total


def entropy(args: argparse.Namespace, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the scored frames of ``[batch, frames, classes]``."""
    score = nn.CrossEntropyLoss(ignore_index=IGNORED, label_smoothing=args.smoothing)
    loss: Tensor = score(logits.flatten(0, 1), labels.flatten())
    return loss


def plain_loss(args: argparse.Namespace, model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the plain network, with noise on the features."""
    return entropy(args, model(x + args.noise * torch.randn_like(x)), y)


def delta_loss(args: argparse.Namespace, model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the delta network, plus penalties on moves of ``h`` and on large states."""
    thresholds = (args.threshold_x, args.threshold_h)
    outputs, excess = delta_forward(
        list(model.recurrent), model.dropout, x, thresholds, args.cell_limit
    )
    logits = model.linear(model.dropout(outputs[-1]))
    moves = torch.stack([h.diff(dim=1).abs().mean() for h in outputs]).mean()
    loss: Tensor = entropy(args, logits, y) + args.delta_l1 * moves + args.cell_weight * excess
    return loss


def train(args: argparse.Namespace, data: DataSet, test: DataSet) -> tuple[Classifier, float]:
    """Both phases, AdamW and a cosine schedule each; returns the model and its error on `test`."""
    generator = torch.Generator().manual_seed(args.seed)
    torch.manual_seed(args.seed)
    bands, classes = data.features[0].shape[1], len(data.label_names)
    model = Classifier(args.cell, bands, args.hidden, args.layers, classes, args.dropout)
    phases = [
        ("plain", plain_loss, args.epochs, args.lr),
        ("delta", delta_loss, args.delta_epochs, args.delta_lr),
    ]
    error = 1.0
    with Progress() as progress:
        task = progress.add_task(f"training {args.cell}", total=args.epochs + args.delta_epochs)
        for phase, loss_of, epochs, lr in phases:
            optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=args.weight_decay)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(epochs, 1))
            for epoch in range(epochs):
                model.train()
                losses = []
                for x, y in batches(data, args.batch, args.chunk, generator):
                    loss = loss_of(args, model, x, y)
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimiser.step()
                    losses.append(loss.item())
                schedule.step()
                error = frame_error(model, test)
                progress.console.print(
                    f"{phase} epoch {epoch + 1:2d}: loss {np.mean(losses):.3f}, "
                    f"frame error {error:.2%}"
                )
                progress.advance(task)
    return model, error


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    work = ROOT / "build" / "speech"
    parser = argparse.ArgumentParser(
        description="train a phone classifier",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--cell", choices=sorted(CELLS), default="lstm", help="recurrent cell")
    parser.add_argument("--data", type=Path, default=work, help="folder of prepare.py's files")
    parser.add_argument("--out", type=Path, default=work, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=128, help="units per layer")
    unset = argparse.SUPPRESS  # the cell's own values come later
    parser.add_argument("--layers", type=int, default=unset, help="default: 2, sru and min_gru 4")
    parser.add_argument("--batch", type=int, default=16, help="pieces per step")
    parser.add_argument("--chunk", type=int, default=300, help="longest piece, frames")
    parser.add_argument("--lr", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.1, help="input noise, std")
    parser.add_argument("--smoothing", type=float, default=0.05, help="label smoothing")
    delta = parser.add_argument_group("delta phase")
    delta.add_argument("--delta-epochs", type=int, default=10)
    delta.add_argument("--delta-lr", type=float, default=1.5e-3, help="peak learning rate")
    moves = "weight of mean |h_t - h_t-1| (default: 1, sru and min_gru 0.3)"
    delta.add_argument("--delta-l1", type=float, default=unset, help=moves)
    delta.add_argument("--threshold-x", type=float, default=0.25, help="of the features (+-4)")
    held = "of h (default: 0.1, ligru, sru, min_gru 0.2)"
    delta.add_argument("--threshold-h", type=float, default=unset, help=held)
    delta.add_argument("--cell-limit", type=float, default=4.0, help="|c| free of penalty")
    delta.add_argument("--cell-weight", type=float, default=10.0, help="weight of the mean excess")
    args = parser.parse_args(argv)
    for name in ("layers", "threshold_h", "delta_l1"):
        vars(args).setdefault(name, getattr(CELLS[args.cell], name))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Train and save; returns the exit code."""
    args = parse(argv)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    paths = [args.data / f"{name}.npz" for name in ("train", "tuning", "test")]
    for path in paths:
        if not path.exists():
            print(f"train: {path} is missing; run prepare.py first", file=sys.stderr)
            return 1
    began = time.perf_counter()
    data, *held_out = map(load_data_set, paths)
    model, error = train(args, data, joined(held_out))
    state = model.export()
    args.out.mkdir(parents=True, exist_ok=True)
    training = {
        "cell": args.cell,
        "seed": args.seed,
        "epochs": args.epochs,
        "delta_epochs": args.delta_epochs,
        "delta_l1": args.delta_l1,
        "frame_error": round(error, 5),
        "torch": torch.__version__,
    }
    target = args.out / f"{args.cell}.safetensors"
    metadata = {"training": json.dumps(training)}
    if args.cell == "rnn":
        metadata["nonlinearity"] = "tanh"  # its tensors do not tell
    save_file(state, target, metadata=metadata)
    torch.save(state, target.with_suffix(".pt"))
    print(f"{target}: frame error {error:.2%}, {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
