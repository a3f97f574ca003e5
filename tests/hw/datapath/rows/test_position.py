# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.position import RowPosition
from deltaloom.hw.words import row_pass
from deltaloom.sim.testing.streams import run, set_value

CONFIG = AcceleratorConfig(word_bits=64, drain_rows=2, row_words=512, states=2048)


def make(rng):
    """A pass as the accumulators could have it, and whether no sums come for it."""
    entries = [
        {"slot": int(rng.integers(4)), "shift": n, "init": 0, "flush": int(rng.random() < 0.3)}
        for n in range(4)
    ]
    one = dict.fromkeys(row_pass().members, 0) | {
        "row_base": int(rng.integers(300)),
        "unit_words": int(rng.integers(1, CONFIG.chunk_words + 1)),
        "entries": int(rng.integers(1, 5)),
        "entry": entries,
        "unit_base": int(rng.integers(1000)),
        "tail_units": 1,
    }
    return one, int(rng.random() < 0.3)


def words(one, empty):
    """What there is to know of each of a pass's D-words."""
    found, address = [], one["row_base"]
    entries = one["entry"][: one["entries"]]
    for n in range(one["unit_words"]):
        for k, entry in enumerate(entries):
            last_entry, last_unit_word = k == len(entries) - 1, n == one["unit_words"] - 1
            found.append(
                {
                    "shift": entry["shift"],
                    "flush": entry["flush"],
                    "address": address,
                    "row": address,
                    "unit_word": n,
                    "unit": one["unit_base"] + n * CONFIG.unit_word,
                    "no_sums": int(entry["flush"] or empty),
                    "empty": empty,
                    "first_entry": int(k == 0),
                    "last_entry": int(last_entry),
                    "last_unit_word": int(last_unit_word),
                    "last": int(last_entry and last_unit_word),
                }
            )
            address += 1 - entry["flush"]
    return found


def simulate(passes, *, there=1.0):
    """The words of all passes, each loaded while the last word of the one before leaves."""
    dut = RowPosition(CONFIG)
    rng = np.random.default_rng(1)
    names = words(*passes[0])[0].keys() - {"shift", "flush"}
    found = []

    async def drive(ctx):
        waiting = list(passes)

        def load():
            one, empty = waiting.pop(0)
            set_value(ctx, dut.coming, one)
            ctx.set(dut.coming_empty, empty)
            ctx.set(dut.load, 1)

        load()
        await ctx.tick()
        for expected in [word for one in passes for word in words(*one)]:
            advance = False
            while not advance:
                advance = rng.random() < there
                ctx.set(dut.load, 0)
                ctx.set(dut.advance, advance)
                if advance and expected["last"] and waiting:
                    load()
                entry = dut.entry.shift, dut.entry.flush
                values = await ctx.tick().sample(*entry, *(getattr(dut, name) for name in names))
            found.append(dict(zip(("shift", "flush", *names), map(int, values[2:]), strict=True)))

    run(dut, drive, cycles=5000)
    return found


@pytest.mark.parametrize("there", [1.0, 0.4])
def test_passes_follow_each_other_without_a_gap(there):
    rng = np.random.default_rng(2)
    passes = [make(rng) for _ in range(20)]
    expected = [word for one in passes for word in words(*one)]
    assert simulate(passes, there=there) == expected


def test_a_pass_of_one_word():
    one, _ = make(np.random.default_rng(3))
    one |= {"unit_words": 1, "entries": 1}
    (word,) = simulate([(one, 0)])
    assert (word["first_entry"], word["last_entry"], word["last"]) == (1, 1, 1)
