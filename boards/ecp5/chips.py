# SPDX-License-Identifier: Apache-2.0
"""The ECP5 devices: the one place with their resources. Importing it imports no Amaranth.

Figures are nextpnr's. LFE5U-12F and -25F are the same die and have the same 24,288 LUTs there. The
LFE5UM5G devices are LFE5U ones with transceivers, which nothing here uses.
"""

from collections.abc import Mapping

from ..board import Device

_SIZES = {  # LUTs and flip-flops, block RAMs (DP16KD), multipliers (MULT18X18D)
    "12": (24_288, 56, 28),
    "25": (24_288, 56, 28),
    "45": (43_848, 108, 72),
    "85": (83_640, 208, 156),
}


def _device(name: str, nextpnr: str) -> Device:
    luts, brams, dsps = _SIZES[nextpnr[-3:-1]]
    return Device(name=name, nextpnr=nextpnr, luts=luts, ffs=luts, brams=brams, dsps=dsps)


DEVICES: Mapping[str, Device] = {
    name: _device(name, nextpnr)
    for name, nextpnr in (
        ("LFE5U-12F", "12k"),
        ("LFE5U-25F", "25k"),
        ("LFE5U-45F", "45k"),
        ("LFE5U-85F", "85k"),
        ("LFE5UM5G-45F", "um5g-45k"),
        ("LFE5UM5G-85F", "um5g-85k"),
    )
}
"""Devices by the vendor's name."""
