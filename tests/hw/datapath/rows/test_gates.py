# SPDX-License-Identifier: Apache-2.0
import numpy as np

from deltaloom.golden.arithmetic import sat16
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.rows.gates import Gates
from deltaloom.sim.testing.streams import run, set_value

CONFIG = AcceleratorConfig(
    word_bits=16, drain_rows=2, row_words=8, pre_bits=20, cells=("sru", "linear"), states=64
)
CONTEXT = {
    "cell": 1,
    "c_exponent": 3,
    "state_base": 20,
    "output": 0,
    "vector_shift": 5,
    "skip_base": 10,
    "skip_mult": -7,
    "skip_shift": 12,
    "layer": 2,
}


def part(slot, values, *, unit_word=0, **tag):
    return {"values": values, "tag": {"slot": slot, "unit_word": unit_word} | tag}


def simulate(parts):
    """The words that leave, each with the cycle in which its last part came."""
    dut = Gates(CONFIG)
    found = []

    async def drive(ctx):
        set_value(ctx, dut.context, CONTEXT)
        none = dict.fromkeys(dut.i.payload.tag.shape().members, 0)
        for cycle, one in enumerate([*parts, None]):
            ctx.set(dut.i.valid, one is not None)
            if one is not None:
                values = {"tag": none | one["tag"], "values": one["values"]}
                set_value(ctx, dut.i.payload, values)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                names = word.shape().members.keys() - {"p"}
                fields = {name: int(word[name]) for name in names}
                found.append((cycle - 1, fields | {"p": [word.p[0], word.p[1]]}))

    run(dut, drive, cycles=1000)
    return found


def values(found):
    return [word["p"] for _, word in found]


def test_parts_of_a_gate_add_up_to_its_pre_activation():
    found = simulate(
        [
            part(0, [1, 2], init=1),
            part(1, [100, 200], init=1),
            part(0, [10, 20]),
            part(1, [1, 1], completes_gate=1),
            part(0, [4, 4], completes_gate=1),
        ]
    )
    assert [cycle for cycle, _ in found] == [3, 4]
    assert values(found) == [[101, 201], [15, 26]]
    assert [word["slot"] for _, word in found] == [1, 0]


def test_a_gate_may_follow_itself_at_once():
    parts = [part(2, [n, -n], init=int(n == 0), completes_gate=int(n == 4)) for n in range(5)]
    assert values(simulate(parts)) == [[10, -10]]


def test_random_parts_against_numpy():
    rng = np.random.default_rng(5)
    kept, parts, expected = {}, [], []
    for _ in range(300):
        slot, unit_word = int(rng.integers(4)), int(rng.integers(CONFIG.chunk_words))
        new = rng.integers(-30000, 30000, 2)
        init = int((slot, unit_word) not in kept or rng.random() < 0.3)
        sums_only, last = int(rng.random() < 0.2), int(rng.random() < 0.4)
        tag = {"init": init, "sums_only": sums_only, "completes_gate": last & ~sums_only}
        parts.append(part(slot, new.tolist(), unit_word=unit_word, **tag))
        if sums_only:
            continue
        total = new + (0 if init else kept[slot, unit_word])
        kept[slot, unit_word] = np.clip(total, -(1 << 18), (1 << 18) - 1)
        if (total != kept[slot, unit_word]).any():  # out of reach of a real network
            parts.pop()
            del kept[slot, unit_word]
            continue
        if last:
            expected.append(sat16(total).tolist())
    found = values(simulate(parts))
    assert found == expected
    assert (np.array(found) == 32767).any() and (np.array(found) == -32768).any()


def test_a_word_has_its_tags_and_its_layers_fields():
    tag = {
        "init": 1,
        "completes_gate": 1,
        "completes_unit_word": 1,
        "unit": 6,
        "count": 1,
        "first_step": 1,
        "ends_layer": 1,
    }
    (_, last), (_, first) = simulate(
        [part(3, [1, 2], **tag), part(0, [3, 4], init=1, completes_gate=1, count=2)]
    )
    shared = {"cell": 1, "c_exponent": 3, "vector_shift": 5, "skip_mult": -7, "skip_shift": 12}
    assert last == shared | {
        "slot": 3,
        "last": 1,
        "unit": 6,
        "count": 1,
        "first": 1,
        "begin": 0,
        "end": 1,
        "layer": 0,
        "state": 26,
        "skip": 16,
        "p": [1, 2],
    }
    assert (first["begin"], first["last"], first["state"], first["skip"]) == (1, 0, 20, 10)
