# SPDX-License-Identifier: Apache-2.0
"""What is proved of the hardware's parts, whatever their inputs do; and that bugs are found.

Proofs by induction hold for ever; bounded ones for so many cycles after a reset, which is enough to
fill and empty a queue of a few words in every way.
"""

import sys
from pathlib import Path

import pytest
from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from deltaloom.hw.bus.axi import AxiLite
from deltaloom.hw.parts.frame_cutter import FrameCutter
from deltaloom.hw.parts.queue import Credits, Queue

sys.path.insert(0, str(Path(__file__).parent))

from prove import Claim, prove

WORD = 2
DEPTH = 3


def queue(*, bug: str = "", **kind):
    """A queue with free sides; what comes out is what went in, in its order, and stays offered."""
    claim = Claim()
    m = claim.m
    m.submodules.queue = part = Queue(WORD, depth=DEPTH, **kind)
    valid, word, ready = claim.free(1, "valid"), claim.free(WORD, "word"), claim.free(1, "ready")
    o_valid = part.o.valid
    if bug == "withdrawn":
        o_valid = part.o.valid & ~valid
    full = bug == "no backpressure"
    pushed = valid & (1 if full else part.i.ready)
    popped = o_valid & ready
    m.d.comb += [part.i.valid.eq(valid), part.i.payload.eq(word), part.o.ready.eq(ready)]
    offered = claim.before(valid & ~part.i.ready, "offered")
    claim.assume(~offered | (valid & (word == claim.before(word, "kept"))))
    if not (kind.get("buffered") and kind.get("pass_through")):  # see `Queue`
        claim.holds_until(o_valid, ready, part.o.payload, "out")
    # One word, chosen freely, is followed through the queue by the number of words before it.
    inside, follow, ahead = Signal(4), Signal(), Signal(4)
    chosen, chosen_word = claim.free(1, "chosen"), Signal(WORD)
    begins = pushed & chosen & ~follow
    m.d.sync += inside.eq(inside + pushed - popped)
    with m.If(begins):
        m.d.sync += [follow.eq(1), chosen_word.eq(word), ahead.eq(inside - popped)]
    with m.Elif(follow & popped):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(ahead == 0):
            m.d.sync += follow.eq(0)
    claim.claim(inside <= DEPTH)
    claim.claim(~(follow & (ahead == 0) & o_valid) | (part.o.payload == chosen_word))
    claim.claim(~o_valid | (inside != 0) | pushed)
    return claim


QUEUES = [{}, {"buffered": True}, {"pass_through": True}, {"buffered": True, "pass_through": True}]


@pytest.mark.parametrize("kind", QUEUES, ids=str)
def test_a_queue_keeps_every_word(kind):
    assert prove(queue(**kind), cycles=10, bounded=True).proved


@pytest.mark.parametrize("bug", ["withdrawn", "no backpressure"])
def test_a_queue_with_a_bug_is_found(bug):
    assert not prove(queue(bug=bug, buffered=True), cycles=10, bounded=True).proved


def credits(*, bug: bool = False):
    """Who takes only while there is room never holds more than the total."""
    claim = Claim()
    m, total, need = claim.m, 5, 2
    m.submodules.credits = part = Credits(total=total, need=need)
    take, amount, give = claim.free(1, "take"), claim.free(3, "amount"), claim.free(1, "give")
    held = Signal(5)  # reserved, and not yet given back
    m.d.comb += [part.take.eq(take), part.amount.eq(amount), part.give.eq(give)]
    taken = Mux(take, amount, 0)
    m.d.sync += held.eq(held + taken - give)
    claim.assume(~take | (part.room & (amount <= (need + bug))))
    claim.assume(~give | (held != 0))
    given = claim.before(give, "give")
    claim.claim(held <= total)
    # What the part has left, as far as it can be seen: room is exactly that.
    claim.claim(part.room == (total - held - given >= need))
    return claim


def test_credits_never_promise_what_is_not_there():
    assert prove(credits(), cycles=14, bounded=True).proved


def test_credits_that_are_overdrawn_are_found():
    assert not prove(credits(bug=True), cycles=14, bounded=True).proved


def axi_lite(*, bug: str = ""):
    """Every request is answered once, and the answer stays until it is taken."""
    claim = Claim()
    m = claim.m
    m.submodules.bus = part = AxiLite()
    axil, bus = part.axil, part.bus
    for name in ("awaddr", "wdata", "wstrb", "araddr", "awvalid", "wvalid", "arvalid"):
        m.d.comb += getattr(axil, name).eq(claim.free(len(getattr(axil, name)), name))
    for name in ("bready", "rready"):
        m.d.comb += getattr(axil, name).eq(claim.free(1, name))
    for name in ("w_ready", "w_error", "r_valid", "r_data", "r_error"):
        m.d.comb += getattr(bus, name).eq(claim.free(len(getattr(bus, name)), name))
    bvalid = axil.bvalid & ~bus.w_error if bug == "withdrawn" else axil.bvalid
    answered = bvalid & axil.bready
    lost = bug == "lost"
    aw, w, ar = Signal(3), Signal(3), Signal(3)  # taken and not answered
    m.d.sync += [
        aw.eq(aw + (axil.awvalid & axil.awready) - answered),
        w.eq(w + (axil.wvalid & axil.wready) - answered),
        ar.eq(ar + (axil.arvalid & axil.arready) - (axil.rvalid & axil.rready & int(not lost))),
    ]
    claim.claim(aw == ~axil.awready + axil.bvalid)
    claim.claim(w == ~axil.wready + axil.bvalid)
    claim.claim(ar == ~axil.arready)
    claim.claim(~axil.bvalid | ((aw != 0) & (w != 0)))
    claim.claim(~axil.rvalid | (ar != 0))
    claim.holds_until(bvalid, axil.bready, axil.bresp, "b")
    claim.holds_until(axil.rvalid, axil.rready, axil.rdata, "r")
    # A part of a word never reaches the registers.
    whole = Signal()
    with m.If(axil.wvalid & axil.wready):
        m.d.sync += whole.eq(axil.wstrb.all())
    claim.claim(~bus.w_valid | whole)
    return claim


def test_axi_lite_answers_every_request_once():
    assert prove(axi_lite(), cycles=4).proved


@pytest.mark.parametrize("bug", ["withdrawn", "lost"])
def test_an_axi_lite_with_a_bug_is_found(bug):
    assert not prove(axi_lite(bug=bug), cycles=10).proved


def cutter(*, bug: bool = False):
    """Every frame has exactly its words; an offered word stays."""
    claim = Claim()
    m, size = claim.m, 3
    shape = data.StructLayout({"value": WORD, "last": 1})
    m.submodules.cutter = part = FrameCutter(shape)
    valid, word, ready = (
        claim.free(1, "valid"),
        claim.free(WORD + 1, "word"),
        claim.free(1, "ready"),
    )
    start = claim.free(1, "start")
    n = Signal(range(size + 1))
    taken = part.o.valid & ready
    m.d.comb += [
        part.i.valid.eq(valid),
        part.i.payload.as_value().eq(word),
        part.o.ready.eq(ready),
        part.start.eq(start),
        part.at_last.eq(n == size - (2 if bug else 1)),
    ]
    with m.If(part.idle):
        m.d.sync += n.eq(0)
    with m.Elif(taken):
        m.d.sync += n.eq(n + 1)
    offered = claim.before(valid & ~part.i.ready, "offered")
    claim.assume(~offered | (valid & (word == claim.before(word, "kept"))))
    claim.holds_until(part.o.valid, ready, part.o.payload.as_value(), "out")
    claim.claim(n <= size)
    idle_before = claim.before(part.idle, "idle")
    claim.claim(~(part.idle & ~idle_before) | (n == size) | ~claim.before(1, "began"))
    claim.claim(~part.o.valid | (n < size))
    return claim


def test_frames_have_their_words():
    assert prove(cutter(), cycles=16, bounded=True).proved


def test_frames_that_are_cut_wrongly_are_found():
    assert not prove(cutter(bug=True), cycles=16, bounded=True).proved
