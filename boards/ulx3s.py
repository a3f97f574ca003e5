# SPDX-License-Identifier: Apache-2.0
"""The ULX3S boards: an ECP5, a 25 MHz clock and a USB serial port.

LEDs: 0 heartbeat, 1 a frame is under way, 2 the serial link has a fault (see `uart_protocol`).
Button FIRE 1 resets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from ..golden.errors import UserError
from .ecp5.devices import DEVICES, Device
from .ecp5.pll import Ecp5Pll, pll_settings
from .uart.bridge import UartBridge
from .uart.line import bit_period

_CLOCK_IN_MHZ = 25.0
_HEARTBEAT_HZ = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A board: its FPGA as nextpnr names it, the default clock and baud rate, and its parts.

    ``platform`` makes an amaranth-boards platform; ``top`` makes the top level around a core:
    top(core, clock_mhz=..., baud=...).
    """

    name: str
    device: Device
    package: str
    speed: int
    clock_mhz: float
    baud: int
    platform: Callable[[], Any]
    top: Callable[..., Elaboratable]

    def check(self, *, clock_mhz: float, baud: int) -> None:
        """UserError when the board cannot make the clock, or the clock is too slow for the baud."""
        settings = pll_settings(_CLOCK_IN_MHZ, clock_mhz)
        try:
            bit_period(settings.output_mhz * 1e6, baud)
        except ValueError as error:
            raise UserError(str(error)) from None


class ULX3STop(Elaboratable):
    """Clock, reset, serial bridge and LEDs around a core.

    Parameters
    ----------
    core
        A component with the accelerator's ports `s_axis`, `m_axis` and `s_axil`.
    clock_mhz
        Rate of the core's clock, made by a PLL.
    baud
        Bits a second of the serial line.
    """

    def __init__(self, core: wiring.Component, *, clock_mhz: float, baud: int) -> None:
        self._core = core
        self._pll = Ecp5Pll(pll_settings(_CLOCK_IN_MHZ, clock_mhz))
        self._bridge = UartBridge(clock_hz=self._pll.settings.output_mhz * 1e6, baud=baud)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        core: Any = self._core
        pll, bridge = self._pll, self._bridge
        m.domains.sync = ClockDomain()
        m.submodules.pll = pll
        m.submodules.bridge = bridge
        m.submodules.core = core

        def pin(name: str, direction: io.Direction, number: int = 0) -> Any:
            buffer = io.Buffer(direction, platform.request(name, number, dir="-"))
            m.submodules[f"{name}_{number}"] = buffer
            return buffer

        reset = Signal()
        m.submodules.reset = ResetSynchronizer(reset, domain="sync")
        uart = platform.request("uart", 0, dir=dict.fromkeys(("rx", "tx", "rts", "dtr"), "-"))
        m.submodules.rx = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx = tx = io.Buffer(io.Direction.Output, uart.tx)
        m.d.comb += [
            pll.clk_in.eq(pin("clk25", io.Direction.Input).i),
            ClockSignal("sync").eq(pll.clk_out),
            reset.eq(~pll.locked | pin("button_fire", io.Direction.Input).i),
            bridge.rx.eq(rx.i),
            tx.o.eq(bridge.tx),
        ]
        wiring.connect(m, bridge.words, core.s_axis)
        wiring.connect(m, core.m_axis, bridge.outputs)
        wiring.connect(m, bridge.bus, core.s_axil)

        half = int(pll.settings.output_mhz * 1e6 / _HEARTBEAT_HZ / 2)
        count, heartbeat = Signal(range(half)), Signal()
        m.d.sync += count.eq(count + 1)
        with m.If(count == half - 1):
            m.d.sync += [count.eq(0), heartbeat.eq(~heartbeat)]
        # a frame is under way from its first word until the last output has left the core
        busy = Signal()
        with m.If(core.s_axis.tvalid & core.s_axis.tready):
            m.d.sync += busy.eq(1)
        with m.Elif(core.m_axis.tvalid & core.m_axis.tready & core.m_axis.tlast):
            m.d.sync += busy.eq(0)
        for number, light in enumerate((heartbeat, busy, bridge.fault)):
            m.d.comb += pin("led", io.Direction.Output, number).o.eq(light)
        return m


def _ulx3s(variant: str, platform: Callable[[], Any]) -> Board:
    return Board(
        name=f"ulx3s_{variant.lower()}",
        device=DEVICES[f"LFE5U-{variant}"],
        package="CABGA381",
        speed=6,
        clock_mhz=90.0,  # a tenth less than the shipped networks reach (benchmarks/README.md)
        baud=1_000_000,
        platform=platform,
        top=ULX3STop,
    )


ulx3s_12f = _ulx3s("12F", ULX3S_12F_Platform)
ulx3s_25f = _ulx3s("25F", ULX3S_25F_Platform)
ulx3s_45f = _ulx3s("45F", ULX3S_45F_Platform)
ulx3s_85f = _ulx3s("85F", ULX3S_85F_Platform)

BOARDS: Mapping[str, Board] = {
    board.name: board for board in (ulx3s_12f, ulx3s_25f, ulx3s_45f, ulx3s_85f)
}
"""Boards by name."""
