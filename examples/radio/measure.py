# SPDX-License-Identifier: Apache-2.0
"""Error of the power amplifier's network on the test part: floating point, and with its weights
alone rounded to a few bits (everything else in floating point).

A matrix's weights are multiples of its largest magnitude divided by 2**(bits - 1) - 1, "rows":
of each row's largest magnitude.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]


def rounded(weights: Tensor, bits: int, rows: bool) -> Tensor:
    """The nearest weights that ``bits`` can hold, ``[rows, columns]``."""
    largest = weights.abs().amax(dim=1, keepdim=True) if rows else weights.abs().max()
    step: Tensor = largest / (2 ** (bits - 1) - 1)
    return torch.round(weights / step) * step


class Network(nn.Module):
    """The GRU and the linear layer; state dict as in ``model.safetensors``."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 37, bias=False)
        self.linear = nn.Linear(37, 2, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``[frames, 2]`` and h ``[frames, 37]``."""
        h, _ = self.gru(x)
        return self.linear(h), h


class Measurement:
    """``test.npz``: sequences run one by one, from zero state."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as arrays:
            stops = np.cumsum(arrays["lengths"])[:-1].tolist()
            self.features = torch.from_numpy(arrays["features"]).tensor_split(stops)
            self.wanted = arrays["targets"].astype(np.float64)
            self.offset = arrays["offset"].astype(np.float64)

    @torch.no_grad()
    def nmse(self, weights: dict[str, Tensor]) -> tuple[float, float]:
        """Normalised mean square error in dB, and the largest |h|."""
        network = Network()
        network.load_state_dict(weights)
        outputs, states = zip(*(network(x) for x in self.features), strict=True)
        errors = torch.cat(outputs).numpy() + self.offset - self.wanted
        ratio = float((errors**2).sum() / (self.wanted**2).sum())
        return 10 * np.log10(ratio), float(torch.cat(states).abs().max())


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="measure the power amplifier's network")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "radio", help="its folder")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    weights = load_file(args.data / "model.safetensors")
    test = Measurement(args.data / "test.npz")
    error, largest = test.nmse(weights)
    print(f"float          {error:7.2f} dB, largest |h| {largest:.3f}")
    for bits in (16, 12, 10, 8):
        for rows in (False, True):
            error, _ = test.nmse({k: rounded(w, bits, rows) for k, w in weights.items()})
            print(f"{bits:2} bits {'rows  ' if rows else 'matrix'}  {error:7.2f} dB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
