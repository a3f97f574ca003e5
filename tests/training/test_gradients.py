# SPDX-License-Identifier: Apache-2.0
"""Gradients against PyTorch's own, of the same network in floating point, and where they stop."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.states import first_codes
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.training.network import DeltaNetwork
from deltaloom.training.packed import Packed

INPUTS, UNITS, OUTPUTS, LENGTHS = 5, 8, 3, (12, 9, 12)


def made(folder, kind, **options):
    """(module, its linear layer, its network of 16/16 bits as a torch module, frames by sequence).

    Where weights have 16 bits, what remains of rounding is far below a gradient.
    """
    torch.manual_seed(3)
    own = getattr(torch.nn, kind)(INPUTS, UNITS, **options)
    probe, _ = own(torch.zeros(1, 1, INPUTS))
    linear = torch.nn.Linear(probe.shape[-1], OUTPUTS)
    state = {f"rnn.{name}": v.detach().clone() for name, v in own.state_dict().items()}
    state |= {f"fc.{name}": v.detach().clone() for name, v in linear.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"nonlinearity": "tanh"})
    model = import_checkpoint(folder / "model.safetensors")
    rng = np.random.default_rng(1)
    frames = tuple(rng.normal(size=(n, INPUTS)).astype(np.float32) for n in LENGTHS)
    scheme = Scheme(weight_bits=16, activation_bits=16, input_scale="none")
    network = quantize(model, Dataset(frames), scheme)
    return own, linear, network, model, frames


def gradients_of(network, model, frames, weight):
    """The module's parameters' gradients, and its outputs by sequence."""
    module = DeltaNetwork(network, model)
    packed = Packed.of([len(x) for x in frames])
    words = packed.packing.pack([quantize_frames(network, x) for x in frames], INPUTS)
    first = first_codes(network, {}, len(frames))
    outputs, _ = module(packed, torch.from_numpy(words).float(), first)
    real = outputs * 2.0 ** (network.y_exponent - 15)
    (real.tanh() * torch.from_numpy(packed.packing.pack(weight, OUTPUTS))).sum().backward()
    return module, packed.packing.unpack(real.detach().numpy())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"num_layers": 2, "bidirectional": True}),
        ("LSTM", {"proj_size": 4}),
        ("LSTM", {"proj_size": 4, "bidirectional": True}),
        ("GRU", {"num_layers": 2}),
        ("RNN", {"num_layers": 2}),
    ],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_against_torch(tmp_path, kind, options):
    own, linear, network, model, frames = made(tmp_path, kind, **options)
    rng = np.random.default_rng(2)
    weight = [rng.normal(size=(n, OUTPUTS)).astype(np.float32) for n in LENGTHS]
    module, outputs = gradients_of(network, model, frames, weight)
    total = 0.0
    for x, w, y in zip(frames, weight, outputs, strict=True):
        wanted = linear(own(torch.from_numpy(x)[:, None])[0])[:, 0]
        np.testing.assert_allclose(y, wanted.detach().numpy(), atol=2e-3)
        total = total + (wanted.tanh() * torch.from_numpy(w)).sum()
    total.backward()
    wanted = {
        name: torch.cat([p.grad.flatten() for p in parameters]).numpy()
        for name, parameters in (
            ("weights", [p for n, p in own.named_parameters() if n.startswith("weight")]),
            ("bias", [linear.bias]),
            ("linear", [linear.weight]),
        )
    }
    layers = [module.get_submodule(f"_layers.{n}") for n in range(len(network.layers))]
    paths = [path for layer in layers[:-1] for path in layer.paths]
    # Gates come in another order, and layers of both directions in one: compare what is sorted.
    found = {
        "weights": torch.cat([path.weights.grad.flatten() for path in paths]).numpy(),
        "bias": layers[-1].bias.grad.numpy().reshape(-1),
        "linear": layers[-1].paths[0].weights.grad.numpy().reshape(-1),
    }
    for name, values in wanted.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(np.sort(found[name]), np.sort(values), atol=2e-3 * scale)


def test_a_held_reference_passes_its_gradient_on(tmp_path):
    """Threshold: each gradient is that of a network whose held values are what they are."""
    own, linear, network, model, frames = made(tmp_path, "RNN")
    names = {name: 3000 for name, _ in network.paths()}
    network = network.with_thresholds(names)
    weight = [np.ones((n, OUTPUTS), np.float32) for n in LENGTHS]
    module, outputs = gradients_of(network, model, frames, weight)
    total = 0.0
    exponents = {"x": network.x_exponent, "h": 0}

    def held(value, last, source):
        moved = (value - last).abs() > 3000 * 2.0 ** (exponents[source] - 15)
        return torch.where(moved, value, last)

    for x, w, y in zip(frames, weight, outputs, strict=True):
        h, x_held = torch.zeros(UNITS), torch.zeros(INPUTS)
        h_held, y_held, rows = h, h, []
        for frame in torch.from_numpy(x):
            x_held, h_held = held(frame, x_held, "x"), held(h, h_held, "h")
            h = torch.tanh(
                own.weight_ih_l0 @ x_held
                + own.weight_hh_l0 @ h_held
                + own.bias_ih_l0
                + own.bias_hh_l0
            )
            y_held = held(h, y_held, "h")
            rows.append(linear(y_held))
        wanted = torch.stack(rows)
        np.testing.assert_allclose(y, wanted.detach().numpy(), atol=2e-3)
        total = total + (wanted.tanh() * torch.from_numpy(w)).sum()
    total.backward()
    first = module.get_submodule("_layers.0")
    for path, parameter in zip(first.paths, (own.weight_ih_l0, own.weight_hh_l0), strict=True):
        wanted = parameter.grad.numpy()
        found = path.weights.grad.numpy()[0]
        np.testing.assert_allclose(found, wanted, atol=3e-3 * np.abs(wanted).max())


def test_nothing_passes_a_saturated_word(tmp_path):
    _, _, network, model, frames = made(tmp_path, "LSTM")
    module = DeltaNetwork(network, model)
    layer = module.get_submodule("_layers.0")
    with torch.no_grad():
        layer.bias.fill_(100.0)  # far beyond +-8
    packed = Packed.of([len(frames[0])])
    words = torch.from_numpy(quantize_frames(network, frames[0])).float()
    outputs, _ = module(packed, words, first_codes(network, {}, 1))
    outputs.sum().backward()
    assert not layer.bias.grad.any() and not layer.paths[0].weights.grad.any()
    assert module.get_submodule("_layers.1").bias.grad.all()
