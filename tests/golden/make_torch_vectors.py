# SPDX-License-Identifier: Apache-2.0
"""Makes torch_vectors.npz: weights, inputs and outputs of a small PyTorch network.

Run with torch installed: python tests/golden/make_torch_vectors.py
"""

from pathlib import Path

import numpy as np
import torch

FILE = Path(__file__).with_name("torch_vectors.npz")
INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 23


class Network(torch.nn.Module):
    """Two LSTM layers of odd sizes and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, UNITS, num_layers=2)
        self.fc = torch.nn.Linear(UNITS, OUTPUTS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h, _ = self.lstm(x)
        return self.fc(h), h


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    torch.manual_seed(20240607)
    network = Network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.5)  # PyTorch's start is small: let the gates leave their linear part
    weights = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    x = torch.randn(STEPS, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        y, h = network.double()(x)
    vectors = {f"weights:{name}": array for name, array in weights.items()}
    np.savez_compressed(FILE, x=x.numpy(), h=h.numpy(), y=y.numpy(), **vectors)
    print(f"{FILE}: torch {torch.__version__}, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
