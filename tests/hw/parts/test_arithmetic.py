# SPDX-License-Identifier: Apache-2.0
import gc

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden import arithmetic as golden
from deltaloom.hw.parts.arithmetic import Rescale, rshr, sat, sat16
from deltaloom.sim.testing.streams import run, set_value

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""


def evaluate(shape, build, values):
    """What `build` makes of a signal of `shape`, for each of `values`."""
    m = Module()
    i = Signal(shape)
    result = build(i)
    o = Signal(result.shape())
    m.d.comb += o.eq(result)
    outputs = []

    async def testbench(ctx):
        for value in values:
            set_value(ctx, i, int(value))
            outputs.append(ctx.get(o))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return outputs


def evaluate_pairs(shape, n_shape, build, values, amounts):
    """As `evaluate`, for every pair of a value and an amount."""
    m = Module()
    i, n = Signal(shape), Signal(n_shape)
    result = build(i, n)
    o = Signal(result.shape())
    m.d.comb += o.eq(result)
    outputs = []

    async def testbench(ctx):
        for value in values:
            for amount in amounts:
                set_value(ctx, i, value)
                set_value(ctx, n, amount)
                outputs.append(ctx.get(o))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return np.reshape(outputs, (len(values), len(amounts)))


@pytest.mark.parametrize("n", range(-4, 10))
def test_rshr_by_constant_is_exact_for_every_signed_value(n):
    values = range(-64, 64)
    assert evaluate(signed(7), lambda v: rshr(v, n), values) == list(golden.rshr(values, n))


@pytest.mark.parametrize("n", range(-4, 10))
def test_rshr_by_constant_is_exact_for_every_unsigned_value(n):
    values = range(64)
    assert evaluate(unsigned(6), lambda v: rshr(v, n), values) == list(golden.rshr(values, n))


@pytest.mark.parametrize(
    ("value", "n", "expected"),
    [
        (5, 1, 3),
        (-5, 1, -2),
        (-3, 1, -1),
        (3, 1, 2),
        (6, 2, 2),
        (-6, 2, -1),
        (-7, 2, -2),
        (1, 1, 1),
    ],
)
def test_rshr_rounds_half_toward_plus_infinity(value, n, expected):
    assert evaluate(signed(4), lambda v: rshr(v, n), [value]) == [expected]


@pytest.mark.parametrize(("low", "high"), [(0, 7), (-4, 3), (-3, -1), (2, 6), (5, 5), (0, 0)])
@pytest.mark.parametrize("shape", [signed(6), unsigned(5)])
def test_rshr_by_signal_is_exact_for_every_pair(low, high, shape):
    values = range(-32, 32) if shape.signed else range(32)
    amounts = range(low, high + 1)
    outputs = evaluate_pairs(
        shape, range(low, high + 1), lambda v, n: rshr(v, n, low=low, high=high), values, amounts
    )
    expected = golden.rshr(np.array(values)[:, None], np.array(amounts))
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("n_shape", [signed(3), unsigned(3), unsigned(0)])
def test_rshr_by_signal_takes_its_range_from_the_shape(n_shape):
    values = range(-16, 16)
    low = -(1 << (n_shape.width - 1)) if n_shape.signed else 0
    amounts = range(low, low + (1 << n_shape.width))
    outputs = evaluate_pairs(signed(5), n_shape, rshr, values, amounts)
    np.testing.assert_array_equal(
        outputs, golden.rshr(np.array(values)[:, None], np.array(amounts))
    )


def test_rshr_rejects_an_empty_range():
    with pytest.raises(ValueError, match=r"rshr: low must not exceed high, got 3\.\.2"):
        rshr(Signal(4), Signal(3), low=3, high=2)


@pytest.mark.parametrize("bits", range(1, 10))
@pytest.mark.parametrize("shape", [signed(7), unsigned(7)])
def test_sat_clips_every_value(bits, shape):
    values = range(-64, 64) if shape.signed else range(128)
    assert evaluate(shape, lambda v: sat(v, bits), values) == list(golden.sat(values, bits))
    assert sat(Signal(shape), bits).shape() == signed(bits)


def test_sat16_at_its_limits():
    values = [-(1 << 20), -32769, -32768, -32767, -1, 0, 32766, 32767, 32768, (1 << 20) - 1]
    assert evaluate(signed(21), sat16, values) == list(golden.sat16(values))


@given(
    value=st.integers(-(2**47), 2**47 - 1),
    n=st.integers(-8, 40),
    bits=st.integers(2, 50),
)
@settings(max_examples=50, deadline=None)
def test_rounded_then_saturated_wide_values(value, n, bits):
    value >>= 7 if n < 0 else 0  # golden's int64 holds 2**62
    expected = int(golden.sat(golden.rshr(value, n), bits))
    assert evaluate(signed(48), lambda v: sat(rshr(v, n), bits), [value]) == [expected]


def rescale(operands, **parameters):
    """Results of `Rescale` for operands that enter back to back."""
    dut = Rescale(**parameters)
    outputs = []

    async def testbench(ctx):
        for value, mult, shift in [*operands, *[(0, 0, dut.shift_min)] * dut.latency]:
            set_value(ctx, dut.value, value)
            set_value(ctx, dut.mult, mult)
            set_value(ctx, dut.shift, shift)
            outputs.append(ctx.get(dut.o))
            await ctx.tick()

    run(dut, testbench, cycles=len(operands) + 30)
    return outputs[dut.latency :]


def check_rescale(seed, *, count=400, **parameters):
    """Corners and random operands against golden, where the result fits."""
    rng = np.random.default_rng(seed)
    value_bits, mult_bits = parameters["value_bits"], parameters.get("mult_bits", 16)
    v_low, v_high = golden.code_range(value_bits)
    m_low, m_high = golden.code_range(mult_bits)
    shifts = range(parameters["shift_min"], parameters["shift_max"] + 1)
    corners = [
        (value, mult, shift)
        for value in (v_low, v_low + 1, -1, 0, 1, v_high)
        for mult in (m_low, -1, 0, 1, m_high)
        for shift in shifts
    ]
    random = [
        (
            int(rng.integers(v_low, v_high + 1)) >> int(rng.integers(value_bits)),
            int(rng.integers(m_low, m_high + 1)) >> int(rng.integers(mult_bits)),
            int(rng.choice(shifts)),
        )
        for _ in range(count)
    ]
    o_low, o_high = golden.code_range(parameters["out_bits"])
    operands, expected = [], []
    for value, mult, shift in corners + random:
        result = int(golden.rshr(value * mult, shift))
        if o_low <= result <= o_high:
            operands.append((value, mult, shift))
            expected.append(result)
    assert len(operands) > count // 4
    assert rescale(operands, **parameters) == expected


@pytest.mark.parametrize("value_bits", [2, 8, 16, 17, 18, 19, 24, 35, 36, 42, 46])
def test_rescale_at_every_kind_of_width(value_bits):
    check_rescale(1, value_bits=value_bits, shift_min=0, shift_max=40, out_bits=24)


@pytest.mark.parametrize(
    ("shift_min", "shift_max"),
    [(0, 0), (0, 1), (5, 5), (-3, -3), (-4, 10), (3, 10), (9, 24), (0, 63), (0, 511)],
)
@pytest.mark.parametrize("value_bits", [16, 30])
def test_rescale_at_every_kind_of_shift_range(shift_min, shift_max, value_bits):
    # Left shifts of a 46-bit product reach 50 bits; 52 holds every result.
    check_rescale(
        2,
        value_bits=value_bits,
        shift_min=shift_min,
        shift_max=min(shift_max, 61),
        out_bits=52,
        count=200,
    )


@pytest.mark.parametrize(("shift_min", "shift_max"), [(0, 1), (3, 10), (0, 40)])
def test_rescale_in_smaller_steps(shift_min, shift_max):
    check_rescale(
        5, value_bits=26, shift_min=shift_min, shift_max=shift_max, out_bits=40, stage_bits=2
    )


def test_rescale_that_leaves_the_rounding_to_an_adder():
    parameters = {"value_bits": 8, "shift_min": 0, "shift_max": 9, "out_bits": 24}
    operands = [(v, m, s) for v in (-128, -3, 0, 77) for m in (-9, 5, 31) for s in range(10)]
    for other in (-1, 0, 3):
        doubled = rescale(operands, rounds=False, **parameters)
        expected = [int(golden.rshr(v * m, s)) + other for v, m, s in operands]
        assert [(one + 2 * other + 1) >> 1 for one in doubled] == expected


def test_rescale_to_few_bits():
    check_rescale(3, value_bits=20, shift_min=0, shift_max=40, out_bits=4)


def test_rescale_with_a_narrow_multiplier():
    check_rescale(4, value_bits=32, shift_min=0, shift_max=24, out_bits=20, mult_bits=5)


def test_rescale_every_small_operand():
    values, mults, shifts = range(-8, 8), range(-4, 4), range(-1, 5)
    operands = [(v, m, s) for v in values for m in mults for s in shifts]
    outputs = rescale(operands, value_bits=4, mult_bits=3, shift_min=-1, shift_max=4, out_bits=9)
    assert outputs == [int(golden.rshr(v * m, s)) for v, m, s in operands]


@pytest.mark.parametrize(
    ("value_bits", "shift_max", "options", "latency"),
    [
        (18, 0, {}, 3),
        (18, 7, {}, 4),
        (19, 7, {}, 5),
        (35, 40, {}, 6),
        (36, 40, {}, 7),
        (18, 7, {"stage_bits": 2}, 5),
        (36, 40, {"stage_bits": 2}, 8),
    ],
)
def test_rescale_latency(value_bits, shift_max, options, latency):
    dut = Rescale(value_bits=value_bits, shift_min=0, shift_max=shift_max, out_bits=16, **options)
    outputs = []

    async def testbench(ctx):
        set_value(ctx, dut.value, 5)
        set_value(ctx, dut.mult, 7)
        for _ in range(latency + 1):
            outputs.append(ctx.get(dut.o))
            await ctx.tick()

    run(dut, testbench, cycles=20)
    assert dut.latency == latency
    assert outputs == [0] * latency + [35]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_bits": 53}, r"value_bits must be 2\.\.52, got 53"),
        ({"value_bits": 1}, r"value_bits must be 2\.\.52, got 1"),
        ({"mult_bits": 19}, r"mult_bits must be 2\.\.18, got 19"),
        ({"out_bits": 0}, "out_bits must be positive, got 0"),
        ({"shift_min": 5}, "shift_min must not exceed shift_max, got 5 and 4"),
    ],
)
@UNUSED
def test_rescale_rejects(change, message):
    parameters = {"value_bits": 16, "shift_min": 0, "shift_max": 4, "out_bits": 16}
    with pytest.raises(ValueError, match=message):
        Rescale(**parameters | change)
    gc.collect()
