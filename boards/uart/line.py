# SPDX-License-Identifier: Apache-2.0
"""An asynchronous serial receiver and transmitter: 8 data bits, no parity, one stop bit."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

_FRACTION = 16  # time is counted in sixteenths of a clock cycle
_MIN_CYCLES = 8


def bit_period(clock_hz: float, baud: float) -> int:
    """Length of a bit in sixteenths of a clock cycle.

    Raises ValueError where a bit is shorter than 8 cycles: the receiver could not find its middle.
    """
    period = round(_FRACTION * clock_hz / baud)
    if period < _FRACTION * _MIN_CYCLES:
        raise ValueError(
            f"baud must be at most clock_hz / {_MIN_CYCLES} = {clock_hz / _MIN_CYCLES:.0f}, "
            f"not {baud!r}"
        )
    return period


class _Timer(wiring.Component):
    """Pulses `tick` after a bit's time, again and again.

    The remainder of a cycle is carried over, so no error adds up over a byte.

    Parameters
    ----------
    period
        A bit's time, see `bit_period`.
    first
        Time from a restart to the first tick, in the same unit.

    Members
    -------
    restart: in, 1 bit: begin again, `first` before the next tick
    tick: out, 1 bit: a pulse
    """

    restart: Signal
    tick: Signal

    def __init__(self, period: int, *, first: int) -> None:
        self._period = period
        self._first = first
        super().__init__({"restart": In(1), "tick": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        left = Signal(range(self._period + _FRACTION))
        m.d.comb += self.tick.eq(left < _FRACTION)
        with m.If(self.restart):
            m.d.sync += left.eq(self._first - _FRACTION)
        with m.Elif(self.tick):
            m.d.sync += left.eq(left + (self._period - _FRACTION))
        with m.Else():
            m.d.sync += left.eq(left - _FRACTION)
        return m


class UartReceiver(wiring.Component):
    """Receives bytes.

    The line passes two flip-flops and a majority vote of three successive samples, so glitches of
    one cycle do nothing. A start bit must still be low in its middle; every bit is sampled in its
    middle. A byte whose stop bit is low is dropped and reported on `error`, and the receiver waits
    for the line to rise (so a break is one error).

    Parameters
    ----------
    clock_hz, baud
        Rates of the clock and of the bits; see `bit_period` for the limit.

    Members
    -------
    rx: in, 1 bit: the line, idle high, asynchronous to the clock
    data: out, 8 bits: the byte, while `valid`
    valid: out, 1 bit: a pulse for each byte; it does not wait for anyone
    error: out, 1 bit: a pulse for each byte without a stop bit
    """

    rx: Signal
    data: Signal
    valid: Signal
    error: Signal

    def __init__(self, *, clock_hz: float, baud: float) -> None:
        self._period = bit_period(clock_hz, baud)
        super().__init__({"rx": In(1), "data": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        now = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, now, init=1)
        m.submodules.timer = timer = _Timer(self._period, first=self._period // 2)
        past = Signal(2, init=3)
        line = Signal()
        m.d.sync += past.eq(Cat(now, past))
        m.d.comb += line.eq((now & past[0]) | (now & past[1]) | (past[0] & past[1]))

        count = Signal(range(8))
        with m.FSM(name="receive"):
            with m.State("IDLE"):
                m.d.comb += timer.restart.eq(1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += count.eq(0)
                with m.If(timer.tick):
                    with m.If(line):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "DATA"
            with m.State("DATA"), m.If(timer.tick):
                m.d.sync += [self.data.eq(Cat(self.data[1:], line)), count.eq(count + 1)]
                with m.If(count == 7):
                    m.next = "STOP"
            with m.State("STOP"), m.If(timer.tick):
                m.d.comb += [self.valid.eq(line), self.error.eq(~line)]
                with m.If(line):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes back to back.

    THROUGHPUT: a byte in ten bits' time.

    Parameters
    ----------
    clock_hz, baud
        Rates of the clock and of the bits; see `bit_period` for the limit.

    Members
    -------
    i: in, stream of 8 bits: bytes to send
    tx: out, 1 bit: the line, idle high
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, clock_hz: float, baud: float) -> None:
        self._period = bit_period(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.timer = timer = _Timer(self._period, first=self._period)
        bits = Signal(9, init=0x1FF)
        left = Signal(range(11))
        line = Signal(init=1)
        m.d.comb += self.tx.eq(line)
        m.d.comb += [timer.restart.eq(left == 0), self.i.ready.eq(left == 0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [line.eq(0), bits.eq(Cat(self.i.payload, Const(1, 1))), left.eq(10)]
        with m.Elif((left != 0) & timer.tick):
            m.d.sync += [line.eq(bits[0]), bits.eq(Cat(bits[1:], Const(1, 1)))]
            m.d.sync += left.eq(left - 1)
        return m
