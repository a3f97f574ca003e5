# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link against the board's in Python: what is lost comes, nothing hangs."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.boards.link.frames import (
    ESCAPE,
    FLAG,
    GAP,
    SYN,
    VERSION,
    Deframer,
    Segment,
    frame,
)
from deltaloom.host.link import HostLink, LinkError
from deltaloom.sim.testing.bad_line import BadLine
from deltaloom.sim.testing.board_link import BoardLink

# frames


@given(st.binary(max_size=200))
def test_a_frame_has_no_flag_inside_and_is_read_back(content: bytes) -> None:
    line = frame(content)
    assert line[0] == line[-1] == FLAG and FLAG not in line[1:-1]
    deframer = Deframer()
    assert deframer.feed(line + line[1:]) == ([content] * 2 if content else [])


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_damaged_frame_is_dropped_and_the_next_is_not(
    content: bytes, data: st.DataObject
) -> None:
    line = bytearray(frame(content))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    deframer = Deframer()
    found = deframer.feed(bytes(line) + frame(b"next"))
    assert found[-1] == b"next" and len(found) <= 2
    if 0 < at < len(line) - 1:
        assert found == [b"next"]


def test_a_known_frame() -> None:
    """The example of docs/host.md."""
    segment = Segment(session=1, control=SYN, seq=0, ack=0)
    assert segment.pack().hex(" ") == "01 21 00 00 00 00"
    assert frame(segment.pack()).hex(" ") == "7e 01 21 00 00 00 00 b2 74 3f 86 7e"
    assert frame(bytes([FLAG, ESCAPE]))[1:5].hex(" ") == "7d 5e 7d 5d"


def test_an_endless_frame_costs_no_memory() -> None:
    deframer = Deframer()
    assert deframer.feed(bytes(1 << 16)) == [] and len(deframer._content) < 300
    assert deframer.feed(bytes([FLAG]) + frame(b"a")) == [b"a"] and deframer.damaged == 1


# sessions


def opened(**options: float) -> tuple[HostLink, BoardLink]:
    host, board = HostLink(session=3, **options), BoardLink()
    board.receive(host.poll(0.0))
    host.receive(board.poll(), 0.0)
    assert host.is_open and board.opened == 1
    return host, board


def reply(**fields: int) -> bytes:
    return frame(Segment(session=3, limit=2044, **fields).pack())


def test_data_goes_both_ways() -> None:
    host, board = opened()
    host.send(b"question" * 100)
    board.send(b"answer" * 40)
    board.receive(host.poll(0.0))
    assert board.take(1000) == b"question" * 100
    host.receive(board.poll(), 0.0)
    assert host.take() == b"answer" * 40 and host.pending == 0
    board.receive(host.poll(0.0))
    assert board.room == 2048 and host.poll(9.0) == b""


def test_silence_is_an_error_only_where_something_is_awaited() -> None:
    host, _ = opened(patience=5.0)
    assert host.poll(100.0) == b"" and host.wake() is None
    host.expecting = True
    assert host.poll(200.0) == b""  # waiting begins
    assert host.poll(200.3)  # asks
    assert host.poll(204.9)
    with pytest.raises(LinkError, match="no answer from the board for 5 s: look at cable and"):
        host.poll(205.1)


def test_nobody_there() -> None:
    host = HostLink(patience=1.0)
    asked = [bool(host.poll(now / 10)) for now in range(11)]
    assert asked[0] and 3 <= sum(asked) <= 6
    with pytest.raises(LinkError, match="is it on, is the bitstream loaded, are port and baud"):
        host.poll(1.1)


def test_a_wrong_baud_rate() -> None:
    host = HostLink(patience=1.0)
    host.poll(0.0)
    host.receive(b"~garbage~" * 3, 0.1)
    with pytest.raises(LinkError, match=r"only damaged frames .*: the baud rate may be another"):
        host.poll(1.1)


def test_another_version_is_told() -> None:
    host = HostLink(session=3)
    other = Segment(session=3, control=SYN, limit=0, version=VERSION + 1)
    with pytest.raises(LinkError, match=r"speaks version 3 of the link, this driver 2: build the"):
        host.receive(frame(other.pack()), 0.0)


def test_a_board_that_was_reset_is_noticed() -> None:
    host, _ = opened()
    fresh = BoardLink()
    host.send(b"go on")
    with pytest.raises(LinkError, match="in another session: it was reset, or another program"):
        for now in range(10):
            fresh.receive(host.poll(float(now)))
            host.receive(fresh.poll(), float(now))


def test_a_session_of_the_same_number_is_not_taken_over() -> None:
    host, board = opened()
    host.send(b"old")
    board.receive(host.poll(0.0))
    new = HostLink(session=3)
    for now in range(4):
        board.receive(new.poll(float(now)))
        new.receive(board.poll(), float(now))
    assert new.is_open and board.opened == 2
    new.send(b"new")
    board.receive(new.poll(5.0))
    assert board.take(10) == b"new"


def test_a_gap_is_mended_at_once_and_once() -> None:
    host, _ = opened(wait=1.0)
    host.send(bytes(600))
    assert len(host.poll(0.1)) > 600
    host.receive(reply(control=GAP, ack=256) * 3, 0.2)
    again = Deframer().feed(host.poll(0.2))
    assert [len(content) - 6 for content in again] == [256, 88]
    assert host.poll(0.3) == b""


def test_questions_do_not_become_rare_however_great_the_patience() -> None:
    host = HostLink(session=7, patience=1e9)
    asked = [now for now in np.arange(0, 60, 0.05) if host.poll(now)]
    assert np.diff(asked).max() < 2.1


def test_no_more_is_sent_than_there_is_room_for() -> None:
    host, board = opened()
    host.send(bytes(5000))
    board.receive(host.poll(0.0))
    host.receive(board.poll(), 0.0)
    assert host.pending == 5000 - 2044
    assert len(Deframer().feed(host.poll(0.01))) <= 1  # an acknowledgement at most
    assert len(board.take(5000)) == 2044
    host.receive(board.poll(), 0.02)
    board.receive(host.poll(0.02))
    assert len(board.take(5000)) == 2044


# bad lines


def survive(seed: int, damaged: int, chance: float, window: int = 512) -> tuple[HostLink, float]:
    """An echoing board, until so many frames were damaged; every byte must come back, in order."""
    rng = random.Random(seed)
    host, board = HostLink(session=7, patience=1e9), BoardLink(window=window)
    there, back = BadLine(rng, chance), BadLine(rng, chance)
    sent, got, now = bytearray(), bytearray(), 0.0
    while len(got) < len(sent) or there.damaged + back.damaged < damaged:
        if there.damaged + back.damaged < damaged and len(sent) - len(got) < 3000:
            data = rng.randbytes(rng.randrange(400))
            host.send(data)
            sent += data
        host.expecting = len(got) < len(sent)
        board.receive(there.carry(host.poll(now)))
        board.send(board.take(min(board.room, rng.randrange(400))))
        for _ in range(rng.randrange(4)):
            host.receive(back.carry(board.poll()), now)
        got += host.take()
        now += 0.02
        assert now < 1e5
    assert got == sent and board.opened == 1
    return host, now


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 30), st.floats(0.01, 0.8))
def test_a_bad_line_loses_nothing(seed: int, chance: float) -> None:
    survive(seed, 40, chance)


def test_many_damaged_frames() -> None:
    host, _ = survive(1, 1000, 0.4)
    assert host.damaged > 200 and host.resent > 200


@pytest.mark.slow
@pytest.mark.parametrize("chance", [0.05, 0.2, 0.5, 0.7])
def test_ten_thousand_damaged_frames(chance: float) -> None:
    survive(1, 10_000, chance)


def test_one_that_only_damages_gets_nothing_through_and_one_error() -> None:
    host, board = HostLink(session=7, patience=5.0), BoardLink()
    line: Callable[[bytes], bytes] = BadLine(random.Random(0), 1.0).carry
    with pytest.raises(LinkError):
        for step in range(1000):
            board.receive(line(host.poll(step / 10))[:-1])
    assert not host.is_open
