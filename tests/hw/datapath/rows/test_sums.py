# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.stages import SCALE
from deltaloom.hw.datapath.rows.sums import Sums
from deltaloom.sim.testing.streams import run, set_value

ROWS, DEPTH = 2, 8
CONFIG = AcceleratorConfig(word_bits=16, drain_rows=ROWS, row_words=DEPTH, sum_bits=20)


def word(address, values, **tag):
    return {"address": address, "values": values, "tag": tag}


def simulate(words, *, initial=None, loads=()):
    """M after each word (None: there is none in a cycle), SCALE cycles after it came.

    loads: words of the initial sums, from address 0 on.
    """
    config = CONFIG if initial is None else AcceleratorConfig(**_fields(CONFIG) | {"initial": True})
    dut = Sums(config, initial=initial)
    found = []

    async def drive(ctx):
        for address, value in enumerate(loads):
            set_value(ctx, dut.load_initial.en, 1)
            set_value(ctx, dut.load_initial.addr, address)
            set_value(ctx, dut.load_initial.data, value)
            await ctx.tick()
        if loads:
            set_value(ctx, dut.load_initial.en, 0)
        none = dict.fromkeys(dut.i.payload.tag.shape().members, 0)
        for one in [*words, *[None] * SCALE]:
            ctx.set(dut.i.valid, one is not None)
            if one is not None:
                tag = none | {"address": one["address"], "unit": len(found)} | one["tag"]
                set_value(ctx, dut.i.payload, {"tag": tag, "values": one["values"]})
            sample = dut.o.valid, dut.o.payload
            _, _, valid, payload = await ctx.tick().sample(*sample)
            found.append([payload.values[n] for n in range(ROWS)] if valid else None)
            assert not valid or payload.tag.unit == len(found) - 1 - SCALE

    run(dut, drive, cycles=2000)
    assert not any(found[:SCALE])
    return found[SCALE:]


def _fields(config):
    return {name: getattr(config, name) for name in config.__slots__}


def test_sums_add_up_by_address():
    words = [word(n, [n, -n], from_zero=1) for n in range(DEPTH)]
    words += [word(n, [100, 200]) for n in range(DEPTH)]
    expected = [[n, -n] for n in range(DEPTH)] + [[100 + n, 200 - n] for n in range(DEPTH)]
    assert simulate(words) == expected


def test_random_words_against_numpy():
    rng = np.random.default_rng(1)
    kept = np.zeros((DEPTH, ROWS), np.int64)
    words, expected, last = [], [], {}
    for cycle in range(300):
        address = int(rng.integers(DEPTH))
        if cycle - last.get(address, -9) <= SCALE or rng.random() < 0.2:
            words.append(None)
            expected.append(None)
            continue
        values = rng.integers(-2000, 2000, ROWS).tolist()
        flush = int(rng.random() < 0.2)
        tag = {
            "flush": flush,
            "no_sums": int(flush or rng.random() < 0.2),
            "from_zero": int(flush or address not in last or rng.random() < 0.2),
        }
        words.append(word(address, values, **tag))
        total = (0 if tag["from_zero"] else kept[address]) + (0 if tag["no_sums"] else 1) * (
            np.array(values)
        )
        expected.append(total.tolist())
        if not flush:
            kept[address], last[address] = total, cycle
    assert simulate(words) == expected


@pytest.mark.parametrize(("wait", "found"), [(SCALE + 1, [15, 26]), (SCALE, [10, 20])])
def test_the_same_address_may_follow_when_m_is_written(wait, found):
    """One cycle too early, it still reads what was there before."""
    words = [word(3, [0, 0], from_zero=1), *[None] * 5, word(3, [5, 6])]
    words += [*[None] * (wait - 1), word(3, [10, 20])]
    assert simulate(words)[-1] == found


def test_a_flushed_word_passes_as_zero_and_leaves_m():
    words = [word(1, [7, 8], from_zero=1), *[None] * 5]
    words += [word(1, [1, 1], flush=1, no_sums=1, from_zero=1), *[None] * 5, word(1, [1, 1])]
    found = [one for one in simulate(words) if one is not None]
    assert found == [[7, 8], [0, 0], [8, 9]]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_sequence_may_start_from_initial_sums(loaded):
    values = [(10 * n) | (-n & 0xFFFFF) << 20 for n in range(DEPTH)]
    words = [word(n, [1, 2], from_zero=1) for n in range(DEPTH)]
    words += [word(2, [5, 5], from_zero=1, flush=1, no_sums=1)]
    options = {"initial": [], "loads": values} if loaded else {"initial": values}
    found = simulate(words, **options)
    assert found == [*([10 * n + 1, 2 - n] for n in range(DEPTH)), [0, 0]]
