# SPDX-License-Identifier: Apache-2.0
"""The Gowin devices, with nextpnr's figures. Importing it imports no Amaranth."""

from collections.abc import Mapping

from ..board import Device

DEVICES: Mapping[str, Device] = {
    "GW1NR-9C": Device(
        name="GW1NR-9C", nextpnr="GW1N-9C", luts=8_640, ffs=6_480, brams=26, dsps=20
    ),
    "GW2AR-18C": Device(
        name="GW2AR-18C", nextpnr="GW2A-18C", luts=20_736, ffs=15_552, brams=46, dsps=48
    ),
}
"""Devices by the vendor's name: block RAMs have 18 kbit; multipliers are of 18x18 bits, each of
which may be two of 9x9. `nextpnr` is what the tools call the die without the memory beside it."""
