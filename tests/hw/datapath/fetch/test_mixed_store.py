# SPDX-License-Identifier: Apache-2.0
"""Words in block RAM and in an SDRAM, asked for in any order."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.fetch.mixed_store import MixedStore
from deltaloom.hw.datapath.fetch.sdram_store import SdramStore
from deltaloom.hw.datapath.fetch.weight_store import BlockRamStore
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles
from deltaloom.hw.sdram_chips import CHIPS
from deltaloom.sim.testing.sdram import Access, run_store

CHIP = replace(CHIPS["sdram_16mx16"], power_up=3000.0)
CLOCK_MHZ = 90.0
DEPTH, WORD_BITS = 4096, 32
LATER = 250


SIZES = {"chip": CHIP, "clock_mhz": CLOCK_MHZ, "word_bits": WORD_BITS, "words": DEPTH}


def store(near):
    return MixedStore(
        near=BlockRamStore(depth=near, word_bits=WORD_BITS, init=[]),
        far=SdramStore(CHIP, clock_mhz=CLOCK_MHZ, depth=DEPTH, word_bits=WORD_BITS),
        depth=DEPTH,
        word_bits=WORD_BITS,
    )


def run(folder, near, accesses):
    """The run, every answer compared with what was loaded last."""
    mixed = store(near)
    done = run_store(folder, mixed, accesses, **SIZES)
    held, expected = {}, []
    for access in accesses:
        if access.word is None:
            expected.append(held[access.address])
        else:
            held[access.address] = access.word
    assert list(done.words) == expected
    assert done.outstanding <= mixed.outstanding
    return done


@pytest.mark.parametrize("near", [1, 37, 2048])
def test_answers_come_in_order_whoever_has_them(near, tmp_path):
    rng = random.Random(near)
    addresses = [near - 1, near, *(rng.randrange(2 * near) for _ in range(40))]
    accesses = [Access(address=a, word=rng.getrandbits(WORD_BITS)) for a in sorted({*addresses, 0})]
    for n in range(400):
        run_of = rng.choice(addresses)
        idle = LATER if not n else rng.choice((0, 0, 0, 0, 1, 2, 9))
        accesses.append(Access(address=run_of, idle=idle))
        if n % 50 == 49:
            word = rng.getrandbits(WORD_BITS)
            accesses.append(Access(address=run_of, word=word, idle=LATER))
            accesses.append(Access(address=run_of, idle=1))
    run(tmp_path, near, accesses)


def test_resets_in_the_middle_lose_answers_and_no_words(tmp_path):
    """From the cycle of the last request on to where all is answered."""
    rng = random.Random(7)
    addresses = [n for pair in zip(range(30, 60), range(7, 37), strict=True) for n in pair]
    held = {a: rng.getrandbits(WORD_BITS) for a in sorted({*addresses})}
    accesses = [Access(address=a, word=word) for a, word in held.items()]
    asked = []
    for idle in (*range(16), LATER):
        asked.append(rng.sample(addresses, 9))
        first, *others = asked[-1]
        accesses.append(Access(address=first, idle=LATER))
        accesses += [*(Access(address=a) for a in others), Access(address=-1, idle=idle)]
    asked.append(addresses)
    accesses += [Access(address=a, idle=0 if n else LATER) for n, a in enumerate(addresses)]
    done = run_store(tmp_path, store(37), accesses, **SIZES)
    resets = [-1, *(n for n, word in enumerate(done.words) if word is None), len(done.words)]
    found = [list(done.words[a + 1 : b]) for a, b in pairwise(resets)]
    wanted = [[held[a] for a in each] for each in asked]
    assert [own[: len(got)] for own, got in zip(wanted, found, strict=True)] == found
    assert len(found[0]) < len(wanted[0]) and found[-2:] == wanted[-2:]


def test_a_word_a_cycle_from_the_chip_and_one_in_two_from_beside_it(tmp_path):
    rng = random.Random(5)
    accesses = [Access(address=a, word=rng.getrandbits(WORD_BITS)) for a in range(600)]
    for first, end, cycles in ((0, 300, 300), (300, 600, 600), (0, 600, 900)):
        reads = [Access(address=a, idle=0 if n else LATER) for n, a in enumerate(range(first, end))]
        (folder := tmp_path / str(cycles)).mkdir()
        done = run(folder, 300, accesses + reads)
        assert cycles < done.cycles < 1.06 * cycles


def test_fewer_words_than_there_are():
    network = make_network([("gru", 9)], 5, seed=1)
    config = derive_config(network, weight_memory="sdram_16mx16", near_bytes=100)
    assert config.near_words == 25
    most = config.weight_words * 4
    with pytest.raises(UserError) as caught:
        derive_config(network, weight_memory="sdram_16mx16", near_bytes=most)
    assert str(caught.value) == (
        f"near_bytes: {most} bytes of weights on the chip are not possible beside an SDRAM, it "
        f"must be 0 to less than all {most}; name fewer, or leave the SDRAM out"
    )
    rule = "near_words: 3 is not possible, it must be fewer than weight_words with an SDRAM, else 0"
    with pytest.raises(UserError, match=rule):
        replace(derive_config(network), near_words=3)


@pytest.mark.parametrize("near_bytes", [100, 1, -1])
def test_no_bytes_beside_an_sdram_that_is_not_there(near_bytes):
    with pytest.raises(UserError) as caught:
        derive_config(make_network([("gru", 9)], 5, seed=1), near_bytes=near_bytes)
    assert str(caught.value) == (
        f"near_bytes: {near_bytes} is not possible, all weights are on the chip; leave it at 0, "
        "or name an SDRAM as weight_memory"
    )


def test_no_less_than_a_word():
    network = make_network([("gru", 9)], 5, seed=1)
    for near_bytes, words in ((0, 0), (4, 1), (7, 1)):
        config = derive_config(network, weight_memory="sdram_16mx16", near_bytes=near_bytes)
        assert config.near_words == words
    with pytest.raises(UserError) as caught:
        derive_config(network, weight_memory="sdram_16mx16", near_bytes=3)
    assert str(caught.value) == (
        "near_bytes: 3 is not possible, it must be 0 or at least a weight word of 4 bytes; name "
        "more, or leave it at 0"
    )


def test_what_it_saves():
    """The figures of docs/boards.md: cycles of a dense step."""
    network = make_network([("gru", 256)] * 2, 40, seed=1, weight_bits=8)
    cycles = []
    for near in (0, 250_000):
        config = derive_config(network, weight_memory="sdram_16mx16", near_bytes=near)
        ends = estimate_cycles(network, config, [dense_events(network, 4)]).ends
        cycles.append(ends[-1] - ends[-2])
    assert cycles == [316_577, 251_332]
