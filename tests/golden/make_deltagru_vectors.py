# SPDX-License-Identifier: Apache-2.0
"""Makes deltagru_vectors.npz: a delta GRU by opendpd 2.4.2's DeltaGRULayer.

Keys "case:name", case = layers1 or layers2, one sequence each; float32 weights, the rest float64:

    weights:weight_ih_l{n} [3 units, inputs], weights:weight_hh_l{n} [3 units, units],
    weights:bias_ih_l{n}, weights:bias_hh_l{n} [3 units]   PyTorch's order, gates r, z, n
    x            [steps, inputs], multiples of 1/64
    thresholds   [runs]: 0, 0.05, 0.1 and 0.125, for x and h alike
    h            [runs, steps, units], output of the last layer
    zeros_x, zeros_h  int64 [runs], deltas of all layers and steps that are zero

An element fires where |x_t - x^_t-1| >= threshold, from x^ = h^ = 0. At 0.125, x has differences
that equal the threshold; at 0, an element that has not moved fires a delta of zero.

Run with torch installed, and opendpd as a wheel (do not install that: it has
top-level modules called main, models and utils):

    pip download --no-deps opendpd==2.4.2 -d build/opendpd
    python tests/golden/make_deltagru_vectors.py build/opendpd/opendpd-2.4.2-py3-none-any.whl
"""

import sys
from pathlib import Path

import numpy as np
import torch
from vector_files import named, random_weights, save_cases

FILE = Path(__file__).with_name("deltagru_vectors.npz")
INPUTS, UNITS, STEPS = 5, 7, 23
THRESHOLDS = (0.0, 0.05, 0.1, 0.125)
CASES = {"layers1": 1, "layers2": 2}


def run(layer_class: type[torch.nn.GRU], layers: int) -> dict[str, np.ndarray]:
    """One case's arrays."""
    network = layer_class(INPUTS, UNITS, layers)
    for name, parameter in network.named_parameters():
        if "bias" in name:  # zero otherwise
            parameter.data.uniform_(-0.3, 0.3)
    weights = random_weights(network, gain=1.5)
    walk = torch.cumsum(torch.randn(1, STEPS, INPUTS, dtype=torch.float64), dim=1) / 8
    x = torch.round(walk * 64) / 64
    outputs, zeros = [], []
    for threshold in THRESHOLDS:
        network.th_x = network.th_h = threshold
        counts = ("num_dx_zeros", "num_dx_numel", "num_dh_zeros", "num_dh_numel")
        network.statistics = dict.fromkeys(counts, 0)
        with torch.no_grad():
            outputs.append(network(x)[0].numpy())
        zeros.append([int(network.statistics[f"num_d{what}_zeros"]) for what in "xh"])
    zeros_x, zeros_h = np.array(zeros).T
    arrays = {"x": x[0].numpy(), "thresholds": np.array(THRESHOLDS), "h": np.array(outputs)}
    return named(weights) | arrays | {"zeros_x": zeros_x, "zeros_h": zeros_h}


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    sys.path.insert(0, sys.argv[1])  # a wheel is a zip file that Python can import from
    from backbones.deltagru import DeltaGRULayer

    torch.manual_seed(20240611)
    save_cases(FILE, {case: run(DeltaGRULayer, layers) for case, layers in CASES.items()})


if __name__ == "__main__":
    main()
