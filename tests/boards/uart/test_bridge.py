# SPDX-License-Identifier: Apache-2.0
"""The UART alone, and the bridge in front of the echoing core, over its serial line."""

import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.sim import Simulator

from deltaloom.boards.uart.bridge import UartBridge
from deltaloom.boards.uart.line import UartReceiver, UartTransmitter, bit_period
from deltaloom.boards.uart.protocol import (
    MAX_COUNT,
    MAX_WORDS,
    VERSION,
    Message,
    MessageDecoder,
    frame_command,
    name_command,
    ping_command,
    read_command,
    sum_command,
    sum_of,
    write_command,
)
from deltaloom.host.link import HostLink
from deltaloom.sim.testing.loopback import IDENTITY, Loopback

CYCLES = 8  # a bit; the shortest allowed
WINDOW = 512
DESIGN, NETWORK = 0x12345678, 0xFEDCBA98


def simulate(top: Any, *benches: Callable[[Any], Awaitable[None]]) -> None:
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()


async def send_byte(
    ctx: Any, line: Any, byte: int, *, cycles: float = CYCLES, stop: int = 1
) -> None:
    """Put a byte on ``line``; a bit lasts ``cycles`` clock cycles, rounded where it ends."""
    done = 0
    for position, bit in enumerate([0, *((byte >> n) & 1 for n in range(8)), stop]):
        ctx.set(line, bit)
        until = round((position + 1) * cycles)
        await ctx.tick().repeat(until - done)
        done = until
    ctx.set(line, 1)


# the receiver and the transmitter


def received(sender: Callable[[Any, Any], Awaitable[None]], **rates: float) -> tuple[bytes, int]:
    """What a receiver gets from ``sender``: the bytes and the number of errors."""
    uart = UartReceiver(**(rates or {"clock_hz": CYCLES, "baud": 1}))
    got, errors = bytearray(), 0

    async def drive(ctx: Any) -> None:
        ctx.set(uart.rx, 1)
        await ctx.tick().repeat(20)
        await sender(ctx, uart.rx)
        await ctx.tick().repeat(20 * CYCLES)

    async def watch(ctx: Any) -> None:
        nonlocal errors
        async for _, _, valid, data, error in ctx.tick().sample(uart.valid, uart.data, uart.error):
            if valid:
                got.append(data)
            errors += error

    simulator = Simulator(uart)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return bytes(got), errors


@pytest.mark.parametrize("cycles", [CYCLES, CYCLES * 0.97, CYCLES * 1.03])
def test_receiver_takes_every_byte_value_back_to_back(cycles: float) -> None:
    async def sender(ctx: Any, line: Any) -> None:
        for byte in range(256):
            await send_byte(ctx, line, byte, cycles=cycles)

    assert received(sender) == (bytes(range(256)), 0)


def test_receiver_with_a_fractional_bit_period() -> None:
    async def sender(ctx: Any, line: Any) -> None:
        for byte in range(0, 256, 5):
            await send_byte(ctx, line, byte, cycles=8.68)

    assert received(sender, clock_hz=8.68, baud=1.0) == (bytes(range(0, 256, 5)), 0)


def test_receiver_ignores_glitches_and_short_starts() -> None:
    async def sender(ctx: Any, line: Any) -> None:
        for low in (1, 2, 3):
            ctx.set(line, 0)
            await ctx.tick().repeat(low)
            ctx.set(line, 1)
            await ctx.tick().repeat(3 * CYCLES)
        await send_byte(ctx, line, 0x5A)

    assert received(sender) == (b"\x5a", 0)


def test_receiver_reports_a_break_once_and_recovers() -> None:
    async def sender(ctx: Any, line: Any) -> None:
        ctx.set(line, 0)
        await ctx.tick().repeat(40 * CYCLES)
        ctx.set(line, 1)
        await ctx.tick().repeat(2 * CYCLES)
        await send_byte(ctx, line, 0xC3)

    assert received(sender) == (b"\xc3", 1)


def test_receiver_drops_a_byte_without_stop_bit() -> None:
    async def sender(ctx: Any, line: Any) -> None:
        await send_byte(ctx, line, 0x0F, stop=0)
        await ctx.tick().repeat(2 * CYCLES)
        await send_byte(ctx, line, 0xF0)

    assert received(sender) == (b"\xf0", 1)


def test_transmitter_waveform_is_exact() -> None:
    uart = UartTransmitter(clock_hz=CYCLES, baud=1)
    samples = []

    async def drive(ctx: Any) -> None:
        assert ctx.get(uart.tx) == 1
        for byte in (0x35, 0x80):
            ctx.set(uart.i.payload, byte)
            ctx.set(uart.i.valid, 1)
            await ctx.tick().until(uart.i.ready)
        ctx.set(uart.i.valid, 0)

    async def watch(ctx: Any) -> None:
        await ctx.negedge(uart.tx)
        for _ in range(21 * CYCLES):
            samples.append(ctx.get(uart.tx))
            await ctx.tick()

    simulate(uart, drive, watch)
    bits = [0, 1, 0, 1, 0, 1, 1, 0, 0, 1]
    expected = [bit for bit in bits for _ in range(CYCLES)]
    assert samples[: len(expected)] == expected
    second = samples.index(0, len(expected) - CYCLES)
    assert 0 <= second - len(expected) <= 1  # the stop bit is whole, and no time is wasted
    bits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert samples[second : second + 10 * CYCLES] == [bit for bit in bits for _ in range(CYCLES)]


def test_bit_period_counts_sixteenths() -> None:
    assert bit_period(100e6, 1e6) == 1600
    assert bit_period(100e6, 3e6) == 533  # 33.31 cycles


def test_too_fast_a_baud_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"baud must be at most clock_hz / 8 = 12500000, not 2"):
        bit_period(100e6, 20e6)


# the bridge


class Bench:
    """The bridge and the echo, with a host at the end of the line."""

    def __init__(self) -> None:
        self.bridge = UartBridge(
            clock_hz=CYCLES, baud=1, window=WINDOW, design=DESIGN, network=NETWORK
        )
        self.core = Loopback()
        self.top = Module()
        self.top.submodules.bridge = self.bridge
        self.top.submodules.core = ResetInserter(self.bridge.restart)(self.core)
        wiring.connect(self.top, self.bridge.words, self.core.s_axis)
        wiring.connect(self.top, self.core.m_axis, self.bridge.outputs)
        wiring.connect(self.top, self.bridge.bus, self.core.s_axil)
        self.received = bytearray()
        self.faults = 0

    def run(self, *parts: tuple[bytes, int]) -> list[list[Message]]:
        """The messages to each of the parts: what is sent, and how many messages come for it.

        Where a part is empty, the link is opened anew first.
        """
        found: list[list[Message]] = []

        async def drive(ctx: Any) -> None:
            ctx.set(self.bridge.rx, 1)
            await ctx.tick().repeat(4)
            link, decoder = HostLink(session=1, patience=1e9, wait=1e9), MessageDecoder()
            for data, count in parts:
                if not data:
                    link, decoder = HostLink(session=2, patience=1e9, wait=1e9), MessageDecoder()
                link.send(data)
                messages: list[Message] = []
                for _ in range(3000):
                    for byte in link.poll(0.0):
                        await send_byte(ctx, self.bridge.rx, byte)
                    await ctx.tick().repeat(10 * CYCLES)
                    link.receive(bytes(self.received), 0.0)
                    self.received.clear()
                    messages += decoder.feed(link.take())
                    if link.is_open and not link.pending and len(messages) >= count:
                        break
                assert link.damaged == 0 and len(messages) == count, messages
                found.append(messages)
                self.faults += ctx.get(self.bridge.fault)

        async def listen(ctx: Any) -> None:
            while True:
                await ctx.negedge(self.bridge.tx)
                await ctx.tick().repeat(CYCLES + CYCLES // 2)
                byte = 0
                for position in range(8):
                    byte |= ctx.get(self.bridge.tx) << position
                    await ctx.tick().repeat(CYCLES)
                assert ctx.get(self.bridge.tx) == 1
                self.received.append(byte)

        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(drive)
        simulator.add_testbench(listen, background=True)
        simulator.run()
        return found


def reply(kind: str, *body: int) -> Message:
    return Message(kind, bytes(body))


def hello(network: int) -> Message:
    return Message("p", bytes([VERSION]) + struct.pack("<II", DESIGN, network))


def test_the_networks_number_stays_until_another_is_told() -> None:
    found = Bench().run(
        (name_command(0) + ping_command() + name_command(7), 3), (b"", 0), (ping_command(), 1)
    )
    assert found == [[reply("w", 0), hello(0), reply("w", 0)], [], [hello(7)]]


def test_registers_and_sums() -> None:
    found = Bench().run(
        (ping_command(), 1),
        (write_command(0x14, [0x89ABCDEF, 0x01020304]) + read_command(0x10, 3), 2),
        (sum_command() + sum_command(), 2),
        (write_command(0x0C, [1, 5]) + read_command(0x08, 3) + read_command(0x10), 3),
    )
    assert found[0] == [hello(NETWORK)]
    written, read = found[1]
    assert written == reply("w", 0)
    assert (read.response, read.words) == (0, (0, 0x89ABCDEF, 0x01020304))
    total = sum_of([(0x14, 0x89ABCDEF), (0x18, 0x01020304)])
    assert found[2] == [reply("c", *total.to_bytes(4, "little")), reply("c", 0, 0, 0, 0)]
    refused, some, after = found[3]
    assert refused == reply("w", 2)  # of the two, one is an error
    assert some.response == 2 and some.words[2] == 5
    assert (after.response, after.words) == (0, (5,))  # and the next access is not


@pytest.mark.parametrize("length", [1, MAX_WORDS + 1])
def test_frames_come_back_whole(length: int) -> None:
    rng = random.Random(length)
    words = [rng.randrange(-(1 << 15), 1 << 15) for _ in range(length)]
    parts = -(-length // MAX_WORDS)
    (outputs,) = Bench().run((frame_command(words, first=True), parts))
    assert [word for message in outputs for word in message.words] == words
    assert [message.last for message in outputs] == [False] * (parts - 1) + [True]


def test_frames_and_registers_interleave_without_mixing() -> None:
    """Outputs of early frames leave while later commands arrive and are answered."""
    commands = b""
    for index in range(4):
        commands += frame_command([index] * (index + 1), first=index in (0, 2))
        commands += write_command(0x10, [index]) + read_command(0x10)
    (found, counts) = Bench().run((commands, 4 * 3), (read_command(0, 3), 1))
    assert [m.words for m in found if m.type == "O"] == [(n,) * (n + 1) for n in range(4)]
    replies = [m for m in found if m.type != "O"]
    assert [m.type for m in replies] == ["w", "r"] * 4
    assert [m.words[0] for m in replies if m.type == "r"] == list(range(4))
    assert counts[0].words == (IDENTITY, 4, 2)  # frames and sequences


@pytest.mark.parametrize("wrong", [b"X", b"W\0\0\0\0"])
def test_what_is_no_command_is_refused_until_the_link_is_opened(wrong: bytes) -> None:
    bench = Bench()
    found = bench.run((wrong, 1), (read_command(0), 0), (b"", 0), (read_command(0), 1))
    assert found[0] == [reply("n", wrong[-1])]
    assert bench.faults == 2
    assert found[3][0].words == (IDENTITY,)


def test_opening_the_link_resets_the_core_even_in_a_frame() -> None:
    half = frame_command([1, 2, 3])[:-2] + b""
    found = Bench().run(
        (frame_command([7]) + half, 1), (b"", 0), (frame_command([4]) + read_command(4), 2)
    )
    outputs, frames = sorted(found[2], key=lambda message: message.type)
    assert outputs.words == (4,) and frames.words == (1,)


# the host's side


def test_messages_are_cut_at_any_byte() -> None:
    stream = b"w\0" + b"O\2\2\1\0\xff\xff" + b"r\1" + bytes([1, 0, 0, 0]) + b"\2" + b"n\7"
    decoder = MessageDecoder()
    found = [message for byte in stream for message in decoder.feed(bytes([byte]))]
    assert found == MessageDecoder().feed(stream)
    assert [message.type for message in found] == ["w", "O", "r", "n"]
    assert found[1].words == (1, -1) and found[1].last and not found[0].last
    assert found[2].words == (1,) and found[2].response == 2
    with pytest.raises(ValueError, match="no message begins with b'z'"):
        decoder.feed(b"z")
    with pytest.raises(ValueError, match="only 'O' and 'r' have words"):
        _ = found[0].words


def test_frame_commands_split_and_mark_the_ends() -> None:
    long = list(range(MAX_COUNT + 1))
    command = frame_command(long, first=True)
    assert command[1:3] == bytes([MAX_COUNT, 1]) and command[-5:-2] == b"F" + bytes([1, 2])
    command = frame_command(long, end=True)
    assert command[2] == 4 and command[-3] == 6
    with pytest.raises(ValueError, match="words must not be empty"):
        frame_command([])
    with pytest.raises(ValueError, match="count must be 1 to 255, not 256"):
        write_command(0, [0] * 256)
