# SPDX-License-Identifier: Apache-2.0
"""The cells: floats against the packages they come from and by formula, integers against floats."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.arithmetic import from_fixed
from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath, run_float
from deltaloom.sim.testing.kinds import normed_last

HERE = Path(__file__).parent


def vectors(package, case):
    """A case's arrays, and its weights, from PACKAGE_vectors.npz."""
    with np.load(HERE / f"{package}_vectors.npz") as archive:
        own = {
            k.removeprefix(f"{case}:"): v for k, v in archive.items() if k.startswith(f"{case}:")
        }
    weights = {k.removeprefix("weights:"): v for k, v in own.items() if k.startswith("weights:")}
    return own, weights


def layer(kind, paths, bias, vectors=None, skip_scale=0.0, scale=None):
    """A layer from matrices [gates, units, columns] by source; scale: of the path from x."""
    return FloatLayer(
        name=kind,
        kind=kind,
        paths=tuple(
            FloatPath(
                source=source,
                gates=CELLS[kind].feeds[source],
                weights=np.asarray(matrix, np.float32),
                scale=scale if source == "x" else None,
            )
            for source, matrix in paths.items()
        ),
        bias=np.asarray(bias, np.float32),
        vectors={k: np.asarray(v, np.float32) for k, v in (vectors or {}).items()},
        skip_scale=skip_scale,
    )


def gru_layer(w, n, prefix="gru."):
    """Layer n of a torch.nn.GRU's state dict."""
    x, h = (w[f"{prefix}weight_{s}h_l{n}"] for s in "ih")
    units = h.shape[1]
    zero = np.zeros(3 * units, np.float32)
    b_x, b_h = (w.get(f"{prefix}bias_{s}h_l{n}", zero).reshape(3, units) for s in "ih")
    bias = np.stack([b_x[0] + b_h[0], b_x[1] + b_h[1], b_x[2], b_h[2]])
    matrices = {"x": x.reshape(3, units, -1), "h": h.reshape(3, units, units)}
    return layer("gru", matrices, bias)


def gru_model(w, layers, prefix="gru."):
    return FloatModel(layers=tuple(gru_layer(w, n, prefix) for n in range(layers)))


def ligru_model(w, layers):
    """SpeechBrain's LiGRU: the BatchNorm of W x as a scale and a bias."""
    result = []
    for n in range(layers):
        x, h = w[f"rnn.{n}.w.weight"], w[f"rnn.{n}.u.weight"]
        gamma, beta, mean, var = (
            w[f"rnn.{n}.norm.{k}"].astype(np.float64)
            for k in ("weight", "bias", "running_mean", "running_var")
        )
        units = h.shape[1]
        scale = gamma / np.sqrt(var + 1e-5)
        matrices = {"x": x.reshape(2, units, -1), "h": h.reshape(2, units, units)}
        bias = (beta - mean * scale).reshape(2, units)
        scale = scale.reshape(2, units).astype(np.float32)
        result.append(layer("ligru", matrices, bias, scale=scale))
    return FloatModel(layers=tuple(result))


def sru_model(w, layers, *, skips=True):
    """The package sru's: kind by the number of its columns."""
    result = []
    for n in range(layers):
        matrix, bias = w[f"rnn_lst.{n}.weight"], w[f"rnn_lst.{n}.bias"].reshape(2, -1)
        units = bias.shape[1]
        gates = matrix.reshape(len(matrix), units, -1).transpose(2, 1, 0)
        kind = "sru4" if len(gates) == 4 else "sru" if skips else "sru0"
        v_f, v_r = w[f"rnn_lst.{n}.weight_c"].reshape(2, -1)
        whole = np.zeros((len(gates), units))
        whole[1:3] = bias
        scale = float(w[f"rnn_lst.{n}.scale_x"][0]) if kind == "sru" else 0.0
        result.append(layer(kind, {"x": gates}, whole, {"v_f": v_f, "v_r": v_r}, scale))
    return FloatModel(layers=tuple(result))


def check(model, x, h):
    """Both float engines put out h, and the gates are really at work."""
    one, _ = run_float(model, x)
    (batch,) = run_float_batch(model, [x])
    np.testing.assert_allclose(one, h, rtol=0, atol=1e-6)
    np.testing.assert_allclose(batch, h, rtol=0, atol=1e-6)
    assert np.abs(h).max() > 0.5


@pytest.mark.parametrize(("case", "layers"), [("one", 1), ("two", 2), ("no_bias", 1)])
def test_gru_is_that_of_torch(case, layers):
    own, weights = vectors("gru", case)
    check(gru_model(weights, layers), own["x"], own["h"])


@pytest.mark.parametrize(("case", "layers"), [("one", 1), ("two", 2)])
def test_ligru_is_that_of_speechbrain(case, layers):
    own, weights = vectors("ligru", case)
    check(ligru_model(weights, layers), own["x"], own[f"h{layers - 1}"])


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("k3", ["sru"]),
        ("k4", ["sru4", "sru"]),
        ("rescale", ["sru4", "sru"]),
        ("v1", ["sru4", "sru"]),
        ("no_skip", ["sru0", "sru0"]),
    ],
)
def test_sru_is_that_of_its_package(case, kinds):
    own, weights = vectors("sru", case)
    model = sru_model(weights, len(kinds), skips=case != "no_skip")
    assert [layer.kind for layer in model.layers] == kinds
    check(model, own["x"], own["h"])
    np.testing.assert_allclose(run_float(model, own["x"])[1][-1].c[-1], own["c_n"][-1], atol=1e-6)


class DeltaGru:
    """A float GRU layer that sees only what a delta encoder sends: |x - x̂| >= threshold.

    sent_x, sent_h: elements sent so far that had moved.
    """

    def __init__(self, weights, n, threshold):
        (self.x, self.h), self.bias = gru_arrays(weights, n)
        self.threshold = threshold
        self.state = np.zeros(self.h.shape[1])
        self.held_x, self.held_h = np.zeros(self.x.shape[2]), np.zeros(self.h.shape[2])
        self.sent_x = self.sent_h = 0

    def step(self, x):
        self.sent_x += self._send(self.held_x, x)
        self.sent_h += self._send(self.held_h, self.state)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = self.x @ self.held_x, self.h @ self.held_h
        sums = np.array([r_x + r_h, z_x + z_h, n_x, n_h]) + self.bias
        p = dict(zip(CELLS["gru"].gates, sums, strict=True))
        state = State(np.zeros_like(self.state), self.state)
        self.state = CELLS["gru"].float_step(p, state, Numbers()).h
        return self.state

    def _send(self, held, values):
        d = values - held
        fires = np.abs(d) >= self.threshold
        held[fires] = values[fires]
        return int((fires & (d != 0)).sum())


def gru_arrays(weights, n):
    built = gru_layer(weights, n, "")
    return [path.weights.astype(np.float64) for path in built.paths], built.bias


@pytest.mark.parametrize("run", range(4))
@pytest.mark.parametrize(("case", "layers"), [("layers1", 1), ("layers2", 2)])
def test_delta_gru_is_that_of_opendpd(case, layers, run):
    own, weights = vectors("deltagru", case)
    threshold = float(own["thresholds"][run])
    stack = [DeltaGru(weights, n, threshold) for n in range(layers)]
    for x, expected in zip(own["x"], own["h"][run], strict=True):
        for each in stack:
            x = each.step(x)
        np.testing.assert_allclose(x, expected, rtol=0, atol=1e-6)
    steps = len(own["x"])
    elements = steps * sum(each.x.shape[2] for each in stack)
    assert elements - sum(each.sent_x for each in stack) == own["zeros_x"][run]
    elements = steps * sum(each.h.shape[2] for each in stack)
    assert elements - sum(each.sent_h for each in stack) == own["zeros_h"][run]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gru_before_by_formula():
    """Cho et al. 2014: n = tanh(W x + U (r * h) + b)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    w = {g: rng.normal(size=(6, 4)).astype(np.float32) for g in "rzn"}
    u = {g: rng.normal(size=(6, 6)).astype(np.float32) for g in "rzn"}
    b = {g: rng.normal(size=6).astype(np.float32) for g in "rzn"}
    h, expected = np.zeros(6), []
    for frame in x:
        r = sigmoid(w["r"] @ frame + u["r"] @ h + b["r"])
        z = sigmoid(w["z"] @ frame + u["z"] @ h + b["z"])
        n = np.tanh(w["n"] @ frame + u["n"] @ (r * h) + b["n"])
        h = (1 - z) * n + z * h
        expected.append(h)
    matrices = {
        "x": [w[g] for g in "rzn"],
        "h": [u["r"], u["z"]],
        "rh": [u["n"]],
    }
    model = FloatModel(layers=(layer("gru_before", matrices, [b[g] for g in "rzn"]),))
    check(model, x, np.array(expected))


def test_coupled_lstm_is_an_lstm_whose_input_gate_is_the_forget_gate_negated():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4))
    matrices = {s: rng.normal(size=(3, 6, n)).astype(np.float32) for s, n in (("x", 4), ("h", 6))}
    bias = rng.normal(size=(3, 6))
    coupled = layer("lstm_cifg", matrices, bias)
    whole = {s: np.stack([-m[0], *m]) for s, m in matrices.items()}
    plain = layer("lstm", whole, np.stack([-bias[0], *bias]))
    expected, _ = run_float(FloatModel(layers=(plain,)), x)
    check(FloatModel(layers=(coupled,)), x, expected)


def test_huge_pre_activations_saturate_without_warning():
    for kind, cell in CELLS.items():
        p = {gate: np.array([1e9, -1e9]) for gate in cell.gates}
        numbers = Numbers(vectors=dict.fromkeys(cell.vectors, np.ones(2)))
        state = cell.float_step(p, State(np.zeros(2), np.ones(2)), numbers)
        assert np.isfinite(state.h).all(), kind


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_table_is_consistent(kind):
    cell = CELLS[kind]
    assert 1 <= len(cell.gates) <= (8 if cell.takes_means else 4)
    assert {g for gates in cell.feeds.values() for g in gates} == {*cell.gates}
    assert {*cell.formats.values()} <= {"gate", "wide", "c", "h"}
    assert (cell.middle is None) == (cell.float_middle is None) == ("rh" not in cell.sources)
    recurrent = [gates for source, gates in cell.feeds.items() if source != "x"]
    assert cell.recurrent == bool(recurrent) == bool(cell.candidate)
    if cell.candidate:
        assert sum(cell.candidate in gates for gates in recurrent) == 1
    assert not (cell.wide and cell.has_c)
    assert cell.has_c or not (cell.c_like_h or "c" in cell.formats.values())
    assert not (cell.bounded and "h" in cell.formats.values())


INT16 = st.integers(-32768, 32767) | st.sampled_from([-32768, -32767, -1, 0, 1, 32767])
E_C = st.integers(0, 7)
CUT = 3.4e-4


@st.composite
def units(draw, kind):
    """Pre-activations, state and numbers of one unit, and the exponent of h."""
    cell = CELLS[kind]
    e_c = draw(st.integers(0, cell.most_c_exponent))
    e_h = e_c if cell.c_like_h else 0 if cell.bounded else draw(E_C)
    word = lambda: np.array([draw(INT16)])  # noqa: E731
    numbers = Numbers(
        c_exponent=e_c,
        vectors={name: word() for name in cell.vectors},
        vector_shift=18 - draw(st.integers(0, 3)) - e_c if cell.vectors else 0,
        skip=word() if cell.reads_input else None,
    )
    p = {gate: word() for gate in cell.gates}
    state = State(word() if cell.has_c else np.array([0]), word())
    return p, state, numbers, e_h


@pytest.mark.parametrize("kind", [kind for kind, cell in CELLS.items() if not cell.norms])
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_integers_are_close_to_floats(kind, data):
    cell = CELLS[kind]
    p, state, numbers, e_h = data.draw(units(kind))
    after = cell.step(p, state, numbers)
    e_c = numbers.c_exponent
    exponents = {"gate": 3, "wide": 3 + e_c, "c": e_c, "h": e_h}
    real_p = {gate: from_fixed(p[gate], exponents[to]) for gate, to in cell.formats.items()}
    e_v = 18 - numbers.vector_shift - e_c
    reals = Numbers(
        vectors={name: from_fixed(v, e_v) for name, v in numbers.vectors.items()},
        skip=None if numbers.skip is None else from_fixed(numbers.skip, e_h),
    )
    real = cell.float_step(real_p, State(*map(from_fixed, state, (e_c, e_h))), reals)
    allowed = error = 0.0
    for got, wanted, e in ((after.c, real.c, e_c), (after.h, real.h, e_h)):
        assert got.dtype == np.int64 and -32768 <= got[0] <= 32767
        limit = 2.0**e * 32767 / 32768
        error_of_c = error
        error = np.abs(from_fixed(got, e) - np.clip(wanted, -(2.0**e), limit))[0]
        # Some units of this format and of c for tables and roundings; and two gates, each of which
        # may be cut at +-8, 3.4e-4 from its limit, and mixes values up to 2 * 2**e apart.
        # What r scales reaches 8 * 2**e_c, and so much is what r's error makes of it.
        # A peephole sees c with c's error, and a sigmoid's slope is at most a quarter; h sees c's
        # through tanh, whose slope is at most one.
        peephole = allowed * np.abs(reals.vectors.get("v_o", 0)) / 4
        rounded = 12 * 2.0 ** (e - 15) + 4 * 2.0 ** (e_c - 15) * cell.has_c
        scaled = 8 * 2.0**e_c * CUT * cell.wide
        allowed = rounded + 4 * CUT * 2.0**e + peephole + error_of_c + scaled
        assert error <= allowed
        if np.abs(real.c)[0] >= 2.0**e_c:
            break  # c is saturated, and h is not that of the float c


@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_extremes_never_leave_16_bits(kind):
    cell = CELLS[kind]
    extremes = np.array([-32768, -1, 0, 1, 32767])
    count = len(cell.gates) + 2 + len(cell.vectors) + cell.reads_input
    grid = np.random.default_rng(0).choice(extremes, (count, 20_000))
    rows = iter(grid)
    p = {gate: next(rows) for gate in cell.gates}
    state = State(next(rows), next(rows))
    named = {name: next(rows) for name in cell.vectors}
    skip = next(rows) if cell.reads_input else None
    for shift in (0, 18):
        numbers = Numbers(c_exponent=0, vectors=named, vector_shift=shift, skip=skip)
        after = cell.step(p, state, numbers)
        assert after.h.min() >= -32768 and after.h.max() <= 32767
        assert after.c.min() >= -32768 and after.c.max() <= 32767
        if cell.middle is not None:
            middle = cell.middle(p, state, Numbers())
            assert middle.min() >= -32768 and middle.max() <= 32767


@pytest.mark.parametrize("kind", ["gru", "gru_hard"])
@pytest.mark.parametrize("e_c", range(4))
def test_a_candidates_recurrent_part_beyond_8_by_hand(kind, e_c):
    """r = 1/2 and nh = 2 * 2**e_c - 1/16 in Q(3 + e_c): n = tanh(nh / 2 - 15 / 16), z near 0."""
    cell = CELLS[kind]
    nh = 2.0**e_c * 2 - 1 / 16
    p = {"r": 0, "z": -32768, "nx": -(4096 - 256), "nh": round(nh * 2 ** (12 - e_c))}
    after = cell.step(
        {gate: np.array([word]) for gate, word in p.items()},
        State(np.array([0]), np.array([0])),
        Numbers(c_exponent=e_c),
    )
    wanted = np.tanh(nh / 2 - 15 / 16)
    assert from_fixed(after.h, 0)[0] == pytest.approx(wanted, abs=1e-3)


def test_reset_by_hand():
    """sigmoid(0) = 1/2: rshr(16384 * h, 15) rounds half up."""
    cell = CELLS["gru_before"]
    h = np.array([-32768, -3, -1, 1, 3, 32767])
    got = cell.middle({"r": np.zeros(6, np.int64)}, State(np.zeros(6), h), Numbers())
    assert got.tolist() == [-16384, -1, 0, 1, 2, 16384]


def test_sru_gates_read_the_old_state_by_hand():
    """v = 1 in Q1.14, c = 2 in Q2.13: f and r see sigmoid(2), u = 0, so c' = 2 f and h = r c'."""
    numbers = Numbers(
        c_exponent=2,
        vectors={"v_f": np.array([16384]), "v_r": np.array([16384])},
        vector_shift=15,
    )
    p = {gate: np.array([0]) for gate in "ufr"}
    after = CELLS["sru0"].step(p, State(np.array([16384]), np.array([5])), numbers)
    f = sigmoid(2.0)
    assert abs(after.c[0] - 16384 * f) <= 2 and abs(after.h[0] - 16384 * f * f) <= 3
