# SPDX-License-Identifier: Apache-2.0
"""TorchScript files: their weights are taken where the program gives what they alone tell."""

import warnings

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import run_float

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self, kind="LSTM", end=None, last=False, **options):
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(3, 4, num_layers=2, bidirectional=True, **options)
        self.fc = torch.nn.Linear(8, 2)
        self.end = end or torch.nn.Identity()
        self.last = last

    def forward(self, x):
        y, _ = self.rnn(x)
        if self.last:
            y = y[:, -1]
        return self.end(self.fc(y))


@pytest.fixture
def load(tmp_path):
    def run(net, how="script", **options):
        with warnings.catch_warnings(action="ignore"):  # that it is old
            net = net.eval()
            program = torch.jit.script(net) if how == "script" else trace(net)
            program.save(tmp_path / "net.pt")
        return import_checkpoint(tmp_path / "net.pt", options=ImportOptions(**options))

    return run


def trace(net):
    return torch.jit.trace(net, torch.zeros(2, 5, 3))


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"batch_first": True}),
        ("GRU", {}),
        ("RNN", {"nonlinearity": "relu", "batch_first": True}),
        ("RNN", {}),
    ],
)
def test_programs_of_layers(load, kind, options, how):
    """Which nonlinearity an RNN has, the program tells."""
    torch.manual_seed(1)
    net = Net(kind, **options)
    model = load(net, how)
    assert model.notes[0].startswith("equals PyTorch ")
    x = torch.randn(1, 9, 3)
    with torch.no_grad():
        expected = net.eval()(x if options.get("batch_first") else x.transpose(0, 1))
    y, _ = run_float(model, x[0].numpy())
    np.testing.assert_allclose(y, expected.numpy().reshape(9, 2), rtol=0, atol=1e-6)


def test_softmax_and_a_last_step_have_notes(load):
    model = load(Net(end=torch.nn.LogSoftmax(-1), last=True, batch_first=True))
    assert model.notes[0].endswith(
        "; the program's log_softmax is left off: the same class wins; the program gives the last "
        "step only"
    )


def test_what_the_weights_do_not_tell(load):
    net = Net(end=torch.nn.ReLU(), batch_first=True)
    with pytest.raises(UserError) as caught:
        load(net, "trace")
    line = str(caught.value).partition("net.pt: ")[2]
    assert line.startswith("the weights alone do not tell what the program does (the model differs")
    assert "it has linear, lstm, relu); export it to ONNX, whose graph is followed" in line
    model = load(net, "trace", check=False)
    assert model.notes == ("not checked against what else the file holds (--no-check)",)


class Function(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        return {
            "pow": lambda: x.pow(2),
            "neg": lambda: -x,
            "rsub": lambda: 1 - x,
            "sqrt": lambda: x.sqrt(),
            "mean": lambda: x - x.mean(-1, keepdim=True),
            "split": lambda: torch.cat(x.split(1, -1), -1),
            "unbind": lambda: torch.stack(x.unbind(-1), -1),
        }[self.name]()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", ["pow", "neg", "rsub", "sqrt", "mean", "split", "unbind"])
def test_what_only_normed_cells_do_is_refused_elsewhere(load, name, check):
    with pytest.raises(UserError) as caught:
        load(Net(end=Function(name), batch_first=True), "trace", check=check)
    line = str(caught.value).partition("net.pt: ")[2]
    assert line.startswith(f"a TorchScript program with aten::{name}, which is not run; export it")
