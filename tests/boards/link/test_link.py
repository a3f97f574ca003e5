# SPDX-License-Identifier: Apache-2.0
"""The board's end of the link in Amaranth's simulator, against the host's, over a bad line."""

import gc
import random
from typing import Any

import pytest

from deltaloom.boards.link.frames import (
    ASK,
    GAP,
    MAX_DATA,
    RESEND,
    SYN,
    Deframer,
    Segment,
    frame,
)
from deltaloom.boards.link.link import Link
from deltaloom.boards.link.receiver import LinkReceiver
from deltaloom.boards.link.sender import LinkSender
from deltaloom.host.link import HostLink
from deltaloom.sim.testing.bad_line import BadLine
from deltaloom.sim.testing.link_bench import ByteBench

WINDOW = 512
UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


class Echo:
    """A link whose two streams are joined: what comes goes back, at random speed."""

    def __init__(self, seed: int, *, stuck: bool = False) -> None:
        self.link = Link(window=WINDOW)
        self.bench = ByteBench(self.link, self.link, seed)
        self.stuck = stuck
        self.restarts = 0
        self._rng = random.Random(seed)

    async def join(self, ctx: Any) -> None:
        o, i, restart = self.link.o, self.link.i, self.link.restart
        while True:
            _, _, valid, byte, again = await ctx.tick().sample(o.valid, o.payload, restart)
            self.restarts += again
            if valid and not self.stuck and self._rng.random() < 0.7:
                ctx.set(i.payload, byte)
                ctx.set(i.valid, 1)
                await ctx.tick().until(i.ready)
                ctx.set(i.valid, 0)
                ctx.set(o.ready, 1)
                await ctx.tick()
                ctx.set(o.ready, 0)


def exchange(echo: Echo, sent: list[bytes], *, steps: int = 1) -> list[Segment]:
    """All segments that the board answers with, to these contents one after the other."""
    deframer, answers = Deframer(), []
    left = iter([*sent, *[b""] * steps])

    def step(now: float) -> bool:
        for content in deframer.feed(bytes(echo.bench.from_board)):
            segment = Segment.unpack(content, from_board=True)
            assert segment is not None
            answers.append(segment)
        echo.bench.from_board.clear()
        if echo.bench.to_board:
            return True
        content = next(left, None)
        echo.bench.to_board += frame(content) if content else b""
        return content is not None

    echo.bench.run(step, echo.join, every=300)
    assert deframer.damaged == 0
    return answers


def host(data: bytes = b"", **fields: int) -> bytes:
    return Segment(session=9, data=data, **fields).pack()


OPEN = host(control=SYN)


def test_it_is_silent_until_it_is_asked() -> None:
    assert exchange(Echo(0), []) == []
    (answer,) = exchange(Echo(0), [host(control=ASK)])
    assert (answer.session, answer.control, answer.ack) == (0, 0, 0)


def test_a_session_begins_once() -> None:
    echo = Echo(0)
    answers = exchange(echo, [OPEN, OPEN, host(b"abc"), OPEN])
    assert echo.restarts == 1
    assert [a.control for a in answers[:2]] == [SYN, SYN]
    assert all(a.session == 9 for a in answers)
    assert answers[0].limit == WINDOW - 4 and answers[-1].ack == 3


def test_data_comes_once_and_in_order() -> None:
    late = host(b"def", seq=3)
    answers = exchange(
        Echo(0), [OPEN, late, host(b"abc"), host(b"abc"), late, host(b"xyz", seq=6, ack=6)]
    )
    assert [a.ack for a in answers if a.control == GAP] == [0]
    stream = bytearray(9)
    for answer in answers:
        stream[answer.seq : answer.seq + len(answer.data)] = answer.data
    assert stream == b"abcdefxyz" and answers[-1].ack == 9


def test_what_was_not_acknowledged_comes_again() -> None:
    answers = exchange(Echo(0), [OPEN, host(b"abcd"), host(control=RESEND, ack=1, seq=4)])
    data = [(a.seq, a.data) for a in answers if a.data]
    assert b"".join(d for _, d in data[:-1]) == b"abcd" and data[-1] == (1, b"bcd")


def test_an_old_acknowledgement_does_nothing() -> None:
    again = host(control=RESEND, seq=4, ack=2)
    answers = exchange(Echo(0), [OPEN, host(b"abcd"), host(seq=4, ack=3), again])
    assert [(a.seq, a.data) for a in answers if a.data][-1] == (3, b"d")


def test_segments_of_another_session_are_only_answered() -> None:
    stranger = Segment(session=8, data=b"abc").pack()
    answers = exchange(Echo(0), [OPEN, stranger])
    assert answers[-1].session == 9 and answers[-1].ack == 0
    assert not any(a.data for a in answers)


@pytest.mark.parametrize("content", [b"", b"\x09", host()[:-1], bytes(20)])
def test_no_segment_at_all(content: bytes) -> None:
    (answer,) = exchange(Echo(0), [content, b"", OPEN])[-1:]
    assert answer.control == SYN


def test_more_than_there_is_room_for_is_dropped_whole() -> None:
    parts = [bytes([n]) * MAX_DATA for n in range(2)]
    echo = Echo(0, stuck=True)
    sent = [host(part, seq=MAX_DATA * n) for n, part in enumerate(parts)]
    answers = exchange(echo, [OPEN, *sent, host(b"a" * 252, seq=MAX_DATA)])
    assert answers[-2].ack == MAX_DATA
    assert answers[-1].ack == MAX_DATA + 252 == answers[-1].limit


def survive(seed: int, damaged: int, chance: float) -> None:
    """A host and the echo, until so many frames were damaged; every byte must come back."""
    rng = random.Random(seed)
    echo = Echo(seed)
    there, back = BadLine(rng, chance), BadLine(rng, chance)
    link = HostLink(session=5, patience=1e9, wait=0.1)
    sent, got = bytearray(), bytearray()

    def step(now: float) -> bool:
        enough = there.damaged + back.damaged >= damaged
        if not enough and len(sent) - len(got) < 400:
            data = rng.randbytes(rng.choice((1, 5, 20, 20, 90)))
            link.send(data)
            sent.extend(data)
        link.expecting = len(got) < len(sent)
        echo.bench.to_board += there.carry(link.poll(now))
        # Whole frames go through the line, so that it knows what it damages.
        end = echo.bench.from_board.rfind(0x7E) + 1
        link.receive(back.carry(bytes(echo.bench.from_board[:end])), now)
        del echo.bench.from_board[:end]
        got.extend(link.take())
        if enough:  # what is under way comes to its end
            there.heal()
            back.heal()
        return not enough or len(got) < len(sent)

    echo.bench.run(step, echo.join, every=40)
    assert got == sent
    assert echo.restarts == 1
    assert there.damaged + back.damaged >= damaged


def test_a_bad_line_loses_nothing() -> None:
    survive(1, 30, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_damaged_frames(seed: int) -> None:
    survive(seed, 250, (0.05, 0.1, 0.3, 0.5)[seed])


@pytest.mark.parametrize("make", [LinkReceiver, LinkSender])
@pytest.mark.parametrize("window", [100, 1000, 65536])
@UNUSED
def test_windows_are_powers_of_two(make: Any, window: int) -> None:
    with pytest.raises(ValueError, match=f"a power of two, 512 to 32768, not {window}"):
        make(window=window)
    gc.collect()
