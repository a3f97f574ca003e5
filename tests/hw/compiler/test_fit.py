# SPDX-License-Identifier: Apache-2.0
"""The accelerator that a network gets, and the networks that one refuses."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.quantization.cell_formats import c_factor
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.pack import weight_digits
from deltaloom.sim.testing.core import network_of_paths

PATHS = [("x", "ifgo"), ("h", "ifo"), ("h", "g")]

SMALLER = (
    "weight_words",
    "row_words",
    "program",
    "layers",
    "states",
    "lists",
    "events",
    "input_events",
    "references",
    "input_references",
    "encoders",
    "lane_bits",
    "sum_bits",
    "pre_bits",
)


@pytest.mark.parametrize("name", SMALLER)
def test_what_does_not_fit_is_named_with_what_is_needed_and_available(name):
    network = make_network([("lstm", 5), ("linear", 2)], 3)
    config = derive_config(network, word_bits=64)
    need = getattr(config, name)
    with pytest.raises(UserError) as error:
        compile_network(network, replace(config, **{name: need - 1}))
    text = str(error.value)
    assert re.match(rf"{name}: the network needs {need}\b", text)
    assert f"the accelerator has {need - 1}" in text
    assert "\n" not in text


def refused(network, config, message):
    with pytest.raises(UserError, match=message):
        compile_network(network, config)


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ({"weight_bits": 3}, "^lstm0.x: weights of 3 bits, the hardware has 2, 4, 8, 16; quantize"),
        ({"activation_bits": 6}, "^lstm0.x: activations of 6 bits, the hardware has 2, 4, 8, 16"),
    ],
)
def test_widths_that_only_golden_has(bits, message):
    network = make_network([("lstm", 5), ("linear", 2)], 3, **bits)
    usual = make_network([("lstm", 5), ("linear", 2)], 3)
    for networks in ((network,), (usual, network)):
        with pytest.raises(UserError, match=message):
            derive_config(*networks)
    refused(network, derive_config(usual), message)


def test_other_misfits_are_refused():
    network = make_network([("lstm", 5), ("linear", 2)], 3)
    config = derive_config(network, word_bits=64)
    wider = replace(config, weight_bits=(16,), drain_rows=4)
    refused(network, wider, r"lstm0\.x: weights of 8 bits, the accelerator has 16")
    refused(network, replace(config, cells=("linear",)), "lstm0: cell 'lstm', .* has linear")
    before = make_network([("gru_before", 5), ("linear", 2)], 3)
    refused(before, config, "gru_before0: cell 'gru_reset', the accelerator has lstm, linear")
    refused(network, replace(config, activation_bits=4), "activation_bits: the network needs 8")
    low = config.shifts[0]
    refused(network, replace(config, shifts=(low + 1, 40)), f"shifts: the network has {low}")
    refused(network, replace(config, quantizer_shifts=(0, 1)), "quantizer_shifts: .* takes 0..1")


def test_a_gate_without_a_path_is_refused():
    network = network_of_paths([("x", "ifo")], 2, 2)
    refused(network, derive_config(network), "lstm0: no path feeds gate 'g'")


def test_a_c_exponent_that_the_cell_cannot_hold_is_refused():
    network = make_network([("lstm", 2)], 2)
    network = replace(network, layers=(replace(network.layers[0], c_exponent=8),))
    refused(network, derive_config(network), r"lstm0: c exponent 8, the hardware takes 0\.\.7")


@pytest.mark.parametrize("kind", ["lstm_norm_xh_c", "lstm_norm_xh_out"])
def test_a_c_exponent_that_an_epsilon_asks_for_has_a_way_out_of_its_own(kind):
    network = make_network([(kind, 2)], 2)
    layer = network.layers[0]
    for exponent, epsilon, way_out in (
        (8, 0.5, "the epsilon 0.5 of its norm of c asks for it: train with one below 0.5, or, if"),
        (8, 1e-3, "quantize with other data, or scale the model down"),
    ):
        word = round(epsilon * 2**24 * c_factor(exponent)) - 1
        vectors = layer.vectors | {"epsilon_c": np.full(2, word)}
        changed = replace(layer, c_exponent=exponent, vectors=vectors)
        changed = replace(network, layers=(changed,))
        text = rf"{layer.name}: c exponent 8, the hardware takes 0\.\.7; {way_out}"
        refused(changed, derive_config(changed), text)


def test_more_columns_than_an_event_can_name_are_refused():
    network = make_network([("linear", 1)], 4097)
    refused(network, derive_config(network), "linear0.x: 4097 columns or units, .* takes 4096")
    network = make_network([("linear", 1)], 4096)
    assert compile_network(network, derive_config(network)).lists[0].columns == 4096


@pytest.mark.parametrize(("word_bits", "way_out"), [(20, 16), (7, 8), (0, 8)])
def test_word_bits_that_are_no_multiple_of_the_weights_are_refused(word_bits, way_out):
    network = make_network([("linear", 1)], 1)
    with pytest.raises(UserError, match=f"word_bits: {word_bits} .* width 8; try {way_out}$"):
        derive_config(network, word_bits=word_bits)


@pytest.mark.parametrize("value", [-128, 127])
def test_sum_and_pre_activation_widths_hold_the_worst_case(value):
    """The largest sum of one step, from the lowest to the highest code, and what it becomes."""
    network = make_network([("linear", 1)], 3)
    path = network.layers[0].paths[0]
    path = replace(path, weights=np.full_like(path.weights, value), mult=path.mult * 0 - 32768)
    layer = replace(network.layers[0], paths=(path,), bias=np.full((1, 1), -(1 << 19)))
    config = derive_config(replace(network, layers=(layer,)))
    assert 3 * abs(value) * 255 < 1 << (config.sum_bits - 1)
    shift = int(path.shift[0])
    largest = (3 * abs(value) * 128 * 32768 >> shift) + 1 + (1 << 19)
    assert largest < 1 << (config.pre_bits - 1)


@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
def test_lane_sums_hold_the_worst_step(weight_bits):
    """All weights at their lowest, and all deltas from one end of the codes to the other."""
    network = network_of_paths(PATHS, 2, 5, widths=(2, 8, weight_bits))
    paths = tuple(
        replace(p, weights=np.full_like(p.weights, -(1 << (p.weight_bits - 1))))
        for p in network.layers[0].paths
    )
    network = replace(network, layers=(replace(network.layers[0], paths=paths),))
    config = derive_config(network)
    for path in paths:
        digits = weight_digits(path.matrix, config.digits(path.weight_bits), config.digit_bits)
        assert abs(digits * 255).sum(axis=-1).max() < 1 << (config.lane_bits - 1)


def test_one_unit_on_the_widest_word():
    network = make_network([("linear", 1)], 2, weight_bits=2)
    config = derive_config(network, word_bits=2048)
    assert config.lanes == 1024 and config.drain_rows == 2
    assert len(compile_network(network, config).contents["weights"]) == 2
