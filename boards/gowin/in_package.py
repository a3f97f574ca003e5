# SPDX-License-Identifier: Apache-2.0
"""The SDRAM in the package of a GW2AR-18: its lines have no pins.

nextpnr places a port of the design that has such a line's name, the vendor's, where the line is:
the chip database of Apicula has the places (`sip_cst`), and the constraints say nothing of them.

The flip-flops at the lines are in the fabric, not in the lines' cells, and nextpnr checks no ways
between a flip-flop and a line. At 54 MHz, with a clock that is ahead by 3.5 ns and a chip that
takes 6 ns, some 12 ns remain for each of them.
"""

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import IOPort
from amaranth.lib.io import PortLike, SingleEndedPort

_LINES = {
    "clk": ("O_sdram_clk", 1, False),
    "clk_en": ("O_sdram_cke", 1, False),
    "cs": ("O_sdram_cs_n", 1, True),
    "ras": ("O_sdram_ras_n", 1, True),
    "cas": ("O_sdram_cas_n", 1, True),
    "we": ("O_sdram_wen_n", 1, True),
    "ba": ("O_sdram_ba", 2, False),
    "a": ("O_sdram_addr", 11, False),
    "dqm": ("O_sdram_dqm", 4, False),
    "dq": ("IO_sdram_dq", 32, False),
}
"""By the part's name in a resource `sdram`: the port's, its bits, and whether it is active low."""


class InPackageSdram:
    """What a `GowinPlatform` of such a device has besides: put it in front of that."""

    def in_package_sdram(self) -> dict[str, PortLike]:
        """The chip's ports by the names that a resource `sdram` has for its parts."""
        return {
            part: SingleEndedPort(IOPort(bits, name=name), invert=inverted)
            for part, (name, bits, inverted) in _LINES.items()
        }

    def iter_port_constraints_bits(self) -> Iterator[tuple[str, str, Any]]:
        """As the platform's, of the ports that have pins."""
        design: Any = self._design  # type: ignore[attr-defined]
        for name, port, _ in design.ports:
            for bit, pin in enumerate(port.metadata):
                if pin is not None:
                    yield (name if len(port) == 1 else f"{name}[{bit}]"), pin.name, pin.attrs
