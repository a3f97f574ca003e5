# SPDX-License-Identifier: Apache-2.0
"""The change detector of tokens against golden: what it writes, for whom, and when it is ready."""

import numpy as np
import pytest

from deltaloom.golden.frames import NONE, token_places
from deltaloom.hw.datapath.detect.tokens import RECOVERY, TokenEncoder
from deltaloom.sim.testing.streams import run

COLUMNS = 37
STRANGERS = (-1, COLUMNS, 4096 + 5, -32768, 32767)


def record(parity, *, first, enable=1):
    fields = {"enable": enable, "list": 3, "event_base": 8, "columns": COLUMNS}
    rest = ("reference_base", "mult", "shift", "zero", "width", "power_of_two")
    return {"record": {**fields, **dict.fromkeys(rest, 0)}, "first": first, "parity": parity}


def wanted(words, firsts):
    """The events of each word, in order."""
    on, found = NONE, []
    for word, first in zip(words, firsts, strict=True):
        before = NONE if first else on
        on = int(token_places(np.array([word]), COLUMNS)[0])
        off = [] if on == before or before == NONE else [(before, -1)]
        found.append(off + ([] if on in (before, NONE) else [(on, 1)]))
    return found


@pytest.mark.parametrize("spread", [False, True])
def test_encoder(spread):
    rng = np.random.default_rng(0)
    words = [int(w) for w in rng.choice([*range(4), COLUMNS - 1, *STRANGERS], 120)]
    firsts = [n == 0 or bool(rng.random() < 0.2) for n in range(len(words))]
    dut = TokenEncoder(delta_bits=9, spread=spread)
    events, waits = [], []

    async def source(ctx):
        for n, (word, first) in enumerate(zip(words, firsts, strict=True)):
            ctx.set(dut.context, record(n & 1, first=first))
            ctx.set(dut.start, 1)
            room = COLUMNS if spread else 2
            assert ctx.get(dut.events.base) == 8 + (n & 1) * room
            assert (ctx.get(dut.events.open), ctx.get(dut.events.key.list)) == (1, 3)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for _ in range(n % 3):
                ctx.set(dut.i.value, 7)  # what comes without `valid` does not count
                await ctx.tick()
            ctx.set(dut.i, {"valid": 1, "j": 0, "value": word, "end": 1})
            await ctx.tick()
            ctx.set(dut.i, {"valid": 0, "j": 0, "value": 9, "end": 0})
            found, closed, waited = [], 0, 1
            while ctx.get(dut.busy):
                if ctx.get(dut.events.push):
                    assert not closed
                    event = dut.events.event
                    found.append((ctx.get(event.j), ctx.get(event.d)))
                closed += ctx.get(dut.events.close)
                await ctx.tick()
                waited += 1
            assert closed == 1
            events.append(found)
            waits.append(waited)

    run(dut, source, cycles=2000)
    assert events == wanted(words, firsts)
    # A cycle until the next start is decided upon, and one until its element.
    assert set(waits) == {RECOVERY - 1}


def test_a_list_that_a_sweep_does_not_have():
    dut = TokenEncoder(delta_bits=9)

    async def source(ctx):
        ctx.set(dut.context, record(0, first=1, enable=0))
        ctx.set(dut.start, 1)
        assert not ctx.get(dut.events.open)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.i, {"valid": 1, "j": 0, "value": 5, "end": 1})
        for _ in range(RECOVERY):
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            assert not ctx.get(dut.events.push) and not ctx.get(dut.events.close)
        assert not ctx.get(dut.busy)

    run(dut, source, cycles=2000)
