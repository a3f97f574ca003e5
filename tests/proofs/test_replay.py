# SPDX-License-Identifier: Apache-2.0
"""What is proved of events on their way to the lanes: none is lost, none comes twice, none waits.

Small lists and programs, bounded: whatever the encoder, the passes, the weight store and the drain
do, in every cycle.
"""

import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from deltaloom.hw.datapath.events.event_lists import EventLists
from deltaloom.hw.datapath.fetch.rounds import Rounds
from deltaloom.hw.datapath.fetch.sequencer import PASS_CYCLES, Sequencer
from deltaloom.hw.words import pack, pass_word

sys.path.insert(0, str(Path(__file__).parent))

from prove import Claim, prove

EVENTS = 2
"""Most events of a list."""
GROUP = 2
"""Words of weights between two groups of rows."""
SECOND = 8
"""Where the weights of a step's second pass are; those of the first are at 0."""

REST = 6
"""Most cycles between two beats where nothing is waited for: a pass comes, asks for its list."""


def replay(*, passes: int, bug: str = ""):
    """Each event of a step, once in every group of rows of every pass; then the list is free.

    One event, one group and one pass of one step are chosen freely and followed. The writer is as
    the encoder, the release as the reader has it.
    """
    claim = Claim()
    m = claim.m
    m.submodules.lists = lists = EventLists(depth=2 * EVENTS, delta_bits=2, lists=1)
    m.submodules.rounds = rounds = Rounds(sources=1)
    state, entries = lists.reader.state, lists.reader.entries
    stuck = int(bug == "never final")
    m.d.comb += [
        state.query.eq(rounds.lists[0].query),
        rounds.lists[0].closed.eq(state.closed & ~(stuck & (state.count != 0))),
        rounds.lists[0].count.eq(state.count),
    ]
    began = Signal()
    m.d.sync += began.eq(1)
    chosen = {
        name: _constant(claim, began, bits, name)
        for name, bits in {"groups": 2, "group": 1, "event": 1, "pass": 1, "step": 2}.items()
    }
    claim.assume((chosen["groups"] != 0) & (chosen["groups"] != 3))
    claim.assume((chosen["group"] < chosen["groups"]) & (chosen["pass"] < passes))

    # The encoder: opens a bank that is not taken, appends, closes, in turn.
    writer = lists.writer
    go, push, close = (claim.free(1, name) for name in ("go", "push", "close"))
    phase, written, total, count = Signal(2), Signal(3), Signal(2), Signal(2)
    bank = written[0]
    pushes = (phase == 2) & push & (count < EVENTS)
    closes = (phase == 2) & close
    m.d.comb += [
        writer.key.bank.eq(bank),
        writer.base.eq(Mux(bank, EVENTS, 0)),
        writer.open.eq((phase == 0) & go & (~writer.taken | int(bug == "overwritten"))),
        writer.push.eq(pushes),
        writer.close.eq(closes),
    ]
    with m.If(writer.open):
        m.d.sync += [phase.eq(1), count.eq(0)]
    with m.Elif(phase == 1):
        m.d.sync += phase.eq(2)
    with m.If(pushes):
        m.d.sync += count.eq(count + 1)
    with m.If(closes):
        m.d.sync += [phase.eq(0), written.eq(written + 1)]
        with m.If(written == chosen["step"]):
            m.d.sync += total.eq(count + pushes)

    # The passes of each step.
    offered, second, parity = claim.free(1, "offered"), Signal(), Signal()
    job = rounds.i.payload["pass"]
    last_pass = second if passes == 2 else 1
    m.d.comb += [
        rounds.i.valid.eq(offered),
        rounds.i.payload.step.parity.eq(parity),
        job.columns.eq(GROUP),
        job.groups.eq(chosen["groups"]),
        job.weight_base.eq(Mux(second, SECOND, 0)),
        job.words.eq(1),
        job.tail_words.eq(1),
        job.release.eq(last_pass),
    ]
    with m.If(rounds.i.valid & rounds.i.ready):
        m.d.sync += [second.eq(~Value.cast(last_pass)), parity.eq(parity ^ last_pass)]

    # The reader gives a bank back when all before has moved on, and the drain may hold a group up.
    advance, may_end = claim.free(1, "advance"), claim.free(1, "may_end")
    release, key = Signal(), Signal.like(Value.cast(rounds.use.key))
    m.d.comb += [
        rounds.advance.eq(advance),
        rounds.may_end.eq(may_end),
        rounds.releasing.eq(release & int(bug != "answered too early")),
        entries.release.eq(release & advance),
        Value.cast(entries.release_key).eq(key),
    ]
    with m.If(advance):
        m.d.sync += [release.eq(rounds.use.release), key.eq(Value.cast(rounds.use.key))]

    # What is followed.
    use, step, seen, fresh = rounds.use, Signal(3), Signal(2), Signal(init=1)
    ends = use.release & advance
    base = Mux(step[0], EVENTS, 0)
    group_base = Mux(chosen["pass"], SECOND, 0) + Mux(chosen["group"], GROUP, 0)
    ours = step == chosen["step"]
    hit = rounds.issue & ours & (use.group_base == group_base)
    hit &= use.address == base + chosen["event"]
    if bug == "lost":
        hit &= ~(use.last & use.first)
    m.d.sync += [seen.eq(seen + hit), step.eq(step + ends)]
    there = Mux(chosen["event"] < total, 1, 0)
    claim.claim(seen + hit <= 1)
    claim.claim(~rounds.issue | (use.address < base + EVENTS) & (use.address >= base))
    claim.claim(~(ends & ours) | ((written > step) & (seen + hit == there)))
    # The first and the last beat of a group are marked.
    claim.claim(~rounds.issue | (use.first == fresh))
    with m.If(rounds.issue):
        m.d.sync += fresh.eq(use.last)

    # Nobody waits who need not.
    still = Signal(4)
    may = offered & advance & may_end & (written > step)
    moves = rounds.issue | rounds.begun.valid | ends
    m.d.sync += still.eq(Mux(may & ~moves, still + 1, 0))
    claim.claim(still <= REST)
    return claim


def _constant(claim: Claim, began: Signal, bits: int, name: str) -> Value:
    """A value chosen freely in the first cycle, and kept."""
    free, kept = claim.free(bits, name), Signal(bits, name=f"{name}_kept")
    with claim.m.If(~began):
        claim.m.d.sync += kept.eq(free)
    return Mux(began, kept, free)


CYCLES = 14
"""A bank is filled, replayed, given back and filled again in 12."""


@pytest.mark.parametrize("passes", [1, 2])
def test_an_event_is_replayed_once_in_every_group(passes):
    assert prove(replay(passes=passes), cycles=CYCLES, bounded=True).proved


@pytest.mark.slow  # some minutes
@pytest.mark.parametrize("passes", [1, 2])
def test_an_event_is_replayed_once_for_longer(passes):
    assert prove(replay(passes=passes), cycles=CYCLES + 4, bounded=True).proved


@pytest.mark.parametrize("bug", ["overwritten", "lost", "answered too early", "never final"])
def test_a_replay_with_a_bug_is_found(bug):
    assert not prove(replay(passes=1, bug=bug), cycles=CYCLES + 2, bounded=True).proved


PASSES = 3
"""Of the program; the last one ends the step."""


def sequencer(receiver: str, *, bug: str = ""):
    """Each step's passes come in their order, with the step's tag, and none waits for nothing."""
    claim = Claim()
    m = claim.m
    names = [str(name) for name, _ in pass_word() if str(name) != "step_end"]
    zero = {name: _zeros(pass_word()[name].shape) for name in names}
    program = []
    for n in range(PASSES):
        word = zero | {"step_end": int(n == PASSES - 1)}
        word["fetch"] = word["fetch"] | {"products": n}
        word["rows"] = word["rows"] | {"unit_base": n}
        program.append(pack(pass_word(), word))
    if bug == "skipped":
        program[1] = program[2]
    m.submodules.sequencer = part = Sequencer(depth=PASSES, init=program)
    began = Signal()
    m.d.sync += began.eq(1)
    followed = _constant(claim, began, 2, "followed")
    step, tag = claim.free(1, "step"), claim.free(3, "tag")
    ready = {name: claim.free(1, f"{name}_ready") for name in names}
    m.d.comb += [part.i.valid.eq(step), part.i.payload.as_value().eq(tag)]
    m.d.comb += [getattr(part, name).ready.eq(ready[name]) for name in names]
    accepted, kept = Signal(4), Signal(3)
    takes = step & part.i.ready
    with m.If(takes):
        m.d.sync += accepted.eq(accepted + 1)
        with m.If(accepted == followed):
            m.d.sync += kept.eq(tag)

    out = getattr(part, receiver)
    index = out.payload["pass"]["products" if receiver == "fetch" else "unit_base"]
    taken = out.valid & ready[receiver]
    n, done, still = Signal(range(PASSES)), Signal(4), Signal(4)
    claim.claim(~out.valid | ((done < accepted) & (index == n)))
    told = out.payload.step.as_value()
    claim.claim(~out.valid | (done != followed) | (told == kept))
    with m.If(taken):
        m.d.sync += n.eq(Mux(n == PASSES - 1, 0, n + 1))
        with m.If(n == PASSES - 1):
            m.d.sync += done.eq(done + 1)
    waits = ready[receiver] & (done < accepted)
    m.d.sync += still.eq(Mux(waits & ~taken, still + 1, 0))
    claim.claim(still < PASS_CYCLES - int(bug == "a cycle less"))
    claim.holds_until(out.valid, ready[receiver], out.payload.as_value(), "out")
    return claim


def _zeros(shape: Any) -> Any:
    """Nothing, in the form of a layout."""
    if isinstance(shape, data.StructLayout):
        return {str(name): _zeros(field.shape) for name, field in shape}
    if isinstance(shape, data.ArrayLayout):
        return [_zeros(shape.elem_shape)] * shape.length
    return 0


@pytest.mark.parametrize("receiver", ["fetch", "rows"])
def test_the_sequencer_skips_no_pass_and_never_stops(receiver):
    assert prove(sequencer(receiver), cycles=20, bounded=True).proved


@pytest.mark.parametrize("bug", ["skipped", "a cycle less"])
def test_a_sequencer_with_a_bug_is_found(bug):
    assert not prove(sequencer("fetch", bug=bug), cycles=20, bounded=True).proved
