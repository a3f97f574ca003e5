# SPDX-License-Identifier: Apache-2.0
"""nn.LayerNorm before, between and after layers, from state dicts and TorchScript programs."""

import warnings

import numpy as np
import pytest

from deltaloom.golden.cells.norm import LEAST
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import run_float
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme

torch = pytest.importorskip("torch")
nn = torch.nn

INPUTS, UNITS = 5, 9


class Chain(nn.ModuleDict):
    """Modules that are called in the order of their names, recurrent ones without their states."""

    def __init__(self, order="", **modules):
        super().__init__(modules)
        self.order = order.split() or list(modules)

    def forward(self, x):
        for name in self.order:
            x = self[name](x)
            x = x[0] if isinstance(x, tuple) else x
        return x


def recurrent(kind, inputs=INPUTS, units=UNITS, **options):
    return getattr(nn, kind)(inputs, units, batch_first=True, **options)


def norm(units=UNITS, **options):
    return nn.LayerNorm(units, **options)


def between():
    return Chain(
        lstm1=recurrent("LSTM"),
        ln1=norm(),
        lstm2=recurrent("LSTM", UNITS),
        ln2=norm(),
        fc=nn.Linear(UNITS, 3),
    )


FORMS = {
    "between and after": (between, "lstm layer_norm lstm layer_norm linear"),
    "before the first layer": (
        lambda: Chain(norm=norm(INPUTS), rnn=recurrent("GRU"), fc=nn.Linear(UNITS, 3)),
        "layer_norm gru linear",
    ),
    "of both directions": (
        lambda: Chain(
            rnn=recurrent("LSTM", bidirectional=True, num_layers=2),
            norm=norm(2 * UNITS),
            fc=nn.Linear(2 * UNITS, 3),
        ),
        "lstm lstm lstm lstm layer_norm linear",
    ),
    "of a projection": (
        lambda: Chain(rnn=recurrent("LSTM", proj_size=4), norm=norm(4), fc=nn.Linear(4, 3)),
        "lstm linear layer_norm linear",
    ),
    "of a linear layer": (
        lambda: Chain(fc=nn.Linear(INPUTS, UNITS), norm=norm(), rnn=recurrent("GRU", UNITS)),
        "layer_norm gru",
    ),
    "named last, called before the last layer": (
        lambda: Chain("rnn norm fc", rnn=recurrent("LSTM"), fc=nn.Linear(UNITS, 3), norm=norm()),
        "lstm layer_norm linear",
    ),
    "at the end": (
        lambda: Chain(rnn=recurrent("GRU"), fc=nn.Linear(UNITS, 4), norm=norm(4)),
        "gru layer_norm",
    ),
    "in blocks of a list called rnn": (
        lambda: Chain(
            rnn=Chain(
                **{
                    "0": Chain(lstm=recurrent("LSTM"), norm=norm()),
                    "1": Chain(lstm=recurrent("LSTM", UNITS), norm=norm()),
                }
            )
        ),
        "lstm layer_norm lstm layer_norm",
    ),
    "in a list of their own": (
        lambda: Chain(
            "lstms_0 norms_0 lstms_1 norms_1 fc",
            lstms_0=recurrent("LSTM"),
            lstms_1=recurrent("LSTM", UNITS),
            norms_0=norm(),
            norms_1=norm(),
            fc=nn.Linear(UNITS, 3),
        ),
        "lstm layer_norm lstm layer_norm linear",
    ),
    "in a list of their own, before the layers": (
        lambda: Chain(
            "norms_0 grus_0 norms_1 grus_1",
            grus_0=recurrent("GRU"),
            grus_1=recurrent("GRU", UNITS),
            norms_0=norm(INPUTS),
            norms_1=norm(),
        ),
        "layer_norm gru layer_norm gru",
    ),
    "without offsets": (
        lambda: Chain(rnn=recurrent("LSTM"), layer_norm=norm(bias=False), fc=nn.Linear(UNITS, 3)),
        "lstm layer_norm linear",
    ),
}


def made(form):
    torch.manual_seed(len(form))
    network = FORMS[form][0]()
    for name, values in network.named_parameters():
        if "norm" in name or "ln" in name:
            values.data += 0.3 * torch.randn_like(values)
    return network.eval()


def frames(inputs=INPUTS, steps=12, seed=1):
    return np.random.default_rng(seed).normal(size=(steps, inputs)).astype(np.float32)


def assert_equal(model, network, x=None, allowed=2e-6):
    x = frames(model.inputs) if x is None else x
    with torch.no_grad():
        wanted = network.double()(torch.from_numpy(x[None]).double())[0].numpy()
    np.testing.assert_allclose(run_float(model, x)[0], wanted, rtol=0, atol=allowed)


@pytest.fixture
def load(tmp_path):
    def run(network, how="state dict", order=(), **options):
        file = tmp_path / "network.pt"
        with warnings.catch_warnings(action="ignore"):  # that TorchScript is old
            if how == "script":
                torch.jit.trace(network, torch.zeros(2, 5, INPUTS)).save(file)
            else:
                torch.save(network if isinstance(network, dict) else network.state_dict(), file)
        return import_checkpoint(file, order=order, options=ImportOptions(**options))

    return run


@pytest.fixture
def refused_line():
    def run(load, *args, **options):
        with pytest.raises(UserError) as caught:
            load(*args, **options)
        line = str(caught.value)
        assert "\n" not in line
        return line.partition(".pt: ")[2]

    return run


SCRIPTS = ("before the first layer", "of a linear layer", "in a list of their own")


@pytest.mark.parametrize(
    ("form", "how"), [*((f, "state dict") for f in FORMS), *((f, "script") for f in SCRIPTS)]
)
def test_equals_its_source(form, how, load):
    network = made(form)
    model = load(network, how)
    assert [layer.kind for layer in model.layers] == FORMS[form][1].split()
    assert_equal(model, network)
    if how == "script":
        (note,) = model.notes
        assert note.startswith("equals PyTorch")
        return
    *_, epsilon, order = (note.removeprefix("layer normalization: ") for note in model.notes)
    assert epsilon == "epsilon is taken to be 1e-05; --norm-epsilon says another"
    assert order.startswith("the order is taken to be ")


def test_a_program_tells_each_epsilon(load):
    network = made("between and after")
    network["ln1"].eps, network["ln2"].eps = 1e-3, 0.02
    model = load(network, "script")
    assert_equal(model, network)
    told = [v for layer in model.layers for v in layer.vectors.items()]
    found = [float(v[0]) + LEAST for name, v in told if name == "epsilon_y"]
    np.testing.assert_allclose(found, [1e-3, 0.02], rtol=1e-4)


def around(kind):
    """Linear layers before and behind a recurrent one, as wide as a cell's matrices."""
    return Chain(
        fc_in=nn.Linear(INPUTS, 2 * UNITS),
        ln=norm(2 * UNITS),
        rnn=recurrent(kind, 2 * UNITS),
        fc_out=nn.Linear(UNITS, 2 * UNITS),
    )


@pytest.mark.parametrize("order", [(), ("fc_in", "ln", "rnn", "fc_out")])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_linear_layers_around_a_recurrent_one_are_no_cell(kind, order, load):
    torch.manual_seed(1)
    network = around(kind).eval()
    model = load(network, order=order)
    assert [layer.kind for layer in model.layers] == ["layer_norm", kind.lower(), "linear"]
    assert_equal(model, network)


def test_an_order_says_that_layers_are_no_cell(load, refused_line):
    torch.manual_seed(1)
    network = Chain(
        rnn=recurrent("LSTM"),
        ln=norm(),
        a=nn.Linear(UNITS, 2 * UNITS),
        b=nn.Linear(2 * UNITS, UNITS),
        c=nn.Linear(UNITS, 2 * UNITS),
    ).eval()
    line = refused_line(load, network)
    assert line.startswith("a (9 -> 18) and c (9 -> 18) stand beside ln, as in a recurrent cell")
    assert line.endswith("layers one after the other, say so with --order FIRST,SECOND,...")
    assert_equal(load(network, order=("rnn", "ln", "a", "b", "c")), network)


def test_parameters_are_those_of_the_source(load):
    """Epsilons, and the matrix of a norm of its own, count in no file; a linear layer's does."""
    network = Chain(norm=norm(INPUTS), fc=nn.Linear(INPUTS, 3), ln=norm(3), out=nn.Linear(3, 2))
    model = load(network)
    assert [layer.kind for layer in model.layers] == ["layer_norm", "layer_norm", "linear"]
    counts = [layer.parameters for layer in model.layers]
    assert counts == [2 * INPUTS, (INPUTS + 1) * 3 + 2 * 3, (3 + 1) * 2]
    assert model.parameters == sum(values.numel() for values in network.parameters())
    gains = {f"ln_{gate}.weight": torch.ones(7) for gate in "ifgo"}
    cell = load({"weight_ih": torch.ones(28, 5), "weight_hh": torch.ones(28, 7)} | gains)
    assert cell.parameters == 28 * (5 + 7) + 3 * 28  # gains, offsets and biases


LOOK_ALIKES = {
    "GroupNorm": lambda: nn.GroupNorm(3, UNITS),
    "BatchNorm": lambda: nn.BatchNorm1d(UNITS, track_running_stats=False),
    "LayerNorm": norm,
}


@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_what_looks_like_a_layer_norm_is_said_to_be_taken_for_one(kind, load):
    made = LOOK_ALIKES[kind]
    network = Chain(rnn=recurrent("LSTM"), n1=made(), rnn2=recurrent("GRU", UNITS), n2=made())
    notes = load(network).notes
    assert notes[0] == (
        "layer normalization: n1, n2 are taken to be LayerNorm; GroupNorm, and BatchNorm without "
        "running statistics, have the same tensors and would give other outputs"
    )
    named = Chain(rnn=recurrent("LSTM"), layer_norm=made())
    assert "taken to be LayerNorm" not in "".join(load(named).notes)


@pytest.mark.parametrize("epsilon", [0.0, 1e-30])
def test_an_epsilon_below_the_least_is_said_to_be_that(epsilon, load):
    network = made("between and after")
    notes = load(network, norm_epsilon=epsilon).notes
    text = f"layer normalization: epsilon is taken to be 6e-08, not {epsilon:g}: the least there is"
    assert notes[0] == text
    assert "epsilon" not in "".join(load(network, norm_epsilon=6e-8).notes)


def test_epsilon_of_a_state_dict_is_said(load, refused_line):
    network = made("between and after")
    network["ln1"].eps = network["ln2"].eps = 1e-3
    model = load(network, norm_epsilon=1e-3)
    (note,) = model.notes
    assert note.endswith("order is taken to be lstm1, ln1, lstm2, ln2, fc; --order says another")
    assert_equal(model, network)
    bare = Chain(rnn=recurrent("LSTM"))
    found = refused_line(load, bare, norm_epsilon=1e-3)
    assert found == "norm epsilon: there is no layer normalization; leave --norm-epsilon out"
    for bad in (-1e-5, float("nan"), float("inf"), 2.0):
        found = refused_line(load, network, norm_epsilon=bad)
        assert found.startswith(f"norm epsilon: epsilon {bad:g} is not possible, it must be 0..1;")


@pytest.mark.parametrize(("epsilon", "allowed"), [(0.0, 1e-5), (1.0, 2e-6)])
def test_epsilons_of_either_end(epsilon, allowed, load):
    """Below 2**-24 they count as that."""
    network = made("between and after")
    network["ln1"].eps = network["ln2"].eps = epsilon
    assert_equal(load(network, norm_epsilon=epsilon), network, allowed=allowed)


def test_norms_without_parameters_are_told_by_programs_alone(load):
    network = Chain(
        ln0=norm(INPUTS, elementwise_affine=False),
        rnn=recurrent("LSTM", bidirectional=True, num_layers=2),
        ln1=norm(2 * UNITS, elementwise_affine=False, eps=1e-3),
        fc=nn.Linear(2 * UNITS, 4),
        ln2=norm(4),
        fc2=nn.Linear(4, 3),
        ln3=norm(3, elementwise_affine=False, eps=1e-4),
    ).eval()
    assert len(load(network).layers) == 6  # nothing in the file tells
    model = load(network, "script")
    kinds = "layer_norm lstm lstm lstm lstm layer_norm layer_norm layer_norm"
    assert [layer.kind for layer in model.layers] == kinds.split()
    assert model.notes[0].startswith("equals PyTorch")
    assert_equal(model, network)


def test_programs_whose_calls_are_not_the_modules(load, refused_line):
    network = Chain(
        "rnn fc fc ln",  # one of them twice
        rnn=recurrent("LSTM"),
        fc=nn.Linear(UNITS, UNITS),
        ln=norm(elementwise_affine=False),
    )
    found = refused_line(load, network.eval(), "script")
    assert "the weights alone do not tell what the program does" in found
    assert "layer_norm" in found and "export it to ONNX" in found


def test_lists_that_fit_before_and_behind_need_an_order(load, refused_line):
    network = Chain(
        "n0 r0 n1 r1",
        r0=recurrent("GRU", UNITS),
        r1=recurrent("GRU", UNITS),
        n0=norm(),
        n1=norm(),
    )
    assert "fit in either order; say which with the modules' names" in refused_line(load, network)
    model = load(network, order=["n0", "r0", "n1", "r1"])
    assert_equal(model, network)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats(dtype, load):
    network = made("between and after").to(getattr(torch, dtype))
    assert_equal(load(network), network)


def nmse(model, data, scheme=None):
    """In dB, of the network by the default scheme or another."""
    network = quantize(model, data, scheme)
    results = run(network, [quantize_frames(network, x) for x in data.features])
    floats = run_float_batch(model, data.features)
    pairs = [(real_outputs(network, r.outputs), y) for r, y in zip(results, floats, strict=True)]
    lost = sum(np.square(own - y).sum() for own, y in pairs)
    return float(10 * np.log10(lost / sum(np.square(y).sum() for _, y in pairs)))


@pytest.mark.parametrize("form", ["between and after", *SCRIPTS])
def test_quantizes_well(form, load):
    data = Dataset(tuple(frames(steps=60, seed=seed) for seed in range(4)))
    assert nmse(load(made(form)), data) < (-31 if form == "between and after" else -34)


def test_small_outputs_are_worth_16_bits_before_a_norm(load):
    """It scales them up, with the errors of their codes."""
    model = load(made("between and after"))
    data = Dataset(tuple(frames(steps=60, seed=seed) for seed in range(4)))
    paths = {f"{a.name}.x": (8, 16) for a in model.layers if a.kind == "layer_norm"}
    assert nmse(model, data, Scheme(overrides=paths)) < nmse(model, data) - 3


ODD = {"zeros": 0.0, "constant": 1.0, "constant and large": 1000.0}


@pytest.mark.parametrize("odd", ODD)
def test_odd_inputs(odd, load):
    """Whatever has no variance is its offset."""
    network = made("before the first layer")
    model = load(network)
    x = np.full((8, INPUTS), ODD[odd], np.float32)
    assert_equal(model, network, x)
    quantized = quantize(model, Dataset((x, 0 * x + 1)))
    (result,) = run(quantized, [quantize_frames(quantized, x)])
    error = real_outputs(quantized, result.outputs) - run_float(model, x)[0]
    assert np.abs(error).max() < 0.01


def test_a_norm_of_one_unit_gives_its_offset(load):
    network = Chain(norm=norm(1), rnn=recurrent("LSTM", 1))
    network["norm"].bias.data += 0.5
    model = load(network.eval())
    assert_equal(model, network, frames(1))
    assert nmse(model, Dataset((frames(1), frames(1, seed=2)))) < -35
