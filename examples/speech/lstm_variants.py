# SPDX-License-Identifier: Apache-2.0
"""Train an LSTM of every variant on the shipped clips, and quantize it to an integer-only LSTM.

The clips are those that ship with deltaloom: training takes the calibration and the tuning set
(85 clips, 21,383 frames), a fraction of what the shipped models were trained on, so that errors are
larger than theirs; what counts is the integer network against the float one. A table is printed.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.integer_lstm.float_layers import EPSILON, FloatLinear, FloatLstm
from deltaloom.golden.integer_lstm.float_network import FloatNetwork
from deltaloom.golden.integer_lstm.shape import COUPLED, GATES

DATA = Path(dl.__file__).parent / "data" / "speech"
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "coupled gates": ("coupled",),
    "peepholes": ("peephole",),
    "projection": ("projection",),
    "layer norm": ("norm",),
    "peepholes, projection": ("peephole", "projection"),
    "layer norm, projection": ("norm", "projection"),
    "all": ("coupled", "peephole", "projection", "norm"),
}
CELLS, PROJECTED = 128, 64
STEPS, BATCH = 50, 64
"""Frames of a piece of a sequence, and pieces of a batch."""
THRESHOLD = 8


class Lstm(nn.Module):
    """One layer, with the parts of a variant; the equations are `float_layers.float_step`'s."""

    def __init__(self, parts: Sequence[str], inputs: int) -> None:
        super().__init__()
        self.gates = COUPLED if "coupled" in parts else GATES
        count = len(self.gates)
        outputs = PROJECTED if "projection" in parts else CELLS

        def matrix(rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns) / columns**0.5)

        self.weights = matrix(count * CELLS, inputs)
        self.recurrent = matrix(count * CELLS, outputs)
        self.bias = nn.Parameter(torch.zeros(count, CELLS))
        self.bias.data[self.gates.index("f")] = 1.0
        self.peephole = nn.Parameter(torch.zeros(3, CELLS)) if "peephole" in parts else None
        self.norm = nn.Parameter(torch.ones(count, CELLS)) if "norm" in parts else None
        self.projection = matrix(outputs, CELLS) if "projection" in parts else None

    def forward(self, x: Tensor) -> Tensor:
        """h [batch, steps, outputs] of x [batch, steps, inputs]."""
        count = len(self.gates)
        sums = (x @ self.weights.T).reshape(*x.shape[:2], count, CELLS)
        c = x.new_zeros(len(x), CELLS)
        h = x.new_zeros(len(x), self.recurrent.shape[1])
        found = []
        for t in range(x.shape[1]):
            p = sums[:, t] + (h @ self.recurrent.T).reshape(-1, count, CELLS)
            early = [name for name in self.gates if name != "o"]
            gate = {name: self.gate(k, p[:, k], c) for k, name in enumerate(early)}
            f = torch.sigmoid(gate["f"])
            i = torch.sigmoid(gate["i"]) if "i" in gate else 1 - f
            c = f * c + i * torch.tanh(gate["g"])
            h = torch.sigmoid(self.gate(count - 1, p[:, -1], c)) * torch.tanh(c)
            if self.projection is not None:
                h = h @ self.projection.T
            found.append(h)
        return torch.stack(found, 1)

    def gate(self, k: int, v: Tensor, c: Tensor) -> Tensor:
        seen = [name for name in self.gates if name != "g"]
        if self.peephole is not None and self.gates[k] in seen:
            v = v + self.peephole[seen.index(self.gates[k])] * c
        if self.norm is None:
            return v + self.bias[k]
        d = v - v.mean(1, keepdim=True)
        d = d / torch.sqrt((d * d).mean(1, keepdim=True) + EPSILON)
        return d * self.norm[k] + self.bias[k]

    def layer(self, name: str) -> FloatLstm:
        def array(values: Tensor | None) -> np.ndarray | None:
            return None if values is None else values.detach().double().numpy()

        count = len(self.gates)
        peephole = array(self.peephole)
        return FloatLstm(
            name=name,
            gates=self.gates,
            weights=array(self.weights).reshape(count, CELLS, -1),
            recurrent=array(self.recurrent).reshape(count, CELLS, -1),
            bias=array(self.bias),
            peephole=None if peephole is None else peephole[: count - 1],
            norm=array(self.norm),
            projection=array(self.projection),
        )


def pieces(data: Dataset) -> tuple[Tensor, Tensor]:
    """Sequences cut into pieces, the last of each filled up with frames that are not scored."""
    features, labels = [], []
    for x, y in zip(data.features, data.labels, strict=True):
        for start in range(0, len(x), STEPS):
            missing = max(start + STEPS - len(x), 0)
            features.append(np.pad(x[start : start + STEPS], ((0, missing), (0, 0))))
            labels.append(np.pad(y[start : start + STEPS], (0, missing), constant_values=-1))
    return torch.tensor(np.array(features), dtype=torch.float32), torch.tensor(np.array(labels))


def train(parts: Sequence[str], sets: Sequence[Dataset], epochs: int, seed: int) -> FloatNetwork:
    """The trained network, with names for its outputs."""
    torch.manual_seed(seed)
    pairs = [pieces(data) for data in sets]
    x, y = (torch.cat([pair[k] for pair in pairs]) for k in (0, 1))
    classes = sets[0].label_names
    lstm = Lstm(parts, x.shape[2])
    out = nn.Linear(lstm.recurrent.shape[1], len(classes))
    drop = nn.Dropout(0.3)
    modules = nn.ModuleList([lstm, out])
    steps = epochs * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(modules.parameters(), lr=3e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            scores = out(drop(lstm(x[rows])))
            loss = nn.functional.cross_entropy(
                scores.flatten(0, 1), y[rows].flatten(), ignore_index=-1
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
            optimizer.step()
            rate.step()
    weights, bias = (p.detach().double().numpy() for p in (out.weight, out.bias))
    linear = FloatLinear(name="linear", weights=weights, bias=bias)
    return FloatNetwork(layers=(lstm.layer("lstm"), linear), labels=classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="default: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sets = [dl.Dataset.load(DATA / f"{name}.npz") for name in ("calibration", "tuning")]
    test = dl.Dataset.load(DATA / "test.npz")
    print(f"| variant | kB | float | integer-only | corrected | with thresholds {THRESHOLD} |")
    print("|---|---|---|---|---|---|")
    for name in args.variants or VARIANTS:
        start = time.perf_counter()
        floats = train(VARIANTS[name], sets, args.epochs, args.seed)
        seconds = time.perf_counter() - start
        networks = [
            dl.quantize_integer_lstm(floats, sets[0], corrected=corrected)
            for corrected in (False, True)
        ]
        usual, other = (dl.evaluate(network, test, floats) for network in networks)
        sparse = dl.evaluate(uniform_thresholds(networks[0], THRESHOLD), test)
        other_error = f"{other.quantized_error:.2f} %" if "projection" in VARIANTS[name] else ""
        print(
            f"| {name} | {usual.size_bits / 8000:.1f} | {usual.float_error:.2f} % "
            f"| {usual.quantized_error:.2f} % | {other_error} "
            f"| {sparse.delta_error:.2f} %, {sparse.eliminated_operations:.1f} % eliminated |",
            f"<!-- {seconds:.0f} s -->",
            flush=True,
        )


if __name__ == "__main__":
    main()
