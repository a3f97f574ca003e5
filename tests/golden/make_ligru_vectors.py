# SPDX-License-Identifier: Apache-2.0
"""Makes ligru_vectors.npz: weights, inputs and outputs of SpeechBrain's LiGRU in eval mode.

Keys "case:name", one sequence a case; the weights are the whole float32 state dict of
speechbrain.nnet.RNN.LiGRU, everything else is float64:

    weights:rnn.{n}.w.weight  [2 units, inputs]    rows: candidate a, then update gate z
    weights:rnn.{n}.u.weight  [2 units, units]
    weights:rnn.{n}.norm.{weight,bias,running_mean,running_var}  [2 units]   BatchNorm1d, eps 1e-5
    weights:rnn.{n}.norm.num_batches_tracked  []   int64
    weights:rnn.{n}.h_init [1, units] zeros, .drop_masks [16000, units] and .drop_mask_te [1] ones
    x   [steps, inputs]
    hx  [layers, units], only in case initial; zero elsewhere
    h{n} [steps, directions * units], output of each layer

Cases: one, two (layers), bidirectional (two layers; the directions share their weights, and the
second layer's inputs are forward units, then backward ones), initial (two layers).

Run with torch and with speechbrain 1.1.2 installed (torchaudio is not needed; it is replaced):
python tests/golden/make_ligru_vectors.py
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from vector_files import named, random_weights, save_cases

FILE = Path(__file__).with_name("ligru_vectors.npz")
INPUTS, UNITS, STEPS = 5, 7, 19
CASES = {
    "one": {"num_layers": 1},
    "two": {"num_layers": 2},
    "bidirectional": {"num_layers": 2, "bidirectional": True},
    "initial": {"num_layers": 2},
}


def ligru_class() -> type[torch.nn.Module]:
    """SpeechBrain's class; its import asks for torchaudio, which the class does not use."""
    stand_in = mock.MagicMock(__spec__=ModuleSpec("torchaudio", None), __version__="2.13.0")
    sys.modules["torchaudio"] = stand_in
    from speechbrain.nnet.RNN import LiGRU

    return LiGRU


def run(case: str) -> dict[str, np.ndarray]:
    """One case's arrays."""
    network = ligru_class()(hidden_size=UNITS, input_shape=(1, STEPS, INPUTS), **CASES[case])
    network.eval()
    for layer in network.rnn:
        norm = layer.norm
        norm.weight.data.uniform_(0.3, 0.6)  # random_weights scales these three, and bias
        norm.bias.data.uniform_(-0.3, 0.3)
        norm.running_mean.uniform_(-1.0, 1.0)
        norm.running_var.uniform_(0.2, 3.0)
        norm.num_batches_tracked.fill_(42)
        layer.u.weight.data.mul_(0.25)  # orthogonal otherwise; times 2.5 an unbounded h explodes
    weights = random_weights(network)
    x = torch.randn(1, STEPS, INPUTS, dtype=torch.float64)
    layers = CASES[case]["num_layers"]
    start = torch.rand(layers, UNITS, dtype=torch.float64) * 3 if case == "initial" else None
    outputs = []
    hooks = [layer.register_forward_hook(lambda *a: outputs.append(a[2])) for layer in network.rnn]
    with torch.no_grad():
        # hx[n] is layer n's state, [batch, units]
        network(x, hx=None if start is None else start[:, None])
    for hook in hooks:
        hook.remove()
    arrays = {"x": x[0]} | ({} if start is None else {"hx": start})
    arrays |= {f"h{n}": h[0] for n, h in enumerate(outputs)}
    return named(weights) | {name: tensor.numpy() for name, tensor in arrays.items()}


def main() -> None:
    """Float32 weights, run in float64, so that the outputs are the true ones to 1e-15."""
    torch.manual_seed(20240609)
    save_cases(FILE, {case: run(case) for case in CASES})


if __name__ == "__main__":
    main()
