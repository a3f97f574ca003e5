# SPDX-License-Identifier: Apache-2.0
"""The iCE40 UltraPlus devices, with nextpnr's figures. Importing it imports no Amaranth."""

from collections.abc import Mapping

from ..board import Device

DEVICES: Mapping[str, Device] = {
    "iCE40UP5K": Device(
        name="iCE40UP5K", nextpnr="up5k", luts=5_280, ffs=5_280, brams=30, dsps=8, sprams=4
    )
}
"""Devices by the vendor's name: block RAMs (SB_RAM40_4K) have 4 kbit, multipliers (SB_MAC16) 16x16,
SPRAMs (SB_SPRAM256KA) 16,384 words of 16 bits. A LUT and a flip-flop behind it are one logic cell.
"""
