# SPDX-License-Identifier: Apache-2.0
"""Amaranth's link behind a host in Python, over a line that may be bad."""

import random
from collections.abc import Callable
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

Step = Callable[[float], bool]
"""Called again and again with the time; False ends the run."""


class ByteBench:
    """A component with `byte`, `valid` and `line`, as `boards.link.link.Link` has them.

    to_board, from_board: bytes that are to go in, and that came out; whoever is at the other end
        appends to and takes from them.
    """

    def __init__(self, top: Elaboratable, ports: Any, seed: int) -> None:
        self.to_board, self.from_board = bytearray(), bytearray()
        self._top, self._ports = top, ports
        self._rng = random.Random(seed)

    def run(self, step: Step, *more: Callable[[Any], Any], every: int = 200) -> None:
        """Run until `step`, which is called when all is in and `every` cycles passed, says no.

        more: testbenches that run meanwhile.
        """

        async def put(ctx: Any) -> None:
            ports, now = self._ports, 0.0
            while step(now):
                now += 0.1
                while self.to_board:
                    ctx.set(ports.byte, self.to_board.pop(0))
                    ctx.set(ports.valid, 1)
                    await ctx.tick()
                    ctx.set(ports.valid, 0)
                    if self._rng.random() < 0.2:
                        await ctx.tick().repeat(3)
                await ctx.tick().repeat(every)

        async def get(ctx: Any) -> None:
            line = self._ports.line
            ctx.set(line.ready, 1)
            while True:
                _, _, valid, byte = await ctx.tick().sample(line.valid, line.payload)
                if valid:
                    self.from_board.append(byte)
                    if self._rng.random() < 0.05:  # now and then the line is busy
                        ctx.set(line.ready, 0)
                        await ctx.tick().repeat(5)
                        ctx.set(line.ready, 1)

        simulator = Simulator(self._top)
        simulator.add_clock(1e-6)  # type: ignore[no-untyped-call]
        simulator.add_testbench(put)
        simulator.add_testbench(get, background=True)
        for bench in more:
            simulator.add_testbench(bench, background=True)
        simulator.run()  # type: ignore[no-untyped-call]
