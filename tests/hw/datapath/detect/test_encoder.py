# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field

import numpy as np
import pytest

from deltaloom.golden.arithmetic import WIDTHS, code_range, multiplier
from deltaloom.golden.delta import sent_steps
from deltaloom.golden.models.network import Quantizer
from deltaloom.hw.datapath.detect.encoder import DeltaEncoder
from deltaloom.sim.testing.streams import run, set_value

CORNERS = [-32768, 32767, 0, -1, 1, -16384, 16383, 255, -256, 32766, -32767]


@dataclass
class Heard:
    """What an encoder told its event lists in one step. closed: how often."""

    key: tuple[int, int]
    base: int
    events: list[tuple[int, int]] = field(default_factory=list)
    closed: int = 0


def record(quantizer, columns, *, number=0, event_base=0, reference_base=0, enable=1, mode="exact"):
    return {
        "enable": enable,
        "list": number,
        "event_base": event_base,
        "columns": columns,
        "reference_base": reference_base,
        "mult": quantizer.mult,
        "shift": quantizer.shift,
        "zero": quantizer.zero_point,
        "width": WIDTHS.index(quantizer.bits),
        "power_of_two": int(mode == "power_of_two"),
    }


async def step(ctx, dut, fields, values, *, first=0, parity=0, gaps=None):
    """One step of an encoder: its start, its elements, and what it says until it is through."""
    heard = []
    set_value(ctx, dut.context, {"record": fields, "first": first, "parity": parity})
    ctx.set(dut.start, 1)
    words = [(j, int(v)) for j, v in enumerate(values)]
    busy = 1
    while busy:
        said = dut.events
        signals = said.open, said.key, said.base, said.push, said.event, said.close
        _, _, opened, key, base, push, event, close = await ctx.tick().sample(*signals)
        ctx.set(dut.start, 0)
        set_value(ctx, dut.context, {"record": record(ANY, 1), "first": 0, "parity": 0})
        if opened:
            heard.append(Heard((key.list, key.bank), base))
        if push:
            assert not heard[-1].closed
            heard[-1].events.append((event.j, event.d))
        if close:
            heard[-1].closed += 1
        element = {"valid": 0, "j": 0, "value": -1, "end": 0}
        if words and not (gaps and gaps()):
            j, value = words.pop(0)
            element = {"valid": 1, "j": j, "value": value, "end": int(not words)}
        set_value(ctx, dut.i, element)
        busy = ctx.get(dut.busy)
    return heard


ANY = Quantizer(bits=2, mult=1, shift=0)


def encoder(bits, quantizers, thresholds, references=16, modes=("exact",)):
    shifts = [q.shift for q in quantizers]
    return DeltaEncoder(
        references=references,
        code_bits=bits,
        shifts=(min(shifts), max(shifts)),
        thresholds=thresholds,
        modes=modes,
    )


def delta_rule(quantizer, threshold, frames, mode):
    """Golden's events of each frame."""
    reference = np.full(frames.shape[1], quantizer.zero_point)
    steps = []
    for frame in frames:
        d = quantizer(frame) - reference
        fires = np.abs(d) > threshold
        d[fires] = sent_steps(d[fires], reference[fires], quantizer.bits, mode)
        reference[fires] += d[fires]
        steps.append([(int(j), int(d[j])) for j in np.flatnonzero(fires)])
    return steps


def check(
    quantizer, threshold, frames, *, code_bits=None, gaps=None, mode="exact", modes=("exact",)
):
    bits = code_bits or quantizer.bits
    dut = encoder(bits, [quantizer], [0, threshold], references=40, modes=modes)
    places = {"number": 1, "event_base": 9, "reference_base": 5}
    fields = record(quantizer, frames.shape[1], mode=mode, **places)
    expected = delta_rule(quantizer, threshold, frames, mode)

    async def testbench(ctx):
        for t, frame in enumerate(frames):
            options = {"first": int(t == 0), "parity": t % 2, "gaps": gaps}
            (heard,) = await step(ctx, dut, fields, frame, **options)
            assert heard.key == (1, t % 2)
            assert heard.base == 9 + t % 2 * frames.shape[1]
            assert heard.events == expected[t]
            assert heard.closed == 1

    run(dut, testbench, cycles=20000)


def frames_of(seed, steps=8, columns=24):
    """Random walks with jumps, and corner values in the first columns."""
    rng = np.random.default_rng(seed)
    frames = np.cumsum(rng.integers(-900, 901, (steps, columns)), axis=0)
    frames += rng.integers(-32768, 32768, columns)
    frames = np.clip(frames, -32768, 32767)
    frames[:, : len(CORNERS)] = rng.choice(CORNERS, (steps, len(CORNERS)))
    return frames


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("at", [0.0, 0.02, 0.3, 1.0])
def test_delta_rule(bits, at):
    """Thresholds from 0 to the largest that a path may have."""
    mult, shift = multiplier((1 << (bits - 1)) / 32768)
    quantizer = Quantizer(bits=bits, mult=mult, shift=shift)
    check(quantizer, round(at * ((1 << bits) - 1)), frames_of(bits))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("at", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("only", [True, False])
def test_powers_of_two(bits, at, only):
    """On an encoder that does nothing else, and on one that can do both; with gaps."""
    mult, shift = multiplier((1 << (bits - 1)) / 32768)
    quantizer = Quantizer(bits=bits, mult=mult, shift=shift, zero_point=-1)
    rng = np.random.default_rng(bits)
    check(
        quantizer,
        round(at * ((1 << bits) - 1)),
        frames_of(bits),
        mode="power_of_two",
        modes=("power_of_two",) if only else ("exact", "power_of_two"),
        gaps=None if only else lambda: rng.random() < 0.4,
    )


@pytest.mark.parametrize("bits", [4, 16])
def test_exact_deltas_of_an_encoder_that_can_do_both(bits):
    mult, shift = multiplier((1 << (bits - 1)) / 32768)
    quantizer = Quantizer(bits=bits, mult=mult, shift=shift)
    check(quantizer, 1, frames_of(bits), modes=("exact", "power_of_two"))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_powers_of_two_of_codes_narrower_than_the_hardware(bits):
    mult, shift = multiplier((1 << (bits + 1)) / 32768)
    quantizer = Quantizer(bits=bits, mult=mult, shift=shift)
    modes = ("power_of_two",)
    check(quantizer, 0, frames_of(bits), code_bits=16, mode="power_of_two", modes=modes)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("end", [0, 1])
def test_zero_points_at_both_ends_of_the_codes(bits, end):
    mult, shift = multiplier((1 << bits) / 32768)
    zero = code_range(bits)[end]
    quantizer = Quantizer(bits=bits, mult=mult, shift=shift, zero_point=zero)
    check(quantizer, 1, frames_of(bits))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_narrower_than_the_hardware(bits):
    mult, shift = multiplier((1 << (bits + 1)) / 32768)
    check(Quantizer(bits=bits, mult=mult, shift=shift), 0, frames_of(bits), code_bits=16)


@pytest.mark.parametrize(
    ("bits", "mult", "shift", "zero"),
    [
        (16, 1, 0, 0),
        (16, 32767, 0, -32768),
        (8, 32767, 40, 100),
        (8, 1, 31, -128),
        (16, 20000, 25, 32767),
        (8, 0, 0, 5),
    ],
)
def test_extreme_rescale_factors(bits, mult, shift, zero):
    check(Quantizer(bits=bits, mult=mult, shift=shift, zero_point=zero), 0, frames_of(1, steps=4))


def test_gaps_between_elements_change_nothing():
    rng = np.random.default_rng(5)
    mult, shift = multiplier(1 / 256)
    quantizer = Quantizer(bits=8, mult=mult, shift=shift)
    check(quantizer, 2, frames_of(3), gaps=lambda: rng.random() < 0.6)


def test_one_element():
    check(Quantizer(bits=8, mult=1, shift=8), 0, frames_of(2, columns=11)[:, :1])


Q = Quantizer(bits=8, mult=1, shift=8)


def codes(values):
    return 256 * np.array(values)


def test_a_sequence_starts_from_the_code_of_zero():
    dut = encoder(8, [Q], [0])

    async def testbench(ctx):
        for _ in range(2):
            (heard,) = await step(ctx, dut, record(Q, 3), codes([5, 0, -6]), first=1)
            assert heard.events == [(0, 5), (2, -6)]
            # An element that did not fire in the first step has the reference 0 from then on.
            (heard,) = await step(ctx, dut, record(Q, 3), codes([5, 7, 0]))
            assert heard.events == [(1, 7), (2, 6)]

    run(dut, testbench, cycles=1000)


def test_sources_share_the_memory_without_touching_each_other():
    dut = encoder(8, [Q], [0, 0])
    one, two = record(Q, 2), record(Q, 3, number=1, event_base=4, reference_base=2)

    async def testbench(ctx):
        await step(ctx, dut, one, codes([1, 2]), first=1)
        await step(ctx, dut, two, codes([3, 4, 5]), first=1)
        (heard,) = await step(ctx, dut, one, codes([1, 1]))
        assert heard.events == [(1, -1)]
        (heard,) = await step(ctx, dut, two, codes([3, 4, 6]))
        assert heard.events == [(2, 1)]

    run(dut, testbench, cycles=1000)


def test_a_threshold_changes_at_the_next_start():
    dut = encoder(8, [Q], [0, 9])

    async def host(ctx):
        await ctx.tick().repeat(3)  # in the middle of the first step
        set_value(ctx, dut.set_threshold, {"en": 1, "list": 0, "value": 2})
        await ctx.tick()
        set_value(ctx, dut.set_threshold, {"en": 0, "list": 1, "value": 0})

    async def testbench(ctx):
        (heard,) = await step(ctx, dut, record(Q, 6), codes([1, 2, 3, -1, -2, -3]), first=1)
        assert [j for j, _ in heard.events] == [0, 1, 2, 3, 4, 5]
        (heard,) = await step(ctx, dut, record(Q, 6), codes([0, 0, 0, 0, 0, 0]))
        assert heard.events == [(2, -3), (5, 3)]
        (heard,) = await step(ctx, dut, record(Q, 6, number=1), codes([10] * 6))
        assert heard.events == [(2, 10), (3, 11), (4, 12), (5, 10)]  # the others changed by 8, 9

    run(dut, testbench, host, cycles=1000)


def test_a_disabled_encoder_says_nothing_and_keeps_its_references():
    dut = encoder(8, [Q], [0])

    async def testbench(ctx):
        await step(ctx, dut, record(Q, 2), codes([1, 2]), first=1)
        assert not await step(ctx, dut, record(Q, 2, enable=0), codes([9, 9]), first=1)
        (heard,) = await step(ctx, dut, record(Q, 2), codes([1, 2]))
        assert heard.events == []

    run(dut, testbench, cycles=1000)


@pytest.mark.parametrize("threshold", [255, 256, 257, 511, 1 << 16, (1 << 17) - 1])
def test_thresholds_above_any_change_stop_all(threshold):
    mult, shift = multiplier(128 / 32768)
    quantizer = Quantizer(bits=8, mult=mult, shift=shift)
    frames = np.array([[32767, -32768], [-32768, 32767], [32767, -32768]])
    expected = delta_rule(quantizer, threshold, frames, "exact")
    check(quantizer, threshold, frames)
    assert not any(expected)


def test_fires_above_the_threshold_and_not_at_it():
    dut = encoder(8, [Q], [4])

    async def testbench(ctx):
        (heard,) = await step(ctx, dut, record(Q, 4), codes([4, 5, -4, -5]), first=1)
        assert heard.events == [(1, 5), (3, -5)]

    run(dut, testbench, cycles=1000)
