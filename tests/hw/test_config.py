# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.synthetic import make_network
from deltaloom.hw.config import AcceleratorConfig, divisor_up_to, single_weight_width
from deltaloom.sim.core_bench import network_of_paths


@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
@pytest.mark.parametrize(("word_bits", "drain_rows"), [(48, 1), (48, 3), (256, 8), (16, 1)])
def test_passes_hold_whole_groups_for_any_number_of_gates(word_bits, weight_bits, drain_rows):
    config = AcceleratorConfig(word_bits=word_bits, weight_bits=weight_bits, drain_rows=drain_rows)
    assert config.lanes * weight_bits == word_bits
    assert config.group_words * drain_rows == config.lanes
    assert config.chunk_words >= 4
    assert config.chunk_words % config.group_words == 0


def test_a_delta_is_one_bit_wider_than_a_code():
    assert AcceleratorConfig(activation_bits=4).delta_bits == 5


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("weight_bits", 3, "one of (2, 4, 8, 16)"),
        ("activation_bits", 0, "one of (2, 4, 8, 16)"),
        ("word_bits", 20, "a multiple of weight_bits (8) up to 2048"),
        ("word_bits", 0, "a multiple of weight_bits (8) up to 2048"),
        ("word_bits", 4096, "a multiple of weight_bits (8) up to 2048"),
        ("drain_rows", 3, "a divisor of the 8 lanes"),
        ("drain_rows", 0, "a divisor of the 8 lanes"),
        ("cells", ("lstm", "lsm"), "of lstm, linear"),
        ("lists", 0, "1..32"),
        ("lists", 33, "1..32"),
        ("sum_bits", 36, "1..35"),
        ("states", (1 << 14) + 1, "1..16384"),
        ("events", (1 << 14) + 1, "1..16384"),
        ("input_references", 1 << 20, "1..16384"),
        ("row_words", (1 << 16) + 1, "1..65536"),
        ("program", 0, "at least 1"),
        ("shifts", (3, 2), "within 0..40"),
        ("quantizer_shifts", (0, 41), "within 0..40"),
        ("encoders", 8, "at most 8"),
    ],
)
def test_errors_name_the_field_and_the_rule(field, value, rule):
    with pytest.raises(UserError) as error:
        AcceleratorConfig(**{field: value})
    text = str(error.value)
    assert text.startswith(field)
    assert rule in text
    assert "\n" not in text


def test_a_group_of_more_words_than_the_program_can_count_is_refused():
    with pytest.raises(UserError, match=r"drain_rows: 1 is not possible.* 1024 lanes"):
        AcceleratorConfig(word_bits=2048, weight_bits=2, drain_rows=1)
    with pytest.raises(UserError, match=r"drain_rows: 256 is not possible.* at most 128"):
        AcceleratorConfig(word_bits=2048, weight_bits=2, drain_rows=256)
    assert AcceleratorConfig(word_bits=2048, weight_bits=2, drain_rows=2).group_words == 512


@pytest.mark.parametrize(("n", "most", "divisor"), [(12, 8, 6), (7, 6, 1), (1, 8, 1), (32, 8, 8)])
def test_divisor_up_to(n, most, divisor):
    assert divisor_up_to(n, most) == divisor


def test_single_weight_width():
    assert single_weight_width(make_network([("lstm", 2)], 1, weight_bits=4)) == 4


def test_mixed_weight_widths_are_refused():
    narrow = make_network([("lstm", 2)], 1, weight_bits=4).layers[0].paths[1]
    network = network_of_paths([("x", "ifgo")], 2, 1)
    object.__setattr__(network.layers[0], "paths", (network.layers[0].paths[0], narrow))
    with pytest.raises(UserError, match=r"weight bits \[4, 8\] in one network"):
        single_weight_width(network)
