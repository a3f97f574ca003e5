# SPDX-License-Identifier: Apache-2.0
"""Makes lstm_vectors.npz: weights, inputs and outputs of PyTorch nn.LSTM in all its shapes.

Keys "case:name"; float32 weights, everything else float64:

    weights:lstm.weight_ih_l{n}[_reverse]  [4 units, inputs]      gates i, f, g, o
    weights:lstm.weight_hh_l{n}[_reverse]  [4 units, projection or units]
    weights:lstm.weight_hr_l{n}[_reverse]  [projection, units], only with a projection
    weights:lstm.bias_ih_l{n}[_reverse], weights:lstm.bias_hh_l{n}[_reverse]  [4 units]
    x{k} [steps, inputs], y{k} [steps, directions * (projection or units)] of sequence k, run as
    one packed sequence of unequal lengths
    h0, c0  [layers * directions, projection or units], [.., units], only in case initial

Cases: bidirectional, projection, both, initial (which has both, too), each of two layers.

Run with torch installed: python tests/golden/make_lstm_vectors.py
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_sequence, unpack_sequence
from vector_files import named, random_weights, save_cases

FILE = Path(__file__).with_name("lstm_vectors.npz")
INPUTS, UNITS, PROJECTION, LAYERS = 5, 7, 3, 2
LENGTHS = (4, 11, 1)
CASES = {
    "bidirectional": {"bidirectional": True},
    "projection": {"proj_size": PROJECTION},
    "both": {"bidirectional": True, "proj_size": PROJECTION},
    "initial": {"bidirectional": True, "proj_size": PROJECTION},
}


class Network(torch.nn.Module):
    """LSTM layers of odd sizes."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, UNITS, num_layers=LAYERS, **options)


def run(case: str) -> dict[str, np.ndarray]:
    """One case's arrays."""
    network = Network(**CASES[case])
    weights = random_weights(network)
    sequences = [torch.randn(n, INPUTS, dtype=torch.float64) for n in LENGTHS]
    arrays, start = {}, None
    if case == "initial":
        arrays["h0"] = torch.rand(2 * LAYERS, PROJECTION, dtype=torch.float64) * 2 - 1
        arrays["c0"] = torch.rand(2 * LAYERS, UNITS, dtype=torch.float64) * 4 - 2
        start = tuple(arrays[k][:, None].repeat(1, len(LENGTHS), 1) for k in ("h0", "c0"))
    with torch.no_grad():
        packed, _ = network.lstm(pack_sequence(sequences, enforce_sorted=False), start)
    for k, (x, h) in enumerate(zip(sequences, unpack_sequence(packed), strict=True)):
        arrays |= {f"x{k}": x, f"y{k}": h}
    return named(weights) | {name: tensor.numpy() for name, tensor in arrays.items()}


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    torch.manual_seed(20240613)
    save_cases(FILE, {case: run(case) for case in CASES})


if __name__ == "__main__":
    main()
