# SPDX-License-Identifier: Apache-2.0
"""Makes sru_vectors.npz: weights, inputs and outputs of the package `sru` 2.6.0.

Keys "case:name", one sequence a case; the weights are the whole float32 state dict of sru.SRU,
everything else is float64. D = directions, k = 4 where a layer's inputs and D * units differ and
there is a skip term, else 3:

    weights:rnn_lst.{n}.weight       [inputs or projection, D * units * k], column
                                     (d * units + j) * k + m; m = 0: x~, 1: f, 2: r, 3: skip
    weights:rnn_lst.{n}.weight_proj  [inputs, projection], only where the layer has one
    weights:rnn_lst.{n}.weight_c     [2 * D * units], v_f then v_r (zeros in case v1)
    weights:rnn_lst.{n}.bias         [2 * D * units], b_f then b_r
    weights:rnn_lst.{n}.scale_x      [1]; multiplies the skipped input where k = 3, not where k = 4
    x  [steps, inputs]
    c0 [layers, D * units], only in case initial; zero elsewhere
    h  [steps, D * units], output of the last layer
    c_n [layers, D * units], last c of each layer; a backward direction's is that of step 0

The package's compiled operator knows float32 only: the outputs are those of its Python one, which
runs where gradients are wanted, after a check that both agree to 1e-5.

Cases: k3, k4 (and k3 in its second layer), projection, v1, bidirectional, rescale (scale_x and
highway_bias -1), no_skip, initial.

Run with torch, ninja, a C++ compiler and sru 2.6.0 installed (its first import compiles for two
minutes): python tests/golden/make_sru_vectors.py
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from vector_files import named, random_weights, save_cases

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # there is no CUDA here
    import sru

FILE = Path(__file__).with_name("sru_vectors.npz")
STEPS = 19
CASES = {
    "k3": {"input_size": 7, "hidden_size": 7, "num_layers": 1},
    "k4": {"input_size": 5, "hidden_size": 7, "num_layers": 2},
    "projection": {"input_size": 5, "hidden_size": 7, "num_layers": 2, "projection_size": 3},
    "v1": {"input_size": 5, "hidden_size": 7, "num_layers": 2, "v1": True},
    "bidirectional": {"input_size": 5, "hidden_size": 7, "num_layers": 2, "bidirectional": True},
    "rescale": {
        "input_size": 5,
        "hidden_size": 7,
        "num_layers": 2,
        "rescale": True,
        "highway_bias": -1.0,
    },
    "no_skip": {"input_size": 5, "hidden_size": 7, "num_layers": 2, "has_skip_term": False},
    "initial": {"input_size": 5, "hidden_size": 7, "num_layers": 2},
}


def run(case: str) -> dict[str, np.ndarray]:
    """One case's arrays."""
    options = CASES[case]
    network = sru.SRU(**options).eval()
    for layer in network.rnn_lst:
        layer.bias.data.add_(torch.rand_like(layer.bias) - 0.5)
    weights = random_weights(network, gain=1.5)
    x = torch.randn(STEPS, 1, options["input_size"], dtype=torch.float64)
    shape = (options["num_layers"], 1, network.output_size)
    start = torch.rand(shape, dtype=torch.float64) * 4 - 2 if case == "initial" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the Python operator is slow
        h, c_n = (tensor.detach() for tensor in network(x, start))
    with torch.no_grad():
        compiled, _ = network.float()(x.float(), None if start is None else start.float())
    torch.testing.assert_close(compiled.double(), h, rtol=1e-5, atol=1e-5)
    arrays = {"x": x, "h": h, "c_n": c_n} | ({} if start is None else {"c0": start})
    return named(weights) | {name: tensor[:, 0].numpy() for name, tensor in arrays.items()}


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    torch.manual_seed(20240610)
    save_cases(FILE, {case: run(case) for case in CASES})


if __name__ == "__main__":
    main()
