# SPDX-License-Identifier: Apache-2.0
"""Block RAM counts and the errors of designs that do not fit."""

import pytest

from deltaloom.boards.ecp5.chips import DEVICES
from deltaloom.boards.ecp5.devices import Fit, MemoryFit, fit, memory_fit
from deltaloom.boards.family.memory import Memory
from deltaloom.golden.errors import UserError

SMALL, LARGE = DEVICES["LFE5U-25F"], DEVICES["LFE5U-85F"]
BOARDS = {"ulx3s_25f": SMALL, "ulx3s_45f": DEVICES["LFE5U-45F"], "ulx3s_85f": LARGE}


def weights(depth: int, *, width: int = 72, bits: int = 8) -> Memory:
    return Memory(name="weights", depth=depth, width=width, bits=bits)


@pytest.mark.parametrize(
    ("depth", "width", "brams"),
    [
        (512, 36, 1),
        (512, 37, 2),
        (513, 36, 2),
        (1024, 18, 1),
        (2048, 9, 1),
        (2048, 10, 2),
        (4096, 4, 1),
        (8192, 2, 1),
        (16384, 1, 1),
        (16385, 1, 2),
        (1024, 64, 4),
        (3000, 64, 12),
        (700, 40, 3),
        (300, 256, 8),
        (5000, 128, 38),
    ],
)
def test_block_rams_of_a_memory(depth: int, width: int, brams: int) -> None:
    assert memory_fit(Memory(name="m", depth=depth, width=width)) == MemoryFit(brams, 0)


def test_each_read_port_needs_a_copy() -> None:
    assert memory_fit(Memory(name="m", depth=512, width=36, read_ports=2)).brams == 2


def test_small_memories_become_lut_ram() -> None:
    assert memory_fit(Memory(name="m", depth=16, width=16)) == MemoryFit(0, 24)
    assert memory_fit(Memory(name="m", depth=64, width=16)).brams == 0
    assert memory_fit(Memory(name="m", depth=64, width=32)) == MemoryFit(1, 0)


def test_asynchronous_reads_need_lut_ram_at_any_size() -> None:
    found = memory_fit(Memory(name="m", depth=512, width=36, asynchronous=True))
    assert found.brams == 0 and found.luts > 32 * 9 * 6


def test_a_memory_has_positive_sizes() -> None:
    with pytest.raises(ValueError, match="depth must be at least 1, not 0"):
        Memory(name="m", depth=0, width=1)


def test_quantized_words() -> None:
    assert weights(1001).quantized(4).depth == 501
    with pytest.raises(ValueError, match="memory 'm' holds no weights"):
        Memory(name="m", depth=1, width=1).quantized(4)


def test_what_fits_is_counted() -> None:
    memories = [weights(512 * 28), Memory(name="states", depth=16, width=4)]
    assert fit(memories, device=SMALL, luts=1000, dsps=28) == Fit(
        brams=56,
        luts=1006,
        dsps=28,
        memories={"weights": MemoryFit(56, 0), "states": MemoryFit(0, 6)},
    )


def error(*memories: Memory, name: str = "ulx3s_25f", luts: int = 0, dsps: int = 0) -> str:
    with pytest.raises(UserError) as caught:
        fit(memories, device=BOARDS[name], name=name, luts=luts, dsps=dsps, others=BOARDS)
    return str(caught.value)


def test_one_word_too_many_names_every_way_out() -> None:
    assert error(weights(512 * 28 + 1)) == (
        "weights take 60 block RAMs at 8 bits, ulx3s_25f has 56 (4 too few): "
        "quantize to 4 bits (32), build for ulx3s_45f (108) or use fewer units"
    )


def test_the_most_bits_that_fit_are_advised() -> None:
    text = error(weights(512 * 120), name="ulx3s_85f")
    assert text == (
        "weights take 240 block RAMs at 8 bits, ulx3s_85f has 208 (32 too few): "
        "quantize to 4 bits (120) or use fewer units"
    )
    text = error(weights(512 * 240), name="ulx3s_85f")
    assert "quantize to 2 bits (120)" in text


def test_what_no_width_mends_says_so() -> None:
    assert error(weights(512 * 500), name="ulx3s_85f") == (
        "weights take 1000 block RAMs at 8 bits, ulx3s_85f has 208 (792 too few): use fewer units"
    )


def test_other_memories_are_counted_beside_the_largest() -> None:
    text = error(weights(512 * 20), Memory(name="tables", depth=512, width=36 * 20))
    assert text.startswith(
        "weights take 40 block RAMs at 8 bits and everything else 20, ulx3s_25f has 56 (4 too few)"
    )


def test_luts_and_multipliers_are_checked() -> None:
    assert error(luts=24_289) == (
        "the design takes about 24289 LUTs, ulx3s_25f has 24288 (1 too few): "
        "use a narrower weight word (word_bits) or build for ulx3s_45f"
    )
    assert error(dsps=157, name="ulx3s_85f") == (
        "the design takes about 157 multipliers, ulx3s_85f has 156 (1 too few): "
        "use a narrower weight word (word_bits)"
    )


def test_names_must_differ() -> None:
    with pytest.raises(ValueError, match="different names"):
        fit([weights(1), weights(1)], device=SMALL)
