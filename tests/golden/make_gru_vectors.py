# SPDX-License-Identifier: Apache-2.0
"""Makes gru_vectors.npz: weights, inputs and outputs of PyTorch nn.GRU networks.

Keys "case:name", one unbatched sequence a case; float32 weights, everything else float64:

    weights:gru.weight_ih_l{n}[_reverse]  [3 units, inputs]   gates r, z, n
    weights:gru.weight_hh_l{n}[_reverse]  [3 units, units]
    weights:gru.bias_ih_l{n}[_reverse], weights:gru.bias_hh_l{n}[_reverse]  [3 units]
    weights:fc.weight [3, directions * units], weights:fc.bias [3]
    x   [steps, inputs]
    h0  [layers * directions, units], only in case initial; zero elsewhere
    h   [steps, directions * units], output of the last GRU layer
    h_n [layers * directions, units], last state of each layer and direction
    y   [steps, 3], output of the linear layer

Cases: one, two (layers), no_bias (neither GRU nor linear has any), bidirectional (two layers),
initial (two layers, a given first state).

Run with torch installed: python tests/golden/make_gru_vectors.py
"""

from pathlib import Path

import numpy as np
import torch
from vector_files import named, random_weights, save_cases

FILE = Path(__file__).with_name("gru_vectors.npz")
INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 19
CASES = {
    "one": {},
    "two": {"num_layers": 2},
    "no_bias": {"bias": False},
    "bidirectional": {"num_layers": 2, "bidirectional": True},
    "initial": {"num_layers": 2},
}


class Network(torch.nn.Module):
    """GRU layers of odd sizes and a linear layer."""

    def __init__(self, bias: bool = True, bidirectional: bool = False, num_layers: int = 1) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(
            INPUTS, UNITS, num_layers=num_layers, bias=bias, bidirectional=bidirectional
        )
        self.fc = torch.nn.Linear(UNITS * (2 if bidirectional else 1), OUTPUTS, bias=bias)


def run(case: str) -> dict[str, np.ndarray]:
    """One case's arrays."""
    network = Network(**CASES[case])
    weights = random_weights(network)
    x = torch.randn(STEPS, INPUTS, dtype=torch.float64)
    start = (torch.rand(2, UNITS, dtype=torch.float64) * 2 - 1,) if case == "initial" else ()
    with torch.no_grad():
        h, h_n = network.gru(x, *start)
        y = network.fc(h)
    arrays = {"x": x, "h": h, "h_n": h_n, "y": y} | ({"h0": start[0]} if start else {})
    return named(weights) | {name: tensor.numpy() for name, tensor in arrays.items()}


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    torch.manual_seed(20240608)
    save_cases(FILE, {case: run(case) for case in CASES})


if __name__ == "__main__":
    main()
