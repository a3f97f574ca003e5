# SPDX-License-Identifier: Apache-2.0
"""Makes layer_norm_vectors.npz: SpeechBrain's LiGRU and SLiGRU and `sru` with layer normalization.

Keys "case:name", one sequence a case: "weights:NAME" of the whole float32 state dict but for
dropout's masks, x [steps, inputs] and h [steps, units], the last layer's output, both float64.

Cases: ligru (normalization "layernorm"), sligru (ff_normalization "layernorm"), sligru_batch
(BatchNorm), each of two layers; sligru_affine, with parameters in its recurrent norm; sru and
sru_after (normalize_after), of three layers, and sru_both_.. the same in both directions, "proj"
with a projection and a highway bias, "skipless" without a skip term.

Run with torch and with speechbrain 1.1.2 and sru 2.6.0 installed (torchaudio is not needed; it is
replaced): python tests/golden/make_layer_norm_vectors.py
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from vector_files import named, save_cases

FILE = Path(__file__).with_name("layer_norm_vectors.npz")
INPUTS, UNITS, STEPS = 5, 7, 15
SPEECHBRAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "ligru": ("LiGRU", {"normalization": "layernorm"}),
    "sligru": ("SLiGRU", {"ff_normalization": "layernorm"}),
    "sligru_batch": ("SLiGRU", {}),
    "sligru_affine": (
        "SLiGRU",
        {"ff_normalization": "layernorm", "recurrent_elementwise_affine": True},
    ),
}
BOTH, AFTER = {"bidirectional": True}, {"normalize_after": True}
SRU: dict[str, dict[str, Any]] = {
    "sru": {},
    "sru_after": AFTER,
    "sru_both": BOTH,
    "sru_both_after": BOTH | AFTER,
    "sru_both_proj": BOTH | {"projection_size": 3, "highway_bias": -1.0},
    "sru_both_skipless": BOTH | {"has_skip_term": False},
}


def changed(network: torch.nn.Module) -> torch.nn.Module:
    """In eval mode and float64, its parameters moved and rounded to float32."""
    for name, values in network.named_parameters():
        values.data = values.data + 0.3 * torch.randn_like(values)
        if ".u." in name:
            values.data *= 0.5
    for name, values in network.named_buffers():
        if name.endswith("running_var"):
            values.uniform_(0.2, 3.0)
        elif name.endswith("running_mean"):
            values.uniform_(-1.0, 1.0)
    return network.double().eval()


def speechbrain(case: str) -> dict[str, np.ndarray]:
    """One case's arrays; the import asks for torchaudio, which the classes do not use."""
    stand_in = mock.MagicMock(__spec__=ModuleSpec("torchaudio", None), __version__="2.13.0")
    sys.modules["torchaudio"] = stand_in
    import speechbrain.nnet.RNN as rnn

    name, options = SPEECHBRAIN[case]
    shape = (1, STEPS, INPUTS)
    network = changed(
        getattr(rnn, name)(hidden_size=UNITS, input_shape=shape, num_layers=2, **options)
    )
    x = torch.randn(*shape, dtype=torch.float64)
    with torch.no_grad():
        h, _ = network(x)
    return _arrays(network, x[0], h[0])


def sru(case: str) -> dict[str, np.ndarray]:
    """One case's arrays."""
    from sru import SRU as Network

    network = changed(
        Network(INPUTS, UNITS, num_layers=3, layer_norm=True, rescale=True, **SRU[case])
    )
    x = torch.randn(STEPS, 1, INPUTS, dtype=torch.float64)
    h, _ = network(x.requires_grad_())  # without gradients it takes float32 alone
    return _arrays(network, x[:, 0].detach(), h[:, 0].detach())


def _arrays(network: torch.nn.Module, x: torch.Tensor, h: torch.Tensor) -> dict[str, np.ndarray]:
    state = {k: v for k, v in network.state_dict().items() if "drop_masks" not in k}
    weights = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    return named(weights) | {"x": x.numpy(), "h": h.numpy()}


def main() -> None:
    torch.manual_seed(20261129)
    cases = {case: speechbrain(case) for case in SPEECHBRAIN}
    save_cases(FILE, cases | {case: sru(case) for case in SRU})


if __name__ == "__main__":
    main()
