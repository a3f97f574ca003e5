# SPDX-License-Identifier: Apache-2.0
"""The pads between a design and the SDRAM beside the FPGA."""

from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from ...golden.errors import UserError

AHEAD_NS = 3.0
"""By how much the chip's clock is ahead of the design's.

It leaves through a pad as the commands do, which then arrive about this much after its edge: after
the chip's hold time, and nearly a period before its next edge. What the chip puts out an access
time after its edge, 6 ns at the most, is sampled with the design's edge two periods later.
"""

CLOCK, RESOURCE = "sdram", "sdram"
"""The domain of the chip's clock, and the platform's resource."""

_COMMANDS = (
    ("clk_en", "cke", False),
    ("cs", "cs_n", True),
    ("ras", "ras_n", True),
    ("cas", "cas_n", True),
    ("we", "we_n", True),
    ("ba", "ba", False),
    ("a", "a", False),
    ("dqm", "dqm", False),
)
"""The resource's parts; the design's pins; whether these are inverted, as the platform
does, too."""


def sdram_ports(platform: Any) -> dict[str, Any]:
    """The ports of a platform's SDRAM by the names of the resource's parts, which this requests.

    A chip in the FPGA's package is no resource: the platform's `in_package_sdram` has its ports.
    """
    if hasattr(platform, "in_package_sdram"):
        made: dict[str, Any] = platform.in_package_sdram()
        return made
    parts = {part.name for part in platform.lookup(RESOURCE, 0).ios if hasattr(part, "name")}
    port = platform.request(RESOURCE, 0, dir=dict.fromkeys(parts, "-"))
    return {part: getattr(port, part) for part in parts}


class SdramPads(Elaboratable):
    """One flip-flop at each pin, as `SdramPins` has it, and the chip's clock.

    The domain `sdram` is as nearly `AHEAD_NS` ahead of `sync` as the family's PLL can.

    Parameters
    ----------
    core : a component with a member `sdram`, of `SdramPins`
    """

    def __init__(self, core: Any) -> None:
        self._pins = core.sdram

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pins: Any = self._pins
        ports = sdram_ports(platform)
        clock: Any = io.DDRBuffer(io.Direction.Output, ports["clk"], o_domain=CLOCK)
        m.submodules.clock = clock
        m.d.comb += [clock.o[0].eq(1), clock.o[1].eq(0)]
        for part, name, inverted in _COMMANDS:
            if part not in ports:
                continue  # tied on the board
            value, pad = getattr(pins, name), ports[part]
            if len(value) > len(pad):
                raise UserError(f"sdram: {part} has {len(pad)} pins, the chip {len(value)}")
            buffer = io.FFBuffer(io.Direction.Output, pad)
            m.submodules[name] = buffer
            m.d.comb += buffer.o.eq(~value if inverted else value)
        lines = io.FFBuffer(io.Direction.Bidir, ports["dq"])
        m.submodules.dq = lines
        m.d.comb += [
            lines.o.eq(pins.dq_o),
            lines.oe.eq(pins.dq_oe),
            pins.dq_i.eq(lines.i),
        ]
        return m
