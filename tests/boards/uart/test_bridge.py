# SPDX-License-Identifier: Apache-2.0
"""The UART alone, and the bridge in front of the echoing core, over its serial line."""

import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from deltaloom.boards.uart.bridge import UartBridge
from deltaloom.boards.uart.line import UartReceiver, UartTransmitter, bit_period
from deltaloom.boards.uart.protocol import (
    MAX_WORDS,
    RESYNC,
    SYNC,
    VERSION,
    Decoder,
    Fault,
    Message,
    crc,
    frame_commands,
    packet,
    ping_command,
    read_command,
    write_command,
)
from deltaloom.sim.testing.loopback import IDENTITY, Loopback

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
CYCLES = 8  # a bit; the shortest allowed
WINDOW = 256


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

    def __init__(self, *, window: int = WINDOW, gated: bool = False) -> None:
        self.bridge = UartBridge(clock_hz=CYCLES, baud=1, window=window)
        self.core = Loopback()
        self.decoder = Decoder()
        self.messages: list[Message] = []
        self.top = Module()
        self.top.submodules.bridge = self.bridge
        self.top.submodules.core = self.core
        self.gate = Signal(init=not gated)
        words, taker = self.bridge.words, self.core.s_axis
        self.top.d.comb += [
            taker.tdata.eq(words.tdata),
            taker.tlast.eq(words.tlast),
            taker.tuser.eq(words.tuser),
            taker.tvalid.eq(words.tvalid & self.gate),
            words.tready.eq(taker.tready & self.gate),
        ]
        wiring.connect(self.top, self.core.m_axis, self.bridge.outputs)
        wiring.connect(self.top, self.bridge.bus, self.core.s_axil)

    def run(self, host: Callable[[Any], Awaitable[None]]) -> list[Message]:
        async def drive(ctx: Any) -> None:
            ctx.set(self.bridge.rx, 1)
            await ctx.tick().repeat(4)
            await host(ctx)

        async def listen(ctx: Any) -> None:
            while True:
                await ctx.negedge(self.bridge.tx)
                await ctx.tick().repeat(CYCLES + CYCLES // 2)
                byte = 0
                for position in range(8):
                    byte |= ctx.get(self.bridge.tx) << position
                    await ctx.tick().repeat(CYCLES)
                assert ctx.get(self.bridge.tx) == 1
                self.messages += self.decoder.feed(bytes([byte]))

        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(drive)
        simulator.add_testbench(listen, background=True)
        simulator.run()
        assert self.decoder.skipped == 0
        return self.messages

    async def send(self, ctx: Any, data: bytes) -> None:
        for byte in data:
            await send_byte(ctx, self.bridge.rx, byte)

    async def wait(self, ctx: Any, count: int, *, limit: int = 60_000) -> None:
        """Wait until ``count`` messages are there in all."""
        for _ in range(limit // 16):
            if len(self.messages) >= count:
                return
            await ctx.tick().repeat(16)
        raise AssertionError(f"only {self.messages} of {count} messages came")

    def exchange(self, *commands: bytes, replies: int) -> list[Message]:
        async def host(ctx: Any) -> None:
            for command in commands:
                await self.send(ctx, command)
            await self.wait(ctx, replies)
            await ctx.tick().repeat(30 * CYCLES)  # and nothing more comes

        found = self.run(host)
        assert len(found) == replies
        return found


def reply(kind: str, *body: int) -> Message:
    return Message(kind, bytes(body))


def test_ping_tells_version_and_window() -> None:
    assert Bench().exchange(ping_command(), replies=1) == [
        reply("p", VERSION, MAX_WORDS, WINDOW & 0xFF, WINDOW >> 8)
    ]


def test_registers_write_and_read() -> None:
    found = Bench().exchange(
        read_command(0),
        write_command(0x14, 0x89ABCDEF),
        write_command(0x18, 0x01020304),
        read_command(0x14),
        read_command(0x18),
        replies=5,
    )
    assert found == [
        Message("r", b"\0" + IDENTITY.to_bytes(4, "little")),
        reply("w", 0),
        reply("w", 0),
        reply("r", 0, 0xEF, 0xCD, 0xAB, 0x89),
        reply("r", 0, 4, 3, 2, 1),
    ]


def test_bus_errors_come_back() -> None:
    found = Bench().exchange(write_command(0x800010, 1), read_command(0x0C), replies=2)
    assert found[0] == reply("w", 2)
    assert found[1].type == "r" and found[1].body[0] == 2


@pytest.mark.parametrize("length", [1, 2, MAX_WORDS, 2 * MAX_WORDS + 1])
def test_frames_come_back_whole(length: int) -> None:
    words = [random.Random(length).randrange(-(1 << 15), 1 << 15) for _ in range(length)]
    parts = -(-length // MAX_WORDS)
    bench = Bench(window=1024)
    found = bench.exchange(*frame_commands(words, first=True), replies=2 * parts)
    outputs = [message for message in found if message.type == "O"]
    assert [word for message in outputs for word in message.words] == words
    assert [message.last for message in outputs] == [False] * (parts - 1) + [True]
    assert [message for message in found if message.type != "O"] == [reply("f", 0)] * parts


def test_first_flag_marks_one_word_of_a_sequence() -> None:
    commands = [
        *frame_commands([1, 2], first=True),
        *frame_commands([3], first=False),
        *frame_commands([4, 5, 6], first=True),
    ]
    found = Bench().exchange(*commands, read_command(4), read_command(8), replies=8)
    registers = [message.body for message in found if message.type == "r"]
    assert registers == [b"\0\3\0\0\0", b"\0\2\0\0\0"]  # frames, sequences
    assert [m.words for m in found if m.type == "O"] == [(1, 2), (3,), (4, 5, 6)]


def test_frames_and_registers_interleave_without_mixing() -> None:
    """Outputs of early frames leave while later commands arrive and are answered."""
    commands = []
    for index in range(8):
        commands += frame_commands([index] * (index + 1), first=index == 0)
        commands += [write_command(0x10, index), read_command(0x10)]
    found = Bench(window=1024).exchange(*commands, replies=8 * 4)
    assert [m.words for m in found if m.type == "O"] == [(n,) * (n + 1) for n in range(8)]
    replies = [m for m in found if m.type != "O"]
    assert [m.type for m in replies] == ["f", "w", "r"] * 8
    assert [m.body[1] for m in replies if m.type == "r"] == list(range(8))


@pytest.mark.parametrize("position", [1, 2, 8, 10])
def test_a_damaged_packet_is_refused_and_does_nothing(position: int) -> None:
    """Any wrong bit behind SYNC: one `n`, no effect, silence until a greeting."""
    bad = bytearray(write_command(0x14, 0x12345678))
    bad[position] ^= 0x10
    bench = Bench()
    found = bench.exchange(
        bytes(bad),
        RESYNC,
        write_command(0x18, 1),  # behind the damage: ignored
        ping_command(),
        read_command(0x14),
        read_command(0x18),
        replies=4,
    )
    assert found[0].type == "n" and found[0].body[0] in (Fault.CRC, Fault.TYPE)
    assert found[1].type == "p"
    assert found[2:] == [reply("r", 0, 0, 0, 0, 0)] * 2


def test_every_fault_names_its_reason() -> None:
    def fault(command: bytes) -> int:
        found = Bench().exchange(command, RESYNC, ping_command(), replies=2)
        assert [message.type for message in found] == ["n", "p"]
        return found[0].body[0]

    assert fault(packet("X")) == Fault.TYPE
    assert fault(packet("F", b"\0\0")) == Fault.COUNT
    assert fault(packet("F", bytes([MAX_WORDS + 1, 0]))) == Fault.COUNT
    assert fault(read_command(0)[:-1] + b"\0") == Fault.CRC
    assert fault(read_command(0)[:-3]) == Fault.CRC  # cut short: RESYNC completes it


def test_noise_between_packets_means_nothing() -> None:
    found = Bench().exchange(b"\0\xff\x55", read_command(0), b"RW", read_command(0), replies=2)
    assert [message.type for message in found] == ["r", "r"]


def test_a_lost_byte_is_reported() -> None:
    bench = Bench()

    async def host(ctx: Any) -> None:
        await send_byte(ctx, bench.bridge.rx, 0x55, stop=0)
        await ctx.tick().repeat(2 * CYCLES)
        await bench.wait(ctx, 1)
        assert ctx.get(bench.bridge.fault) == 1
        await bench.send(ctx, ping_command() + read_command(0))
        await bench.wait(ctx, 3)
        assert ctx.get(bench.bridge.fault) == 0

    found = bench.run(host)
    assert found[0] == reply("n", Fault.LOST)
    assert [message.type for message in found[1:]] == ["p", "r"]


def test_more_than_a_window_is_reported() -> None:
    """The core takes no words for a while, and the host sends on regardless."""
    bench = Bench(window=134, gated=True)

    async def host(ctx: Any) -> None:
        for command in [*frame_commands([1] * 10), *[read_command(0)] * 30]:
            await bench.send(ctx, command)
        assert bench.messages == []
        ctx.set(bench.gate, 1)
        await bench.wait(ctx, 3)
        await ctx.tick().repeat(300 * CYCLES)
        assert ctx.get(bench.bridge.fault) == 1

    kinds = [message.type for message in bench.run(host)]
    assert sorted(kinds) == ["O", "f", "n"]  # the reads in the buffer are refused, not reordered
    assert kinds.index("f") < kinds.index("n")


@UNUSED
def test_window_is_checked() -> None:
    with pytest.raises(ValueError, match=r"window must be 134 to 65535, not 100"):
        UartBridge(clock_hz=100e6, baud=1e6, window=100)
    gc.collect()


# the host's side


def test_crc_is_the_catalogued_one() -> None:
    assert crc(b"123456789") == 0x29B1


def test_decoder_skips_what_is_no_packet_and_counts_it() -> None:
    decoder = Decoder()
    good = packet("w", b"\0")
    assert decoder.feed(b"\1\2" + bytes([SYNC]) + good[:3]) == []
    assert decoder.feed(good[3:] + good) == [reply("w", 0)] * 2
    assert decoder.skipped == 3


def test_frame_commands_split_and_mark_the_ends() -> None:
    commands = frame_commands(list(range(MAX_WORDS + 1)), first=True)
    assert [command[2:4] for command in commands] == [bytes([MAX_WORDS, 1]), bytes([1, 2])]
    commands = frame_commands(list(range(MAX_WORDS + 1)), end=True)
    assert [command[3] for command in commands] == [4, 6]
    with pytest.raises(ValueError, match="words must not be empty"):
        frame_commands([])
