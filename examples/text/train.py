# SPDX-License-Identifier: Apache-2.0
"""Train an LSTM or a GRU on a data set that `prepare.py` made; a state dict as it comes out.

An ``nn.Embedding``, one recurrent layer, one ``nn.Linear``: of a language model to all words at
every step, of reviews to two classes at the last one. Saved in float16, half of the file.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from prepare import BUILD
from torch import nn

from deltaloom.golden.data import IGNORED, Dataset
from deltaloom.golden.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """Sizes and training of a text's networks. rate: falls to a tenth by a cosine."""

    width: int
    units: int
    epochs: int
    batch: int
    rate: float
    dropout: float


RECIPES = {
    "bible": Recipe(32, 64, 4, 32, 5e-3, 0.0),
    "ptb": Recipe(128, 256, 10, 64, 2e-3, 0.4),
    "snippets": Recipe(24, 24, 6, 64, 5e-3, 0.5),
    "imdb": Recipe(32, 64, 8, 32, 2e-3, 0.4),
}


class Text(nn.Module):
    """Tokens [sequences, steps] to outputs [sequences, steps, outputs]."""

    def __init__(self, cell: str, recipe: Recipe, words: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, recipe.width)
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.rnn = kind(recipe.width, recipe.units, batch_first=True)
        self.fc = nn.Linear(recipe.units, outputs)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        h, _ = self.rnn(self.dropout(self.embedding(tokens)))
        return self.fc(self.dropout(h))


def batches(
    data: Dataset, size: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Tokens and labels [sequences, steps] of sequences of like length, in random order."""
    lengths = np.array([len(x) for x in data.features])
    order = np.argsort(lengths + rng.random(len(lengths)) * 4, kind="stable")
    parts = [order[n : n + size] for n in range(0, len(order), size)]
    for part in rng.permutation(len(parts)):
        rows = parts[part]
        steps = int(lengths[rows].max())
        tokens = np.zeros((len(rows), steps), np.int64)
        labels = np.full((len(rows), steps), IGNORED)
        for at, n in enumerate(rows):
            tokens[at, : lengths[n]] = data.features[n]
            labels[at, : lengths[n]] = data.labels[n]
        yield torch.from_numpy(tokens), torch.from_numpy(labels)


def loss_of(model: Text, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the labelled steps."""
    outputs = model(tokens)[labels != IGNORED]
    return nn.functional.cross_entropy(outputs, labels[labels != IGNORED])


def judge(model: Text, data: Dataset) -> str:
    """The test's perplexity, or percent of the sequences that are wrong."""
    model.eval()
    losses, wrong, count = 0.0, 0, 0
    with torch.no_grad():
        for tokens, labels in batches(data, 50, np.random.default_rng(0)):
            outputs, wanted = model(tokens)[labels != IGNORED], labels[labels != IGNORED]
            losses += float(nn.functional.cross_entropy(outputs, wanted, reduction="sum"))
            wrong += int((outputs.argmax(-1) != wanted).sum())
            count += len(wanted)
    if data.task == "language":
        return f"perplexity {np.exp(losses / count):.2f}"
    return f"error {100 * wrong / count:.2f} %"


def train(name: str, cell: str, folder: Path, seed: int = 0) -> Path:
    """Train one network; its file."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    data, test = (Dataset.load(folder / f"{name}-{part}.npz") for part in ("train", "test"))
    words = len((folder / f"{name}-words.txt").read_text("utf-8").splitlines())
    outputs = words if data.task == "language" else len(data.label_names)
    recipe = RECIPES[name]
    model = Text(cell, recipe, words, outputs)
    optimizer = torch.optim.Adam(model.parameters(), recipe.rate, weight_decay=1e-6)
    steps = recipe.epochs * -(-len(data) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, recipe.rate / 10)
    started = time.monotonic()
    for epoch in range(recipe.epochs):
        model.train()
        for tokens, labels in batches(data, recipe.batch, rng):
            optimizer.zero_grad()
            loss_of(model, tokens, labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        took = time.monotonic() - started
        print(f"{name} {cell}, epoch {epoch + 1}, {took:.0f} s: {judge(model, test)}", flush=True)
    file = folder / f"{name}-{cell}.pt"
    torch.save({key: value.half() for key, value in model.state_dict().items()}, file)
    return file


def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit code."""
    parser = argparse.ArgumentParser(description="train a network on tokens")
    parser.add_argument("name", choices=RECIPES, help="which text")
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder of `prepare.py`")
    args = parser.parse_args(argv)
    try:
        print(train(args.name, args.cell, args.out))
    except (UserError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
