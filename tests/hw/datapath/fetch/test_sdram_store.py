# SPDX-License-Identifier: Apache-2.0
import gc
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.fetch.sdram_store import SdramStore
from deltaloom.hw.estimates.cycle_store import store_model
from deltaloom.hw.sdram_chips import CHIPS
from deltaloom.sim.testing.sdram import Access, run_store

# Power is on long before a test begins.
X16, X32 = (replace(CHIPS[name], power_up=3000.0) for name in ("sdram_16mx16", "sdram_2mx32"))
UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
SLOW = pytest.mark.slow
LATER = 250
"""Cycles in which all that is open has been answered."""


def run(folder, accesses, *, word_bits, chip=X16, clock_mhz=90.0, depth=8192, built_for=None):
    """Run accesses; what is read must be what was loaded last. built_for: another chip."""
    store = SdramStore(built_for or chip, clock_mhz=clock_mhz, depth=depth, word_bits=word_bits)
    done = run_store(
        folder,
        store,
        accesses,
        chip=chip,
        clock_mhz=clock_mhz,
        word_bits=word_bits,
        words=depth,
    )
    held, expected = {}, []
    for access in accesses:
        if access.address < 0:
            expected.append(None)
        elif access.word is None:
            expected.append(held[access.address])
        else:
            held[access.address] = access.word
    assert list(done.words) == expected
    assert done.outstanding <= store.outstanding
    return done


def loads(rng, addresses, word_bits):
    return [Access(address=a, word=rng.getrandbits(word_bits)) for a in sorted({*addresses})]


def reads(addresses, first_idle=LATER):
    return [Access(address=a, idle=0 if n else first_idle) for n, a in enumerate(addresses)]


@pytest.mark.parametrize(
    ("word_bits", "share", "chip", "clock_mhz"),
    [
        (16, 1.0, X16, 90.0),
        pytest.param(16, 0.1, X16, 90.0, marks=SLOW),
        (32, 0.1, X16, 133.0),  # CAS latency 3
        pytest.param(64, 0.5, X16, 60.0, marks=SLOW),
        pytest.param(256, 1.0, X16, 90.0, marks=SLOW),  # two bursts a word
        pytest.param(32, 0.3, X32, 90.0, marks=SLOW),
    ],
)
def test_columns_come_at_nine_tenths_of_the_pin_rate(tmp_path, word_bits, share, chip, clock_mhz):
    rng = random.Random(word_bits)
    beats = word_bits // chip.dq_bits
    count = 1600 // beats
    addresses = [a for a in range(int(1.3 * count / share)) if rng.random() < share][:count]
    accesses = loads(rng, addresses, word_bits) + reads(addresses)
    done = run(
        tmp_path, accesses, word_bits=word_bits, chip=chip, clock_mhz=clock_mhz, depth=1 << 15
    )
    assert done.cycles < 1.1 * count * beats
    # And as the cycle model has it.
    name = "sdram_16mx16" if chip is X16 else "sdram_2mx32"
    config = AcceleratorConfig(
        word_bits=word_bits, drain_rows=1, weight_memory=name, memory_clock_mhz=clock_mhz
    )
    model = store_model(config)
    expected = model.busy(count, addresses[-1] - addresses[0] + 1) + model.latency
    assert abs(done.cycles / expected - 1) < 0.03


def test_any_order_with_pauses_and_loads_in_between(tmp_path):
    rng = random.Random(3)
    addresses = [rng.randrange(8192) for _ in range(40)]
    accesses = loads(rng, addresses, 32)
    for n in range(400):
        address = rng.choice(addresses)
        if n % 50 == 49:
            accesses.append(Access(address=address, word=rng.getrandbits(32), idle=LATER))
        else:
            idle = rng.choice((0, 0, 0, 1, 2, 9))
            accesses.append(Access(address=address, idle=idle))
    run(tmp_path, accesses, word_bits=32)


@pytest.mark.parametrize("cut", [13, *(pytest.param(n, marks=SLOW) for n in (1, 7, 19, 25))])
def test_a_reset_in_the_middle_breaks_no_rule_and_loses_no_word(tmp_path, cut):
    rng = random.Random(cut)
    addresses = [*range(0, 8192, 300), *range(20)]
    again = [rng.randrange(8192) for _ in range(cut)]
    kept = loads(rng, addresses, 128)
    rewritten = loads(rng, again, 128)
    accesses = [*kept, *reads([*addresses[:cut], addresses[0]]), Access(address=-1, idle=cut)]
    accesses += [*reads(addresses, first_idle=cut), Access(address=-1, idle=LATER)]
    # Words that are on their way when a reset comes may be lost; then they are loaded again.
    accesses += [*rewritten, Access(address=-1, idle=cut % 4), *rewritten]
    accesses += reads([*again, *addresses])
    store = SdramStore(X16, clock_mhz=90.0, depth=8192, word_bits=128)
    done = run_store(tmp_path, store, accesses, chip=X16, clock_mhz=90.0, word_bits=128, words=8192)
    held = {access.address: access.word for access in [*kept, *rewritten]}
    resets = [-1, *(n for n, word in enumerate(done.words) if word is None), len(done.words)]
    before, between, nothing, after = [list(done.words[a + 1 : b]) for a, b in pairwise(resets)]
    first = {access.address: access.word for access in kept}
    assert before == [first[a] for a in addresses][: len(before)]
    assert between == [first[a] for a in addresses]
    assert nothing == []
    assert after == [held[a] for a in [*again, *addresses]]


@pytest.mark.parametrize(
    ("rule", "chip", "built_for"),
    [
        ("tRCD", {}, {"rcd": 1.0}),
        pytest.param("tRP", {}, {"rp": 1.0, "rc": 1.0}, marks=SLOW),
        pytest.param("tRAS", {}, {"ras": 1.0, "rc": 1.0}, marks=SLOW),
        pytest.param("tRC", {"rc": 95.0}, {}, marks=SLOW),
        pytest.param("tRRD", {"rrd": 60.0}, {}, marks=SLOW),
        ("tRFC", {}, {"rfc": 50.0}),
        pytest.param("tWR", {"wr": 80.0, "ras": 20.0, "rc": 40.0}, {"wr": 1.0}, marks=SLOW),
        ("tREFI", {}, {"refi": 12000.0}),
        ("power-up", {"power_up": 5000.0}, {}),
        pytest.param("mode is another", {"fast_mhz": 80.0}, {}, marks=SLOW),
    ],
)
def test_the_chip_sees_broken_rules(tmp_path, rule, chip, built_for):
    rng = random.Random(5)
    addresses = [rng.randrange(4096) for _ in range(60)]
    pauses = 60 * (rule == "tREFI") * [Access(address=addresses[0], idle=LATER)]
    accesses = rng.sample(loads(rng, {*addresses}, 32), len({*addresses}))
    accesses += reads(addresses) + pauses
    options = {"word_bits": 32, "depth": 4096}
    with pytest.raises(AssertionError, match=rule):
        run(
            tmp_path,
            accesses,
            chip=replace(X16, **chip),
            built_for=replace(X16, **built_for),
            **options,
        )


@UNUSED
def test_what_is_not_possible():
    for bits in (8, 48, 24):
        with pytest.raises(ValueError, match="word_bits must be 16 times a power of two"):
            SdramStore(X16, clock_mhz=90.0, depth=16, word_bits=bits)
    with pytest.raises(ValueError, match="depth must be at most 8388608 words"):
        SdramStore(X16, clock_mhz=90.0, depth=(1 << 23) + 1, word_bits=32)
    with pytest.raises(UserError, match=r"memory_clock_mhz: 1 is not possible .* must be 5 to"):
        CHIPS["sdram_16mx16"].at(1.0)
    with pytest.raises(UserError, match="memory_clock_mhz: 150 is not possible"):
        SdramStore(X16, clock_mhz=150.0, depth=16, word_bits=32)
    gc.collect()
