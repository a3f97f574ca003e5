# SPDX-License-Identifier: Apache-2.0
"""A board's top level for a simulator: the same as is built, with plain signals for its pins."""

from typing import Any

from amaranth.build import Subsignal
from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from ...boards.board import Board
from ...boards.flow.families import family_of
from ...boards.flow.top import BoardTop
from ..memory.store import chip_beside


class SimulatedPll(wiring.Component):
    """Passes the clock on: the pin carries the accelerator's clock itself.

    Members
    -------
    clk_in: in, 1 bit
    clk_out, clk_ahead: out, 1 bit
    locked: out, 1 bit: always
    """

    clk_in: Signal
    clk_out: Signal
    clk_ahead: Signal
    locked: Signal

    def __init__(self, output_mhz: float) -> None:
        self.output_mhz = output_mhz
        super().__init__(
            {"clk_in": In(1), "clk_out": Out(1), "clk_ahead": Out(1), "locked": Out(1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += [
            self.clk_out.eq(self.clk_in),
            self.clk_ahead.eq(self.clk_in),
            self.locked.eq(1),
        ]
        return m


class _Pins:
    """What `BoardTop` asks a platform, answered with ports of a simulator, all active high."""

    def __init__(self, board: Board) -> None:
        self._platform = board.platform()
        self.ports: dict[str, io.SimulationPort] = {}

    def lookup(self, name: str, number: int = 0) -> Any:
        return self._platform.lookup(name, number)

    def request(self, name: str, number: int = 0, *, dir: Any = None) -> Any:
        parts: list[Any] = [
            one for one in self.lookup(name, number).ios if isinstance(one, Subsignal)
        ]
        if not parts:
            return self._port(f"{name}_{number}")
        return _Parts({part.name: self._port(f"{name}_{number}_{part.name}") for part in parts})

    def _port(self, name: str) -> io.SimulationPort:
        return self.ports.setdefault(name, io.SimulationPort("io", 1, name=name))


class _Parts:
    """A resource of several pins, each an attribute."""

    def __init__(self, ports: dict[str, io.SimulationPort]) -> None:
        self.__dict__.update(ports)


class SimulatedTop(wiring.Component):
    """`BoardTop` between four signals.

    Parameters
    ----------
    core: with the accelerator's ports.
    board: whose top level it is.
    clock_mhz: the accelerator's clock.
    clocks_per_bit: of the serial line; fewer than on the board make it quicker.
    numbers: what the board tells a host, see `BoardTop`.

    Members
    -------
    clk: in, 1 bit: the accelerator's clock
    rx: in, 1 bit: the line to the board
    tx: out, 1 bit: the line from the board
    busy: out, 1 bit: the second light: a frame is under way
    """

    clk: Signal
    rx: Signal
    tx: Signal
    busy: Signal

    def __init__(
        self,
        core: wiring.Component,
        *,
        board: Board,
        clock_mhz: float,
        clocks_per_bit: int,
        numbers: tuple[int, int],
    ) -> None:
        self._core, self._board = core, board
        self._clock_mhz, self._clocks_per_bit = clock_mhz, clocks_per_bit
        self._numbers = numbers
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), "busy": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        top = BoardTop(
            self._core,
            board=self._board,
            pll=SimulatedPll(self._clock_mhz),
            baud=self._clock_mhz * 1e6 / self._clocks_per_bit,
            numbers=self._numbers,
            window=family_of(self._board).window,
            pads=chip_beside,
        )
        pins = _Pins(self._board)
        m = Module()
        m.submodules.board = Fragment.get(top, pins)  # type: ignore[no-untyped-call]
        ports = pins.ports
        m.d.comb += [
            ports[f"{self._board.clock}_0"].i.eq(self.clk),
            ports["uart_0_rx"].i.eq(self.rx),
            self.tx.eq(ports["uart_0_tx"].o),
            self.busy.eq(top.busy),
        ]
        return m
