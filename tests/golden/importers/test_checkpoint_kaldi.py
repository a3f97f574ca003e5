# SPDX-License-Identifier: Apache-2.0
"""PyTorch-Kaldi's state dicts, imported and run, against its equations written out here.

The reference is independent of the golden model: batch norm of the input's product, gates by name,
one line per equation, as in the papers (PyTorch-Kaldi itself is no installable package).
"""

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.models import graph
from deltaloom.golden.models.float_model import run_float

INPUTS, UNITS, STEPS = 5, 7, 19
NAMES = {
    "lstm": {"f": ("wfx", "ufh"), "i": ("wix", "uih"), "o": ("wox", "uoh"), "c": ("wcx", "uch")},
    "gru_before": {"h": ("wh", "uh"), "z": ("wz", "uz"), "r": ("wr", "ur")},
    "ligru": {"h": ("wh", "uh"), "z": ("wz", "uz")},
}
X = np.random.default_rng(5).normal(size=(STEPS, INPUTS))


def state_dict(kind, norm=True, layers=2, seed=0):
    """What PyTorch-Kaldi saves: norms are always there, and trained where they are in use."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for n in range(layers):
        for w, u in NAMES[kind].values():
            columns = UNITS if n else INPUTS
            tensors[f"{w}.{n}.weight"] = rng.normal(size=(UNITS, columns)) * 0.6
            if not norm:
                tensors[f"{w}.{n}.bias"] = rng.normal(size=UNITS) * 0.3
            tensors[f"{u}.{n}.weight"] = rng.normal(size=(UNITS, UNITS)) * 0.25
        for w, _ in NAMES[kind].values():
            bn = f"bn_{w}.{n}"
            tensors[f"{bn}.weight"] = rng.uniform(0.5, 1.5, UNITS) if norm else np.ones(UNITS)
            tensors[f"{bn}.bias"] = rng.normal(size=UNITS) * 0.3 * norm
            tensors[f"{bn}.running_mean"] = rng.normal(size=UNITS) * norm
            tensors[f"{bn}.running_var"] = rng.uniform(0.3, 3, UNITS) if norm else np.ones(UNITS)
            tensors[f"{bn}.num_batches_tracked"] = np.array(9 * norm)
        tensors[f"ln.{n}.gamma"] = np.ones(UNITS)
        tensors[f"ln.{n}.beta"] = np.zeros(UNITS)
    return {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in tensors.items()
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(kind, tensors, x, masks):
    """Outputs of the last layer, by the equations; masks: 1 - dropout of each layer."""
    get = {name: array.astype(np.float64) for name, array in tensors.items()}
    for n, mask in enumerate(masks):
        of_x, recurrent = {}, {}
        for gate, (w, u) in NAMES[kind].items():
            a = x @ get[f"{w}.{n}.weight"].T + get.get(f"{w}.{n}.bias", 0)
            bn = f"bn_{w}.{n}"
            if f"{w}.{n}.bias" not in get:
                a = (a - get[f"{bn}.running_mean"]) / np.sqrt(get[f"{bn}.running_var"] + 1e-5)
                a = a * get[f"{bn}.weight"] + get[f"{bn}.bias"]
            of_x[gate], recurrent[gate] = a, get[f"{u}.{n}.weight"]
        h, c, outputs = np.zeros(UNITS), np.zeros(UNITS), []
        for t in range(len(x)):
            now = {gate: a[t] for gate, a in of_x.items()}
            if kind == "lstm":
                f = sigmoid(now["f"] + recurrent["f"] @ h)
                i = sigmoid(now["i"] + recurrent["i"] @ h)
                o = sigmoid(now["o"] + recurrent["o"] @ h)
                c = i * np.tanh(now["c"] + recurrent["c"] @ h) * mask + f * c
                h = o * np.tanh(c)
            else:
                z = sigmoid(now["z"] + recurrent["z"] @ h)
                if kind == "ligru":
                    candidate = np.maximum(now["h"] + recurrent["h"] @ h, 0) * mask
                else:
                    r = sigmoid(now["r"] + recurrent["r"] @ h)
                    candidate = np.tanh(now["h"] + recurrent["h"] @ (r * h)) * mask
                h = z * h + (1 - z) * candidate
            outputs.append(h)
        x = np.array(outputs)
    return x


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("kind", NAMES)
def test_kaldi(load, kind, norm):
    tensors = state_dict(kind, norm)
    model = load(tensors)
    assert [layer.kind for layer in model.layers] == [kind, kind]
    assert all((layer.paths[0].scale is not None) is norm for layer in model.layers)
    y, _ = run_float(model, X)
    expected = reference(kind, tensors, X, [1, 1])
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("scales", "masks"), [((0.8,), [0.8, 0.8]), ((0.8, 1.0), [0.8, 1.0])])
def test_candidate_scale_of_ligru(load, norm, scales, masks):
    tensors = state_dict("ligru", norm)
    y, _ = run_float(load(tensors, candidate_scale=scales), X)
    np.testing.assert_allclose(y, reference("ligru", tensors, X, masks), rtol=0, atol=1e-6)
    assert np.abs(y - reference("ligru", tensors, X, [1, 1])).max() > 0.01


@pytest.mark.parametrize(("kind", "candidate"), [("lstm", "tanh(g)"), ("gru_before", "tanh(n)")])
def test_candidate_scale_cannot_be_folded_after_tanh(load, kind, candidate, refused):
    line = refused(load, state_dict(kind), candidate_scale=(0.8,))
    name = kind.removesuffix("_before")
    assert line == (
        f"candidate scale 0.8: {name}.0 is of kind {kind}, whose candidate is {candidate}; a "
        "factor after tanh cannot be folded into weights, only ligru takes one; give 1 for this "
        "layer, or train it with dropout 0"
    )
    assert len(load(state_dict(kind), candidate_scale=(1.0,)).layers) == 2


@pytest.mark.parametrize("scale", [0, -0.5, 1.5, float("nan")])
def test_impossible_candidate_scale(load, scale, refused):
    line = refused(load, state_dict("ligru"), candidate_scale=(scale,))
    assert line.startswith(f"candidate scale {scale:g}: it is 1 - dropout, above 0 and at most 1")


def test_number_of_candidate_scales(load, refused):
    line = refused(load, state_dict("ligru"), candidate_scale=(0.8, 0.8, 1))
    assert line.startswith("candidate scale 0.8,0.8,1: 3 for 2 layers with a candidate; give one")
    line = refused(load, {"fc.weight": np.ones((2, 3))}, candidate_scale=(0.8,))
    assert line.startswith("candidate scale 0.8: 1 for 0 layers with a candidate;")


def test_torch_file_of_kaldi(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = state_dict("gru_before")
    states = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    torch.save({"model_par": states, "optimizer_par": {}}, tmp_path / "final_architecture1.pkl")
    y, _ = run_float(import_checkpoint(tmp_path / "final_architecture1.pkl"), X)
    expected = reference("gru_before", tensors, X, [1, 1])
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


def test_layer_normalization_in_use(load, refused):
    tensors = state_dict("lstm")
    tensors["ln.1.gamma"] = np.full(UNITS, 1.5, np.float32)
    assert refused(load, tensors) == (
        "ln.1.gamma [7] belongs to layer normalization: it holds 1.5, not 1 everywhere, so it is "
        "in use; PyTorch-Kaldi LSTM is supported without it"
    )


@pytest.mark.parametrize("name", ["bn0", "ln0"])
def test_normalised_inputs(load, name, refused):
    part = {"bn0": "running_mean", "ln0": "gamma"}[name]
    line = refused(load, state_dict("lstm") | {f"{name}.{part}": np.ones(5)})
    assert line.startswith(f"{name}.{part} [5] belongs to ") and "supported: " in line


def test_norm_in_use_beside_a_bias(load, refused):
    tensors = state_dict("ligru", norm=False)
    tensors["bn_wz.0.running_mean"] = np.full(UNITS, 0.5, np.float32)
    assert refused(load, tensors) == (
        "bn_wz.0.weight [7]: a BatchNorm that is in use beside the bias wh.0.bias [7]; "
        "PyTorch-Kaldi liGRU is supported with one of the two"
    )


@pytest.mark.parametrize("kind", NAMES)
def test_bidirectional_kaldi(load, kind):
    """One set of weights reads the frames and their flip; both outputs stand side by side."""
    tensors = state_dict(kind)
    rng = np.random.default_rng(2)
    for w, _ in NAMES[kind].values():
        tensors[f"{w}.1.weight"] = rng.normal(size=(UNITS, 2 * UNITS)).astype(np.float32) * 0.4
    x = X
    for n in range(2):
        one = {name.replace(f".{n}.", ".0."): a for name, a in tensors.items() if f".{n}." in name}
        halves = [reference(kind, one, x, [1]), reference(kind, one, x[::-1], [1])[::-1]]
        x = np.hstack(halves)
    model = load(tensors)
    y, _ = run_float(model, X)
    assert [layer.backward for layer in model.layers] == [False, True, False, True]
    assert [graph.shared_with(model.layers, n) for n in range(4)] == [None, 0, None, 2]
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-6)


def test_widths_that_fit_no_number_of_directions(load, refused):
    tensors = state_dict("ligru")
    for name in ("wh.1.weight", "wz.1.weight"):
        tensors[name] = np.ones((UNITS, 3 * UNITS), np.float32)
    line = refused(load, tensors)
    assert line == "ligru.1 takes 21 values, but ligru.0 before it puts out 7"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("ufh.1.weight", "PyTorch-Kaldi LSTM"),
        ("ur.0.weight", "PyTorch-Kaldi GRU"),
        ("wz.1.weight", "PyTorch-Kaldi GRU"),
        ("bn_wr.0.running_var", "PyTorch-Kaldi GRU"),
    ],
)
def test_missing_tensor_of_kaldi(load, name, title, refused):
    kind = "lstm" if "LSTM" in title else "gru_before"
    tensors = {n: a for n, a in state_dict(kind).items() if n != name}
    line = refused(load, tensors)
    assert line.startswith(f"{name} is missing; {title} has it, shape [units")


def test_wrong_shape_in_kaldi(load, refused):
    tensors = state_dict("gru_before") | {"uz.0.weight": np.ones((UNITS, 6), np.float32)}
    assert refused(load, tensors) == "uz.0.weight [7, 6]: PyTorch-Kaldi GRU expects [7, 7]"


def test_its_light_gru_has_no_recurrent_norm(tmp_path):
    """`--recurrent-norm` is SpeechBrain's; the layer is named."""
    np.savez(tmp_path / "m.npz", **state_dict("ligru"))
    rule = r"recurrent norm: ligru\.0 is a LiGRU of PyTorch-Kaldi, only SpeechBrain's may"
    with pytest.raises(UserError, match=rule):
        import_checkpoint(tmp_path / "m.npz", options=ImportOptions(recurrent_norm=True))
