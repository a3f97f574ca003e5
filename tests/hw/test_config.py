# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.hw.cells.catalogue import CELLS
from deltaloom.hw.config import AcceleratorConfig, divisor_up_to
from deltaloom.hw.words import FIXED, INTEGER_LSTM


@pytest.mark.parametrize("weight_bits", [2, 4, 8, 16])
@pytest.mark.parametrize(("word_bits", "drain_rows"), [(48, 1), (48, 3), (256, 8), (16, 1)])
def test_passes_hold_whole_groups_for_any_number_of_gates(word_bits, weight_bits, drain_rows):
    config = AcceleratorConfig(
        word_bits=word_bits, weight_bits=(weight_bits,), drain_rows=drain_rows
    )
    assert config.lanes * weight_bits == word_bits
    assert config.group_words(weight_bits) * drain_rows == config.lanes
    assert config.chunk_words >= 4
    assert config.chunk_words % config.group_words(weight_bits) == 0


def test_a_delta_is_one_bit_wider_than_a_code():
    assert AcceleratorConfig(activation_bits=4).delta_bits == 5


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("weight_bits", (3,), "some of (2, 4, 8, 16), in rising order"),
        ("weight_bits", (), "some of (2, 4, 8, 16), in rising order"),
        ("weight_bits", (8, 4), "some of (2, 4, 8, 16), in rising order"),
        ("activation_bits", 0, "one of (2, 4, 8, 16)"),
        ("word_bits", 20, "a multiple of the weight width 8 up to 2048"),
        ("word_bits", 0, "a multiple of the weight width 8 up to 2048"),
        ("word_bits", 4096, "a multiple of the weight width 8 up to 2048"),
        ("drain_rows", 3, "a divisor of the 8 rows of a word"),
        ("drain_rows", 0, "a divisor of the 8 rows of a word"),
        ("cells", ("lstm", "lsm"), f"of {', '.join(CELLS)}"),
        ("cells", ("lstm",) * 33, "at most 32 kinds"),
        ("lists", 0, "1..32"),
        ("lists", 33, "1..32"),
        ("sum_bits", 53, "1..52"),
        ("states", (1 << 14) + 1, "1..16384"),
        ("events", (1 << 14) + 1, "1..16384"),
        ("input_references", 1 << 20, "1..16384"),
        ("row_words", (1 << 16) + 1, "1..65536"),
        ("program", 0, "1..4096"),
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


@pytest.mark.parametrize(
    ("cells", "arithmetic", "other"),
    [
        (("integer_lstm_norm_c3", "layer_norm"), FIXED, "integer_lstm_norm_c3"),
        (("layer_norm", "integer_linear"), FIXED, "integer_linear"),
        (("integer_linear", "gru"), INTEGER_LSTM, "gru"),
    ],
)
def test_cells_are_of_the_arithmetic(cells, arithmetic, other):
    (owner,) = {FIXED, INTEGER_LSTM} - {arithmetic}
    rule = f"it must be a cell of the arithmetic {arithmetic}, not of {owner}"
    with pytest.raises(UserError, match=f"^cells: '{other}' is not possible, {rule}$"):
        AcceleratorConfig(cells=cells, arithmetic=arithmetic)


def test_a_group_of_more_words_than_the_program_can_count_is_refused():
    with pytest.raises(UserError, match=r"drain_rows: 1 is not possible.* 1024 rows"):
        AcceleratorConfig(word_bits=2048, weight_bits=(2,), drain_rows=1)
    with pytest.raises(UserError, match=r"drain_rows: 256 is not possible.* at most 128"):
        AcceleratorConfig(word_bits=2048, weight_bits=(2,), drain_rows=256)
    config = AcceleratorConfig(word_bits=2048, weight_bits=(2,), drain_rows=2)
    assert config.group_words(2) == 512


def test_several_weight_widths():
    """The narrowest width is a lane's; groups of wider weights have fewer rows."""
    config = AcceleratorConfig(word_bits=96, weight_bits=(2, 8, 16), drain_rows=3)
    assert config.lanes == 48
    assert [config.digits(width) for width in config.weight_bits] == [1, 4, 8]
    assert [config.rows(width) for width in config.weight_bits] == [48, 12, 6]
    assert [config.group_words(width) for width in config.weight_bits] == [16, 4, 2]
    assert all(config.chunk_words % config.group_words(w) == 0 for w in config.weight_bits)


def test_drain_rows_divide_the_rows_of_the_widest_weights():
    with pytest.raises(UserError, match=r"drain_rows: 4 is not possible.* 6 rows of a word"):
        AcceleratorConfig(word_bits=96, weight_bits=(2, 16), drain_rows=4)


@pytest.mark.parametrize(("n", "most", "divisor"), [(12, 8, 6), (7, 6, 1), (1, 8, 1), (32, 8, 8)])
def test_divisor_up_to(n, most, divisor):
    assert divisor_up_to(n, most) == divisor
