# SPDX-License-Identifier: Apache-2.0
"""Layers with layer normalization, as PyTorch's, SpeechBrain's and others' state dicts have them.

Each is written once more here, with PyTorch's own layer_norm, and run over the same frames.
"""

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.float_model import FloatModel, run_float
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme

torch = pytest.importorskip("torch")
norm = torch.nn.functional.layer_norm

INPUTS, UNITS, STEPS = 5, 9, 12


def tensors(seed, shapes):
    """Random float64 tensors; gains lie around 1."""
    generator = torch.Generator().manual_seed(seed)

    def make(name, shape):
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        if (
            name.split(".")[-1] in ("weight", "gamma", "gamma_h")
            and values.ndim < 3
            and (values.ndim == 1 or name == "gamma")
        ):
            return values * 0.3 + 1
        return values * (0.3 if values.ndim == 1 else shape[-1] ** -0.5)

    return {name: make(name, shape) for name, shape in shapes.items()}


def norms(names, gates=1):
    shape = (gates * UNITS,)
    return {f"{n}.{part}": shape for n in names for part in ("weight", "bias")}


def matrices(gates, biases=True):
    shapes = {"weight_ih": (gates * UNITS, INPUTS), "weight_hh": (gates * UNITS, UNITS)}
    return shapes | (dict.fromkeys(("bias_ih", "bias_hh"), (gates * UNITS,)) if biases else {})


def n(v, t, name, epsilon=1e-5):
    return norm(v, v.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], epsilon)


def products(t, x, h):
    return x @ t["weight_ih"].T + t.get("bias_ih", 0), h @ t["weight_hh"].T + t.get("bias_hh", 0)


def lstm(i, f, g, o, c, out=lambda c: c):
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * out(c).tanh(), c


def ln_ih_hh_ho(t, x, h, c):
    wx, uh = products(t, x, h)
    i, f, o, g = (n(wx, t, "ln_ih") + n(uh, t, "ln_hh")).chunk(4)
    return lstm(i, f, g, o, c, lambda c: n(c, t, "ln_ho"))


def ln_ih_hh(t, x, h, c):
    wx, uh = products(t, x, h)
    i, f, o, g = (n(wx, t, "ln_ih") + n(uh, t, "ln_hh")).chunk(4)
    return lstm(i, f, g, o, c)


def custom_lstms(t, x, h, c):
    wx, uh = products(t, x, h)
    i, f, g, o = (n(wx, t, "layernorm_i") + n(uh, t, "layernorm_h")).chunk(4)
    c = n(f.sigmoid() * c + i.sigmoid() * g.tanh(), t, "layernorm_c")
    return o.sigmoid() * c.tanh(), c


def each_gate(t, x, h, c):
    gates = sum(products(t, x, h)).chunk(4)
    return lstm(*(n(v, t, f"ln_{name}") for name, v in zip("ifgo", gates, strict=True)), c)


def all_gates(t, x, h, c):
    return lstm(*n(sum(products(t, x, h)), t, "ln").chunk(4), c)


def gru(t, x, h, c):
    wx, uh = products(t, x, h)
    (rx, zx, nx), (rh, zh, nh) = n(wx, t, "ln_ih").chunk(3), n(uh, t, "ln_hh").chunk(3)
    r, z = (rx + rh).sigmoid(), (zx + zh).sigmoid()
    return (1 - z) * (nx + r * nh).tanh() + z * h, c


def gru_each_gate(t, x, h, c):
    wx, uh = products(t, x, h)
    (rx, zx, nx), (rh, zh, nh) = wx.chunk(3), uh.chunk(3)
    r, z = n(rx + rh, t, "ln_r").sigmoid(), n(zx + zh, t, "ln_z").sigmoid()
    return (1 - z) * n(nx + r * nh, t, "ln_n").tanh() + z * h, c


def norm_gru_cell(t, x, h, c):
    """As pydreamer has it: its update gate is the new value's share."""
    reset_i, update_i, newval_i = (x @ t["weight_ih.weight"].T).chunk(3)
    reset_h, update_h, newval_h = (h @ t["weight_hh.weight"].T).chunk(3)
    reset = n(reset_i + reset_h, t, "ln_reset", 1e-3).sigmoid()
    update = n(update_i + update_h, t, "ln_update", 1e-3).sigmoid()
    newval = n(newval_i + reset * newval_h, t, "ln_newval", 1e-3).tanh()
    return update * newval + (1 - update) * h, c


def haste_lstm(t, x, h, c):
    wx, rh = x @ t["kernel"], h @ t["recurrent_kernel"]
    v = norm(wx, wx.shape, t["gamma"][0]) + norm(rh, rh.shape, t["gamma"][1]) + t["bias"]
    i, g, f, o = v.chunk(4)
    return lstm(i, f, g, o, c, lambda c: norm(c, c.shape, t["gamma_h"], t["beta_h"]))


def haste_gru(t, x, h, c):
    wx, rh = x @ t["kernel"], h @ t["recurrent_kernel"]
    wx = norm(wx, wx.shape, t["gamma"][0]) + t["bias"]
    rh = norm(rh, rh.shape, t["gamma"][1]) + t["recurrent_bias"]
    (xz, xr, xn), (hz, hr, hn) = wx.chunk(3), rh.chunk(3)
    z = (xz + hz).sigmoid()
    return (1 - z) * (xn + (xr + hr).sigmoid() * hn).tanh() + z * h, c


def ligru(t, x, h, c, before="rnn.0."):
    wx, uh = x @ t[f"{before}w.weight"].T, h @ t[f"{before}u.weight"].T
    if f"{before}norm.running_mean" in t:
        scale = t[f"{before}norm.weight"] / (t[f"{before}norm.running_var"] + 1e-5).sqrt()
        wx = (wx - t[f"{before}norm.running_mean"]) * scale + t[f"{before}norm.bias"]
    else:
        wx = n(wx, t, f"{before}norm")
    if f"{before}layer_norm.weight" in t:
        uh = n(uh, t, f"{before}layer_norm")
    a, z = (wx + uh).chunk(2)
    return z.sigmoid() * h + (1 - z.sigmoid()) * a.relu(), c


def bare_sligru(t, x, h, c):
    ones = torch.ones(2 * UNITS, dtype=torch.float64)
    bare = {"rnn.0.layer_norm.weight": ones, "rnn.0.layer_norm.bias": 0 * ones}
    return ligru(t | bare, x, h, c)


LIGRU = {"rnn.0.w.weight": (2 * UNITS, INPUTS), "rnn.0.u.weight": (2 * UNITS, UNITS)}
RUNNING = {"rnn.0.norm.running_mean": (2 * UNITS,), "rnn.0.norm.running_var": (2 * UNITS,)}
HASTE = {"kernel": (INPUTS, 4 * UNITS), "recurrent_kernel": (UNITS, 4 * UNITS), "bias": (36,)}
HASTE |= {"gamma": (2, 4 * UNITS), "gamma_h": (UNITS,), "beta_h": (UNITS,)}
HASTE_GRU = {"kernel": (INPUTS, 27), "recurrent_kernel": (UNITS, 27), "bias": (27,)}
HASTE_GRU |= {"recurrent_bias": (27,), "gamma": (2, 27)}
LINEARS = {"weight_ih.weight": (27, INPUTS), "weight_hh.weight": (27, UNITS)}

FORMS = {
    "ln_ih, ln_hh, ln_ho": (
        ln_ih_hh_ho,
        matrices(4) | norms(["ln_ih", "ln_hh"], 4) | norms(["ln_ho"]),
        "lstm_norm_xh_out",
    ),
    "ln_ih, ln_hh": (ln_ih_hh, matrices(4) | norms(["ln_ih", "ln_hh"], 4), "lstm_norm_xh"),
    "custom_lstms": (
        custom_lstms,
        matrices(4, biases=False)
        | norms(["layernorm_i", "layernorm_h"], 4)
        | norms(["layernorm_c"]),
        "lstm_norm_xh_c",
    ),
    "each gate": (each_gate, matrices(4) | norms(["ln_i", "ln_f", "ln_g", "ln_o"]), "lstm_norm"),
    "all gates": (all_gates, matrices(4, biases=False) | norms(["ln"], 4), "lstm_norm_all"),
    "gru": (gru, matrices(3) | norms(["ln_ih", "ln_hh"], 3), "gru_norm_xh"),
    "gru, each gate": (gru_each_gate, matrices(3) | norms(["ln_r", "ln_z", "ln_n"]), "gru_norm"),
    "NormGRUCell": (
        norm_gru_cell,
        LINEARS | norms(["ln_reset", "ln_update", "ln_newval"]),
        "gru_norm",
    ),
    "haste LSTM": (haste_lstm, HASTE, "lstm_norm_xh_out"),
    "haste GRU": (haste_gru, HASTE_GRU, "gru_norm_xh"),
    "LiGRU": (ligru, LIGRU | norms(["rnn.0.norm"], 2), "ligru_norm"),
    "SLiGRU with BatchNorm": (
        ligru,
        LIGRU | norms(["rnn.0.norm", "rnn.0.layer_norm"], 2) | RUNNING,
        "ligru_norm_h",
    ),
    "SLiGRU": (ligru, LIGRU | norms(["rnn.0.norm", "rnn.0.layer_norm"], 2), "ligru_norm_xh"),
}


def stored(tmp_path, found):
    file = tmp_path / "model.npz"
    np.savez(file, **{name: values.numpy() for name, values in found.items()})
    return file


def run_torch(step, found, frames):
    h = c = torch.zeros(UNITS, dtype=torch.float64)
    outputs = []
    for x in torch.from_numpy(frames):
        h, c = step(found, x, h, c)
        outputs.append(h.numpy())
    return np.array(outputs)


@pytest.mark.parametrize("form", FORMS)
def test_equals_its_source(form, tmp_path):
    step, shapes, kind = FORMS[form]
    found = tensors(len(form), shapes)
    if "rnn.0.norm.running_var" in found:
        found["rnn.0.norm.running_var"] = found["rnn.0.norm.running_var"].abs() + 0.5
    model = import_checkpoint(stored(tmp_path, found))
    assert [layer.kind for layer in model.layers] == [kind]
    frames = np.random.default_rng(1).normal(size=(STEPS, INPUTS))
    outputs, _ = run_float(model, frames)
    np.testing.assert_allclose(outputs, run_torch(step, found, frames), rtol=0, atol=2e-6)
    model.save(tmp_path / "again.safetensors")
    again = FloatModel.load(tmp_path / "again.safetensors")
    np.testing.assert_array_equal(run_float(again, frames)[0], outputs)


def test_layers_of_a_stack_and_a_linear_layer(tmp_path):
    """`layers.N.cell`, as custom_lstms.py stacks them."""
    shapes = FORMS["custom_lstms"][1]
    first, second = tensors(0, shapes), tensors(1, shapes | {"weight_ih": (4 * UNITS, UNITS)})
    found = {f"rnn.layers.0.cell.{name}": values for name, values in first.items()}
    found |= {f"rnn.layers.1.cell.{name}": values for name, values in second.items()}
    found |= {"linear.weight": torch.ones(3, UNITS), "linear.bias": torch.ones(3)}
    model = import_checkpoint(stored(tmp_path, found))
    assert [layer.kind for layer in model.layers] == ["lstm_norm_xh_c"] * 2 + ["linear"]
    frames = np.random.default_rng(1).normal(size=(STEPS, INPUTS))
    wanted = run_torch(custom_lstms, second, run_torch(custom_lstms, first, frames))
    np.testing.assert_allclose(run_float(model, frames)[1][1].h, wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize("batch", [True, False])
def test_the_recurrent_norm_of_an_sligru_may_have_no_tensors(batch, tmp_path):
    found = tensors(3, LIGRU | norms(["rnn.0.norm"], 2) | (RUNNING if batch else {}))
    if batch:
        found["rnn.0.norm.running_var"] = found["rnn.0.norm.running_var"].abs() + 0.5
    options = ImportOptions(recurrent_norm=True)
    model = import_checkpoint(stored(tmp_path, found), options=options)
    assert model.layers[0].kind == ("ligru_norm_h" if batch else "ligru_norm_xh")
    frames = np.random.default_rng(1).normal(size=(STEPS, INPUTS))
    wanted = run_torch(bare_sligru, found, frames)
    np.testing.assert_allclose(run_float(model, frames)[0], wanted, rtol=0, atol=2e-6)
    with pytest.raises(UserError, match="recurrent norm: there is no LiGRU layer of SpeechBrain"):
        file = stored(tmp_path, tensors(0, FORMS["gru"][1]))
        import_checkpoint(file, options=options)


WRONG = {
    "a norm of another name": (
        matrices(4) | norms(["ln_ih", "ln_hh"], 4) | norms(["ln_cell"]),
        r"ln_cell.weight \[9\] belongs to layer normalization",
    ),
    "a norm without gain": (
        {k: v for k, v in FORMS["each gate"][1].items() if k != "ln_o.weight"},
        r"ln_o.weight is missing; PyTorch LSTM cell with LayerNorm of each gate has it",
    ),
    "two forms at once": (
        FORMS["each gate"][1] | norms(["ln_ih"], 4),
        "belongs to no PyTorch",
    ),
    "a norm of another size": (
        FORMS["gru"][1] | {"ln_hh.weight": (UNITS,)},
        r"ln_hh.weight \[9\]: PyTorch LayerNormGRUCell expects \[27\]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_by_name(name, tmp_path):
    shapes, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        import_checkpoint(stored(tmp_path, tensors(0, shapes)))


def run_sru(found, frames, n, after, skip=True):
    """One layer, as sru.modules.SRUCell computes it."""
    x = torch.from_numpy(frames)
    p = f"sru.rnn_lst.{n}."
    gain, offset = found[f"{p}layer_norm.weight"], found[f"{p}layer_norm.bias"]
    inner = x if after else norm(x, x.shape[-1:], gain, offset)
    units = found[f"{p}bias"].shape[0] // 2
    u = (inner @ found[f"{p}weight"]).reshape(len(x), units, -1)
    (v_f, v_r), (b_f, b_r) = found[f"{p}weight_c"].chunk(2), found[f"{p}bias"].chunk(2)
    c, outputs = torch.zeros(units, dtype=torch.float64), []
    for t in range(len(x)):
        f = (u[t, :, 1] + v_f * c + b_f).sigmoid()
        r = (u[t, :, 2] + v_r * c + b_r).sigmoid()
        c = f * c + (1 - f) * u[t, :, 0]
        residual = u[t, :, 3] if u.shape[2] == 4 else x[t] * found[f"{p}scale_x"] if skip else 0
        outputs.append(r * c + (1 - r) * residual)
    h = torch.stack(outputs)
    return (norm(h, h.shape[-1:], gain, offset) if after else h).numpy()


def sru_shapes(sizes, after):
    shapes = {}
    for n, (inputs, units) in enumerate(sizes):
        p, count = f"sru.rnn_lst.{n}.", 3 if inputs == units else 4
        size = (units if after else inputs,)
        shapes |= {f"{p}weight": (inputs, count * units), f"{p}weight_c": (2 * units,)}
        shapes |= {f"{p}bias": (2 * units,), f"{p}scale_x": (1,)}
        shapes |= {f"{p}layer_norm.weight": size, f"{p}layer_norm.bias": size}
    return shapes


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("sizes", [[(5, 9), (9, 9)], [(9, 9)]])
def test_sru_normalizes_its_input_or_its_output(after, sizes, tmp_path):
    if after and sizes == [(9, 9)]:
        return  # no size tells that it is the output
    found = tensors(5, sru_shapes(sizes, after))
    model = import_checkpoint(stored(tmp_path, found))
    frames = np.random.default_rng(1).normal(size=(STEPS, sizes[0][0]))
    wanted = frames
    for n in range(len(sizes)):
        wanted = run_sru(found, wanted, n, after)
    np.testing.assert_allclose(run_float(model, frames)[0], wanted, rtol=0, atol=2e-5)
    data = Dataset((frames.astype(np.float32),))
    network = quantize(model, data, Scheme(weight_bits=16, activation_bits=16))
    (result,) = run(network, [quantize_frames(network, frames)])
    assert np.abs(real_outputs(network, result.outputs) - wanted).max() < 0.02
