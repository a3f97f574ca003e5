# SPDX-License-Identifier: Apache-2.0
"""Integer-only LSTM networks as the compiler takes them."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.integer_lstm.arithmetic import rescale
from deltaloom.golden.integer_lstm.constants import linear_constants, lstm_constants
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.integer_lowering import lower
from deltaloom.hw.words import layer_record


def make(variant="plain", sizes=(3, 4), rows=True, **more):
    """rows: the linear layer has a scale for each."""
    model = make_lstm_network(variant, sizes, seed=1, **more)
    data = Dataset(tuple(make_frames(model.inputs, [40] * 3)))
    network = quantize(model, data)
    if rows:
        return network
    (lstm, linear) = network.layers
    one = replace(linear, weight_scale=linear.weight_scale[:1])
    return replace(network, layers=(lstm, one))


def test_a_projection_is_a_layer_that_h_comes_from():
    network = make("peephole_projection", sizes=(3, 5, 4), projected=2, classes=3)
    lowered = lower(network.with_thresholds({"lstm.0.m": 7}))
    names = ["lstm.0", "lstm.0.projection", "lstm.1", "lstm.1.projection", "linear.0"]
    assert [layer.name for layer in lowered.layers] == names
    assert lowered.layers[0].h_from == names[1] and lowered.layers[2].h_from == names[3]
    paths = dict(lowered.paths())
    assert {*paths} == {name for name, _ in network.paths()}
    assert {name: p.rows * p.columns for name, p in paths.items()} == {
        name: p.rows * p.columns for name, p in network.paths()
    }
    assert paths["lstm.0.m"].threshold == 7 and paths["lstm.0.x"].threshold == 0
    k = lstm_constants(network.layers[0])
    assert paths["lstm.0.m"].quantizer.zero_point == k.hidden_zero
    v_i = lowered.layers[0].vectors["v_i"]
    np.testing.assert_array_equal(v_i[:2], network.layers[0].peephole[0, :2])
    assert not v_i[2:].any()  # as LiteRT does


def test_layers_of_one_variant_share_a_cell():
    network = make(sizes=(3, 4, 5))
    first, second = network.layers
    layers = replace(first, cell_log2=-15), replace(second, cell_log2=-11)
    network = replace(network, layers=layers)
    config = derive_config(network, word_bits=64)
    assert config.cells == ("integer_lstm_c04",)
    image = compile_network(network, config)
    records = [layer_record(config.encoders).from_bits(w) for w in image.contents["layers"]]
    assert [record.c_exponent for record in records] == [0, 4]


@pytest.mark.parametrize("rows", [False, True])
def test_factors_are_float32_s(rows):
    network = make(classes=3, rows=rows)
    linear = lower(network).layers[-1]
    (path,) = linear.paths
    factors = path.mult[0] * 2.0 ** -int(path.shift[0])
    np.testing.assert_array_equal(factors, linear_constants(network.layers[1]).factor)
    config = derive_config(network, word_bits=64)
    assert config.row_mults is rows and config.float_shifts == (path.shift[0], path.shift[0])


def test_factors_of_gates_are_golden_s():
    network = make()
    k = lstm_constants(network.layers[0])
    x, h = lower(network).layers[0].paths
    values = np.arange(-5000, 5000)
    for path, scaling in ((x, k.x), (h, k.h)):
        for gate in range(4):
            shift = 31 - path.shift[gate]
            own = rescale(values, path.mult[gate, 0], shift)
            wanted = rescale(values, scaling.mult[gate], scaling.shift[gate])
            np.testing.assert_array_equal(own, wanted)


def test_an_accelerator_has_one_arithmetic():
    network, fixed = make(), make_network([("lstm", 4)], 3)
    with pytest.raises(UserError, match="networks: of the arithmetics fixed and integer-lstm"):
        derive_config(network, fixed)
    with pytest.raises(UserError, match="arithmetic: integer-lstm, the accelerator has fixed"):
        compile_network(network, derive_config(fixed))
    with pytest.raises(UserError, match="lane_kind: 'shift_add' is not possible"):
        derive_config(network, lane_kind="shift_add")
    rows = make(classes=3, rows=True)
    config = replace(derive_config(rows), row_mults=False)
    with pytest.raises(UserError, match=r"linear\.0\.x: a scale for each row, the accelerator has"):
        compile_network(rows, config)
    config = replace(derive_config(rows), float_shifts=())
    with pytest.raises(UserError, match=r"float_shifts: the network has .*, the accelerator tak"):
        compile_network(rows, config)


def test_refuses_a_linear_layer_that_float32_would_round():
    (lstm, linear) = make(classes=3).layers
    network = make(classes=3)
    wide = replace(linear, bias=np.array([1 << 24, 0, 0]))
    with pytest.raises(UserError, match=r"linear\.0: its sums may reach .*, which float32 rounds"):
        lower(replace(network, layers=(lstm, wide)))
    scales = np.array([1.0, 3.1, 1000.3], np.float32).astype(np.float64) * 2.0**-12
    apart = replace(linear, weight_scale=scales)
    with pytest.raises(UserError, match=r"linear\.0: scales of its rows are too far apart"):
        lower(replace(network, layers=(lstm, apart)))


@pytest.mark.parametrize(
    "change, line",
    [
        ({"norm_scale": 2.0**-4}, "lstm.0 norm of i: a scale of 0.0625 is not possible in the acc"),
        ({"m_zero": -128}, "lstm.0 m zero point: -128 is not possible in the accelerator"),
        ({"x_scale": 2.0**20}, "lstm.0.x: its sums may reach .*, where LiteRT's wrap"),
        ({"y_scale": 2.0**-31}, r"lstm.0 o \* tanh\(c\): a rescale factor of 1 and more"),
    ],
)
def test_refuses_by_name(change, line):
    variant = {"m_zero": "projection", "norm_scale": "norm"}.get(*change, "plain")
    network = make(variant, (3, 4))
    (layer,) = network.layers
    if "m_zero" in change:
        layer = replace(layer, m=replace(layer.m, zero_point=change["m_zero"]))
    if "norm_scale" in change:
        layer = replace(layer, norm_scale=np.full(4, change["norm_scale"]))
    for name in ("x", "y"):
        if f"{name}_scale" in change:
            part = replace(getattr(layer, name), scale=change[f"{name}_scale"])
            layer = replace(layer, **{name: part})
    with pytest.raises(UserError, match=line):
        lower(replace(network, layers=(layer,)))
