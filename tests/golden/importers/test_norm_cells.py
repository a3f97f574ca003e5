# SPDX-License-Identifier: Apache-2.0
"""Cells with layer normalization as modules of PyTorch: equal to them, or refused by name."""

import warnings

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, read_checkpoint
from deltaloom.golden.models.float_model import run_float

torch = pytest.importorskip("torch")
nn = torch.nn

INPUTS, UNITS, STEPS = 5, 7, 9


class ScriptedCell(nn.Module):
    """As custom_lstms.py has it: both products, and the cell state itself."""

    def __init__(self, inputs, units):
        super().__init__()
        self.weight_ih = nn.Parameter(0.5 * torch.randn(4 * units, inputs))
        self.weight_hh = nn.Parameter(0.5 * torch.randn(4 * units, units))
        self.layernorm_i = nn.LayerNorm(4 * units)
        self.layernorm_h = nn.LayerNorm(4 * units)
        self.layernorm_c = nn.LayerNorm(units)

    def forward(self, x, h, c):
        wx, uh = torch.mm(x, self.weight_ih.t()), torch.mm(h, self.weight_hh.t())
        i, f, g, o = (self.layernorm_i(wx) + self.layernorm_h(uh)).chunk(4, 1)
        c = self.layernorm_c(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c


class LinearCell(nn.Module):
    """Of linear layers i2h and h2h; cell: whether the cell state is normalized, too."""

    def __init__(self, inputs, units, cell=True):
        super().__init__()
        self.i2h, self.h2h = nn.Linear(inputs, 4 * units), nn.Linear(units, 4 * units)
        self.ln_i2h, self.ln_h2h = nn.LayerNorm(4 * units), nn.LayerNorm(4 * units)
        self.ln_cell = nn.LayerNorm(units) if cell else nn.Identity()

    def forward(self, x, h, c):
        i, f, o, g = (self.ln_i2h(self.i2h(x)) + self.ln_h2h(self.h2h(h))).chunk(4, 1)
        c = self.ln_cell(f.sigmoid() * c + i.sigmoid() * g.tanh())
        return o.sigmoid() * c.tanh(), c


class Layer(nn.Module):
    """A cell over [steps, batch, inputs]."""

    def __init__(self, cell, backward: bool = False):
        super().__init__()
        self.cell, self.backward, self.units = cell, backward, UNITS

    def forward(self, x):
        h = torch.zeros(x.size(1), self.units, dtype=x.dtype)
        c, outputs = h, []
        steps = x.unbind(0)
        for n in range(len(steps)):
            h, c = self.cell(steps[len(steps) - 1 - n if self.backward else n], h, c)
            outputs += [h]
        if self.backward:
            outputs.reverse()
        return torch.stack(outputs)


class Both(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        cells = [ScriptedCell(inputs, UNITS) for _ in range(2)]
        self.directions = nn.ModuleList([Layer(cells[0]), Layer(cells[1], True)])

    def forward(self, x):
        outputs = []
        for direction in self.directions:
            outputs += [direction(x)]
        return torch.cat(outputs, -1)


def network(form):
    torch.manual_seed(1)
    made = {
        "custom_lstms": lambda: [Layer(ScriptedCell(INPUTS, UNITS)), nn.Linear(UNITS, 3)],
        "custom_lstms, both directions": lambda: [Both(INPUTS), Both(2 * UNITS)],
        "i2h and h2h": lambda: [Layer(LinearCell(INPUTS, UNITS)), Layer(LinearCell(UNITS, UNITS))],
        "i2h and h2h, not the cell": lambda: [Layer(LinearCell(INPUTS, UNITS, cell=False))],
        "a cell and a norm behind it": lambda: [
            Layer(ScriptedCell(INPUTS, UNITS)),
            nn.LayerNorm(UNITS),
        ],
    }[form]()
    whole = nn.Sequential(*made).eval()
    for values in whole.parameters():
        values.data += 0.2 * torch.randn_like(values)
    return whole


FORMS = {
    "custom_lstms": "lstm_norm_xh_c linear",
    "custom_lstms, both directions": "lstm_norm_xh_c " * 4,
    "i2h and h2h": "lstm_norm_xh_c lstm_norm_xh_c",
    "i2h and h2h, not the cell": "lstm_norm_xh",
    "a cell and a norm behind it": "lstm_norm_xh_c layer_norm",
}


def read(tmp_path, tensors, **options):
    torch.save(tensors, tmp_path / "net.pt")
    return read_checkpoint(tmp_path / "net.pt", options=ImportOptions(**options))


@pytest.mark.parametrize("form", FORMS)
def test_equals_its_source(form, tmp_path):
    net = network(form)
    model = read(tmp_path, net.state_dict()).model
    assert [layer.kind for layer in model.layers] == FORMS[form].split()
    x = np.random.default_rng(2).normal(size=(STEPS, INPUTS))
    with torch.no_grad():
        wanted = net.double()(torch.from_numpy(x[:, None]))[:, 0].numpy()
    np.testing.assert_allclose(run_float(model, x)[0], wanted, rtol=0, atol=1e-6)


def test_a_scripted_program_is_run(tmp_path):
    net = network("custom_lstms, both directions")
    with warnings.catch_warnings(action="ignore"):  # that TorchScript is old
        torch.jit.script(net).save(str(tmp_path / "net.pt"))
    found = read_checkpoint(tmp_path / "net.pt")
    assert [layer.kind for layer in found.model.layers] == ["lstm_norm_xh_c"] * 4
    assert found.notes[0].startswith("equals PyTorch")


def test_half_a_layer_of_two_directions(tmp_path):
    tensors = network("custom_lstms, both directions").state_dict()
    half = {name: values for name, values in tensors.items() if "0.directions.1" not in name}
    with pytest.raises(UserError, match="belongs to a bidirectional layer without its backward"):
        read(tmp_path, half)


def linear(name, inputs, outputs):
    return {f"{name}.weight": torch.randn(outputs, inputs), f"{name}.bias": torch.randn(outputs)}


def norm(name, units):
    return {f"{name}.weight": torch.ones(units), f"{name}.bias": torch.zeros(units)}


UNKNOWN = {
    "torchaudio's RNN-T": (
        linear("p.x2g", 5, 32)
        | linear("p.p2g", 8, 32)
        | norm("p.c_norm", 8)
        | norm("p.g_norm", 32),
        "p.x2g (5 -> 32) and p.p2g (8 -> 32) stand beside p.c_norm, p.g_norm, as in a recurrent ",
    ),
    "a norm for each gate in a list": (
        linear("cell.hidden_lin", 8, 32)
        | linear("cell.input_lin", 5, 32)
        | {k: v for n in range(4) for k, v in norm(f"cell.layer_norm.{n}", 8).items()},
        "cell.input_lin (5 -> 32) and cell.hidden_lin (8 -> 32) stand beside cell.layer_norm.0, ",
    ),
    "one matrix of both, as in Dreamer": (
        linear("gru.linear", 13, 24) | norm("gru.layer_norm", 24),
        "gru.linear (13 -> 24) stands beside gru.layer_norm, as in a recurrent cell with layer ",
    ),
    "gains in a GRUCell": (
        {"gru.weight_ih": torch.ones(24, 5), "gru.weight_hh": torch.ones(24, 8)}
        | {"gru.gamma_ih": torch.ones(24), "gru.gamma_hh": torch.ones(24)},
        "gru.gamma_ih [24] is not a tensor of any known layer; gru.gamma_hh [24] is not a tensor ",
    ),
    "RMSNorm in a cell": (
        {"weight_ih": torch.ones(32, 5), "weight_hh": torch.ones(32, 8)}
        | {"rms_norm.weight": torch.ones(32)},
        "rms_norm.weight [32] belongs to RMS normalization, which no layer here does",
    ),
    "each gate and the cell state": (
        {"weight_ih": torch.ones(32, 5), "weight_hh": torch.ones(32, 8)}
        | {k: v for name in "ifgoc" for k, v in norm(f"ln_{name}", 8).items()},
        "ln_c.weight [8] belongs to layer normalization; ln_c.bias [8] belongs to layer normaliz",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_cells_are_refused_by_name(name, tmp_path):
    tensors, message = UNKNOWN[name]
    with pytest.raises(UserError) as caught:
        read(tmp_path, tensors)
    line = str(caught.value)
    assert line.partition(".pt: ")[2].startswith(message)
    assert "\n" not in line
    assert ("but none that is known; give its tensors the names" in line) == ("stand" in message)


def test_a_network_without_recurrent_layers_is_none_of_them(tmp_path):
    tensors = linear("head.fc", 5, 8) | norm("head.norm", 8)
    assert [layer.kind for layer in read(tmp_path, tensors).model.layers] == ["layer_norm"]
