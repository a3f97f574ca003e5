# SPDX-License-Identifier: Apache-2.0
"""Layer normalization in graphs, as a node and in parts: equal to the runtime, or refused."""

import warnings

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint, read_checkpoint
from deltaloom.golden.models.float_model import run_float

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")

WIDTH, STEPS = 5, 12
RNG = np.random.default_rng(3)


def array(*shape, around=0.0):
    return (around + 0.5 * RNG.normal(size=shape)).astype(np.float32)


GAIN, OFFSET = array(WIDTH, around=1), array(WIDTH)
CONSTANTS = {
    "gain": GAIN,
    "offset": OFFSET,
    "matrix": array(WIDTH, WIDTH),
    "W": array(1, 16, WIDTH),
    "R": array(1, 16, 4),
    "e": np.float32(1e-5),
    "one": np.float32(1),
    "two": np.float32(2),
    "half": np.float32(0.5),
    "minus_half": np.float32(-0.5),
    "last": np.array([-1], np.int64),
}
LSTM = "y, h, c = LSTM <hidden_size=4> (n, W, R)"
VARIANCE = """
    m = ReduceMean <axes=[-1]> (x)
    d = Sub (x, m)
    q = Pow (d, two)
    v = ReduceMean <axes=[-1]> (q)
    p = Add (v, e)
"""
CENTRED = f"{VARIANCE} s = Sqrt (p)\n"
KERAS = f"{CENTRED} i = Reciprocal (s)\n g = Mul (i, gain)\n a = Mul (x, g)\n b = Mul (m, g)\n"
JOINED = "n = Sub (a, b)"
ROOT_OF_HALF = "w = Add (v, half)\n t = Sqrt (w)\n k = Reciprocal (t)\n"

FORMS = {
    "a node": "n = LayerNormalization (x, gain, offset)",
    "a node of an axis": "n = LayerNormalization <axis=2, epsilon=0.01> (x, gain, offset)",
    "a node without offset": "n = LayerNormalization (x, gain)",
    "a node with one gain": "n = LayerNormalization (x, two, half)",
    "torch's parts": f"{CENTRED} k = Div (d, s)\n g = Mul (k, gain)\n n = Add (g, offset)",
    "parts without parameters": f"{CENTRED} n = Div (d, s)",
    "a square as a product": CENTRED.replace("Pow (d, two)", "Mul (d, d)") + "n = Div (d, s)",
    "a cast": CENTRED.replace("Pow (d, two)", "Pow (f, two)").replace(
        "q =", "f = Cast <to=1> (d)\n q ="
    )
    + "n = Div (d, s)",
    "one over the root": f"{CENTRED} i = Div (one, s)\n n = Mul (i, d)",
    "a reciprocal": f"{CENTRED} i = Reciprocal (s)\n g = Mul (gain, i)\n n = Mul (d, g)",
    "powers": f"{VARIANCE} s = Pow (p, half)\n n = Div (d, s)",
    "a power below 0": f"{VARIANCE} i = Pow (p, minus_half)\n n = Mul (d, i)",
    "Keras's parts": f"{KERAS} r = Sub (offset, b)\n n = Add (a, r)",
    "Keras's parts without offset": f"{KERAS} n = Sub (a, b)",
    "Keras's parts with one gain of 1 on both sides": f"{CENTRED} i = Reciprocal (s)\n"
    "k = Div (one, s)\n a = Mul (x, k)\n b = Mul (m, i)\n n = Sub (a, b)",
    "scales on both sides": "w = Mul (x, gain)\n u = LayerNormalization (w, gain)\n"
    "t = Mul (u, offset)\n n = Add (t, gain)",
    "a linear layer before it": "l = MatMul (x, matrix)\n w = Add (l, offset)\n"
    "n = LayerNormalization (w, gain, offset)",
    "an activation behind it": "u = LayerNormalization (x, gain, offset)\n n = Relu (u)",
    "a hard sigmoid behind it": "u = LayerNormalization (x, gain)\n n = HardSigmoid (u)",
}
KINDS = {
    "an activation behind it": ["layer_norm", "linear_relu", "lstm"],
    "a hard sigmoid behind it": ["layer_norm", "linear_hard_sigmoid", "lstm"],
}


def graph(body, opset=17, shape=("T", 1, WIDTH), **constants):
    lines = ",".join(map(str, shape))
    end = "" if "y =" in body else LSTM
    text = f'<ir_version: 8, opset_import: ["": {opset}]>\n g (float[{lines}] x) => (float y) {{\n'
    model = onnx.parser.parse_model(f"{text}{body}\n{end}\n}}")
    numbers = CONSTANTS | constants
    taken = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(values), name)
        for name, values in numbers.items()
        if name in taken
    )
    return model


@pytest.fixture
def load(tmp_path):
    def run(model, read=import_checkpoint, **options):
        onnx.save(model, tmp_path / "net.onnx")
        return read(tmp_path / "net.onnx", options=ImportOptions(**options))

    return run


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_runtime(form, load):
    model = load(graph(FORMS[form]))
    assert [layer.kind for layer in model.layers] == KINDS.get(form, ["layer_norm", "lstm"])
    (note,) = model.notes
    assert note.startswith("equals onnx")


def test_axes_that_are_an_input(load):
    body = CENTRED.replace("<axes=[-1]> (x)", "(x, last)").replace("<axes=[-1]> (q)", "(q, last)")
    model = load(graph(f"{body} n = Div (d, s)", opset=18))
    assert model.notes[0].startswith("equals onnx")


def test_behind_a_recurrent_layer_and_at_a_last_step(load):
    body = """
        k, h, c = LSTM <hidden_size=4> (x, W, R)
        s = Squeeze (h, zero)
        y = LayerNormalization (s, gain)
    """
    found = load(graph(body, gain=array(4), zero=np.array([0], np.int64)), read=read_checkpoint)
    assert [layer.kind for layer in found.model.layers] == ["lstm", "layer_norm"]
    assert found.notes[0] == "the graph takes the last step; the network gives every step"
    assert found.notes[1].startswith("equals onnx")


def test_epsilon_of_a_graph(load):
    (layer, _) = load(graph("n = LayerNormalization <epsilon=0.25> (x, gain)")).layers
    assert layer.vectors["epsilon_y"][0] == np.float32(0.25 - 2**-24)
    for option in ({"norm_epsilon": 0.1}, {"normalize_after": True}):
        with pytest.raises(UserError, match="a graph tells it; leave --norm"):
            load(graph(FORMS["a node"]), **option)


WRONG = {
    "another axis": (
        "n = LayerNormalization <axis=1> (x, matrix)",
        "LayerNormalization node 'n': normalizes from axis 1 on; only layer normalization of the",
    ),
    "a mean over time": (
        "n = ReduceMean <axes=[0]> (x)",
        "ReduceMean node 'n': takes a mean over axes [0]; only layer",
    ),
    "a mean over all": (
        "m = ReduceMean (x)\n n = Sub (x, m)",
        "ReduceMean node 'm': takes a mean over all axes; ",
    ),
    "a mean that drops its axis": (
        "m = ReduceMean <axes=[-1], keepdims=0> (x)\n n = Sub (x, m)",
        "ReduceMean node 'm': takes a mean over axes [-1], which it drops; ",
    ),
    "RMSNorm": (
        f"{CENTRED.replace('Pow (d, two)', 'Mul (x, x)')} n = Div (x, s)",
        "Mul node 'q': squares what has its mean, as RMSNorm does; ",
    ),
    "the mean alone taken off": (
        "m = ReduceMean <axes=[-1]> (x)\n d = Sub (x, m)\n n = Mul (d, gain)",
        "Mul node 'n': is no part of a norm that is known; ",
    ),
    "epsilon outside the root": (
        f"{VARIANCE.replace('Add (v, e)', 'Sqrt (v)')} s = Add (p, e)\n n = Div (d, s)",
        "Sqrt node 'p': is no part of a norm that is known; ",
    ),
    "the mean of another value": (
        "w = Mul (x, two)\n m = ReduceMean <axes=[-1]> (w)\n n = Sub (x, m)",
        "Sub node 'n': is no part of a norm that is known; ",
    ),
    "a mean times another gain": (
        f"{KERAS.replace('(m, g)', '(m, k)').replace('g =', 'k = Mul (i, two) g =')} {JOINED}",
        "Sub node 'n': joins parts of a norm with unlike gains or epsilons; only layer norm",
    ),
    "a mean without the gain": (
        f"{KERAS.replace('Mul (m, g)', 'Mul (m, i)')} r = Sub (offset, b)\n n = Add (a, r)",
        "Add node 'n': joins parts of a norm with unlike gains or epsilons; ",
    ),
    "a mean over another root": (
        f"{CENTRED} {ROOT_OF_HALF} i = Reciprocal (s)\n a = Mul (x, i)\n b = Mul (m, k)\n {JOINED}",
        "Sub node 'n': joins parts of a norm with unlike gains or epsilons; ",
    ),
    "another power": (
        f"{CENTRED.replace('Pow (d, two)', 'Pow (d, half)')} n = Div (d, s)",
        "Pow node 'q': is no part of a norm that is known; ",
    ),
    "a negative epsilon": (
        "n = LayerNormalization <epsilon=-0.001> (x, gain)",
        "LayerNormalization node 'n': epsilon -0.001 is not possible, it must be 0..1; ",
    ),
    "a huge epsilon": (
        "n = LayerNormalization <epsilon=1e30> (x, gain)",
        "LayerNormalization node 'n': epsilon 1e+30 is not possible, it must be 0..1; ",
    ),
    "a gain of another size": (
        "n = LayerNormalization (x, two_of)",
        "LayerNormalization node 'n': a gain or an offset [2]; expected [5] or [1]",
    ),
    "a gain of two axes": (
        "n = LayerNormalization (x, matrix)",
        "LayerNormalization node 'n': a gain or an offset [5, 5]; expected [5] or [1]",
    ),
    "a gain that is not finite": (
        "n = LayerNormalization (x, bad)",
        "LayerNormalization node 'n': weight [5]: 1 of 5 values cannot be used: the one at [1] is",
    ),
    "a computed gain": (
        "n = LayerNormalization (x, x)",
        "LayerNormalization node 'n': its gain is the graph's input 'x'; it must be a constant",
    ),
}
ODD = {"two_of": array(2), "bad": np.array([1, np.nan, 1, 1, 1], np.float32)}


@pytest.mark.parametrize("name", WRONG)
def test_refused_by_name(name, load):
    body, message = WRONG[name]
    with pytest.raises(UserError) as caught:
        load(graph(body, **ODD))
    assert str(caught.value).partition(".onnx: ")[2].startswith(message)
    assert "\n" not in str(caught.value)


def test_what_is_no_norm_is_cut_off(load):
    body = f"k, h, c = LSTM <hidden_size=4> (x, W, R)\n {WRONG['RMSNorm'][0]}"
    body = body.replace("(x, x)", "(z, z)").replace("Div (x", "Div (z").replace("n =", "y =")
    body = body.replace("q =", "z = Squeeze (k, first)\n q =")
    found = load(graph(body, first=np.array([1], np.int64)), read=read_checkpoint)
    assert [layer.kind for layer in found.model.layers] == ["lstm"]
    assert found.after


@pytest.mark.parametrize("opset", [12, 17])
def test_what_torch_exports(opset, tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1 = torch.nn.LayerNorm(WIDTH, elementwise_affine=False)
            self.lstm1 = torch.nn.LSTM(WIDTH, 6, bidirectional=True, batch_first=True)
            self.ln2 = torch.nn.LayerNorm(12, eps=1e-3)
            self.lstm2 = torch.nn.LSTM(12, 6, batch_first=True)
            self.ln3 = torch.nn.LayerNorm(6, bias=False)
            self.fc = torch.nn.Linear(6, 3)

        def forward(self, x):
            x = self.lstm2(self.ln2(self.lstm1(self.ln1(x))[0]))[0]
            return self.fc(self.ln3(x))

    net, file = Net().eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(net, (torch.randn(2, 7, WIDTH),), file, opset_version=opset, dynamo=False)
    model = import_checkpoint(file)
    kinds = "layer_norm lstm lstm layer_norm lstm layer_norm linear"
    assert [layer.kind for layer in model.layers] == kinds.split()
    x = RNG.normal(size=(STEPS, WIDTH))
    wanted = net.double()(torch.from_numpy(x[None]))[0].detach().numpy()
    np.testing.assert_allclose(run_float(model, x)[0], wanted, rtol=0, atol=1e-6)
