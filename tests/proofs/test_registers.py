# SPDX-License-Identifier: Apache-2.0
"""What is proved of the registers: a write changes what its address names, and nothing else."""

import sys
from pathlib import Path

import pytest
from amaranth.hdl import Signal

from deltaloom.hw.bus.register_map import REGISTER, THRESHOLD_BITS
from deltaloom.hw.bus.registers import Registers

sys.path.insert(0, str(Path(__file__).parent))

from prove import Claim, prove

LISTS = 2


def registers(*, bug: str = ""):
    """Writes at any address of any word, at any time, beside reads and what the core does."""
    claim = Claim()
    m = claim.m
    m.submodules.registers = part = Registers(thresholds=[5] * LISTS, state_words=2, lanes=1)
    bus, new = part.bus, part.set_threshold
    valid, address = claim.free(1, "valid"), claim.free(len(bus.w_addr), "address")
    word = claim.free(32, "word")
    m.d.comb += [bus.w_valid.eq(valid), bus.w_addr.eq(address), bus.w_data.eq(word)]
    inputs = ("busy", "step_done", "beat", "frame_error", "sequence_cut", "new_sequence_taken")
    for name in inputs:
        m.d.comb += getattr(part, name).eq(claim.free(1, name))
    m.d.comb += [part.image.ready.eq(claim.free(1, "image_ready"))]
    m.d.comb += [part.image.error.eq(claim.free(1, "image_error"))]

    def at(name: str, index: int = 0):
        return address == REGISTER[name].at(index) >> 2

    done = valid & bus.w_ready & ~bus.w_error
    # After a reset every list is told its threshold once, in their order, and no write is taken.
    told = Signal(range(LISTS + 1))
    telling = told != LISTS
    m.d.sync += told.eq(told + (new.en & telling))
    claim.claim(~telling | ~new.en | (new.list == told))
    last = new.en & (told == LISTS - 1)
    claim.claim(~(telling & ~last & done & (address < REGISTER["IMAGE"].address >> 2)))
    for n in range(LISTS):
        written = done & at("THRESHOLD", n) if bug != "another list" else done & at("THRESHOLD", 0)
        came = new.en & (new.list == n)
        before = claim.before(written, f"threshold_{n}")
        claim.claim(telling | (came == before))
        claim.claim(~before | (new.value == claim.before(word, f"value_{n}")[:THRESHOLD_BITS]))
    asked = claim.before(done & at("CONTROL") & word[0], "asked")
    kept = claim.before(part.new_sequence & ~part.new_sequence_taken, "kept")
    claim.claim(part.new_sequence == (asked | kept) if bug != "forgets" else ~kept)
    claim.claim(~part.image.valid | (address >= REGISTER["IMAGE"].address >> 2))
    image = part.image  # whose addresses count from its window's start
    same = image.addr == address[: len(image.addr)]
    claim.claim(~image.valid | (same & (image.data == word)))
    # What may be written: CONTROL, thresholds of lists that are there and of 16 bits, the image.
    here = [at("THRESHOLD", n) & ~word[THRESHOLD_BITS:].any() for n in range(LISTS)]
    own = at("CONTROL") | here[0] | here[1] | (address >= REGISTER["IMAGE"].address >> 2)
    claim.claim(~done | own)
    return claim


def test_a_write_changes_what_it_names_and_nothing_else():
    assert prove(registers(), cycles=14, bounded=True).proved


@pytest.mark.parametrize("bug", ["another list", "forgets"])
def test_a_wrong_claim_about_registers_is_found(bug):
    assert not prove(registers(bug=bug), cycles=14, bounded=True).proved
