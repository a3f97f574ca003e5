# SPDX-License-Identifier: Apache-2.0
"""A board's top level around a core: clock, reset, serial bridge and lights."""

from collections.abc import Callable
from typing import Any

from amaranth.build import Subsignal
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from ..board import Board, Pin
from ..family.interface import Pll
from ..uart.bridge import UartBridge
from .sdram_pads import CLOCK, RESOURCE, SdramPads

_HEARTBEAT_HZ = 2
_IN, _OUT = io.Direction.Input, io.Direction.Output


class _Pins:
    """Buffers of the platform's pins, one submodule each; a resource is requested once."""

    def __init__(self, m: Module, platform: Any) -> None:
        self._m, self._platform = m, platform
        self._ports: dict[tuple[str, int], Any] = {}

    def buffer(self, pin: Pin, direction: io.Direction, name: str = "") -> Any:
        """The buffer of one pin, named after its resource unless ``name`` says otherwise."""
        key = pin.resource, pin.number
        if key not in self._ports:
            ios = self._platform.lookup(*key).ios
            parts: list[Any] = [one for one in ios if isinstance(one, Subsignal)]
            wanted: Any = {part.name: "-" for part in parts} or "-"
            self._ports[key] = self._platform.request(*key, dir=wanted)
        port = self._ports[key]
        buffer = io.Buffer(direction, getattr(port, pin.part) if pin.part else port)
        label = "_".join(filter(None, (pin.resource, str(pin.number), pin.part)))
        self._m.submodules[name or label] = buffer
        return buffer


class BoardTop(Elaboratable):
    """Clock, reset, serial bridge and lights around a core.

    Parameters
    ----------
    core
        A component with the accelerator's ports `s_axis`, `m_axis` and `s_axil`.
    board
        Names the pins.
    pll
        Makes the core's clock.
    baud
        Bits a second of the serial line.
    numbers
        Of the design and of its network, which the board tells a host.
    window
        Bytes of the serial link's buffers.
    pads
        Makes what is between a core with weights in an SDRAM and that, from the core.

    Attributes
    ----------
    busy: 1 bit, a frame is under way
    """

    def __init__(
        self,
        core: wiring.Component,
        *,
        board: Board,
        pll: Pll,
        baud: float,
        numbers: tuple[int, int] = (0, 0),
        window: int = 2048,
        pads: Callable[[Any], Any] = SdramPads,
    ) -> None:
        self._pads = pads
        self._core = core
        self._board = board
        self._pll = pll
        self._bridge = UartBridge(
            clock_hz=pll.output_mhz * 1e6,
            baud=baud,
            design=numbers[0],
            network=numbers[1],
            window=window,
        )
        self.busy = Signal()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        core: Any = self._core
        pll: Any = self._pll
        board, bridge = self._board, self._bridge
        # A host that opens the link resets the core; both have the same clock.
        m.domains.sync = ClockDomain()
        m.domains.link = ClockDomain()
        m.submodules.pll = pll
        m.submodules.bridge = DomainRenamer("link")(bridge)
        m.submodules.core = core

        pins = _Pins(m, platform)
        reset = Signal()
        restart = Signal(init=1)
        m.submodules.reset = ResetSynchronizer(reset, domain="link")
        m.d.link += restart.eq(bridge.restart)
        rx = pins.buffer(Pin("uart", 0, "rx"), _IN, "rx")
        tx = pins.buffer(Pin("uart", 0, "tx"), _OUT, "tx")
        m.d.comb += [
            pll.clk_in.eq(pins.buffer(Pin(board.clock), _IN).i),
            ClockSignal("link").eq(pll.clk_out),
            ClockSignal("sync").eq(pll.clk_out),
            ResetSignal("sync").eq(restart),
            reset.eq(~pll.locked | (pins.buffer(board.reset, _IN).i if board.reset else 0)),
            bridge.rx.eq(rx.i),
            tx.o.eq(bridge.tx),
        ]
        if RESOURCE in core.signature.members:
            m.domains += ClockDomain(CLOCK, reset_less=True)
            m.d.comb += ClockSignal(CLOCK).eq(pll.clk_ahead)
            m.submodules.sdram = self._pads(core)
        wiring.connect(m, bridge.words, core.s_axis)
        wiring.connect(m, core.m_axis, bridge.outputs)
        wiring.connect(m, bridge.bus, core.s_axil)

        half = int(pll.output_mhz * 1e6 / _HEARTBEAT_HZ / 2)
        count, heartbeat = Signal(range(half)), Signal()
        m.d.link += count.eq(count + 1)
        with m.If(count == half - 1):
            m.d.link += [count.eq(0), heartbeat.eq(~heartbeat)]
        # a frame is under way from its first word until the last output has left the core
        busy = self.busy
        with m.If(core.s_axis.tvalid & core.s_axis.tready):
            m.d.sync += busy.eq(1)
        with m.Elif(core.m_axis.tvalid & core.m_axis.tready & core.m_axis.tlast):
            m.d.sync += busy.eq(0)
        for pin, light in zip(board.lights, (heartbeat, busy, bridge.fault), strict=False):
            m.d.comb += pins.buffer(pin, _OUT).o.eq(light)
        return m
