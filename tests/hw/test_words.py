# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from deltaloom.hw.words import layer_record, network_record, pack, pass_word


def values(shape):
    """Any value of a shape, as `pack` takes it."""
    match shape:
        case data.StructLayout():
            return st.fixed_dictionaries({n: values(s) for n, s in shape.members.items()})
        case data.ArrayLayout():
            length = shape.length
            return st.lists(values(shape.elem_shape), min_size=length, max_size=length)
    cast = Shape.cast(shape)
    low = -(1 << (cast.width - 1)) if cast.signed else 0
    return st.integers(low, low + (1 << cast.width) - 1)


@pytest.mark.parametrize("layout", [pass_word(), layer_record(3), network_record(2)])
@given(st.data())
def test_a_packed_word_reads_back_by_its_layout(layout, drawn):
    fields = drawn.draw(values(layout))
    word = pack(layout, fields)
    assert 0 <= word < 1 << layout.size
    assert layout.from_bits(word) == layout.const(fields)


SMALL = data.StructLayout(
    {
        "a": unsigned(3),
        "inner": data.StructLayout({"b": signed(4)}),
        "list": data.ArrayLayout(data.StructLayout({"c": unsigned(1)}), 2),
    }
)


def small(a=0, b=0, c=0):
    return {"a": a, "inner": {"b": b}, "list": [{"c": 0}, {"c": c}]}


def test_first_field_is_lowest_and_negatives_wrap_into_their_field_only():
    assert pack(SMALL, small(a=5, b=-1, c=1)) == 5 | 15 << 3 | 1 << 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": 8}, r"a: 8 does not fit 0\.\.7"),
        ({"a": -1}, r"a: -1 does not fit 0\.\.7"),
        ({"b": 8}, r"b: 8 does not fit -8\.\.7"),
        ({"b": -9}, r"b: -9 does not fit -8\.\.7"),
        ({"c": 2}, r"c: 2 does not fit 0\.\.1"),
    ],
)
def test_values_that_do_not_fit_are_named(fields, message):
    with pytest.raises(OverflowError, match=message):
        pack(SMALL, small(**fields))
