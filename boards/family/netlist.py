# SPDX-License-Identifier: Apache-2.0
"""A synthesized design, in words that hold for every family."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from ..board import Device
from .results import Resources, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthesizedDesign(ABC):
    """A synthesized design; a family's own says what its cells come to.

    Parameters
    ----------
    path, log
        The netlist, and what Yosys said.
    top
        The top module.
    mapper
        Name of the script that did it.
    cells
        Cells by type.
    cached
        It was there already.
    """

    path: Path
    log: Path
    top: str
    mapper: str
    cells: dict[str, int]
    cached: bool = False

    def count(self, *types: str) -> int:
        """Cells of these types together."""
        return sum(self.cells.get(name, 0) for name in types)

    @property
    @abstractmethod
    def luts(self) -> int:
        """4-input lookup tables."""

    @property
    @abstractmethod
    def ffs(self) -> int:
        """Flip-flops."""

    @property
    @abstractmethod
    def dsps(self) -> int:
        """Multipliers."""

    @property
    @abstractmethod
    def brams(self) -> int:
        """Block RAMs."""

    @property
    def sprams(self) -> int:
        """Large memories without initial contents."""
        return 0

    def resources(self, device: Device) -> Resources:
        """What it takes of a device, before it is placed."""
        return Resources(
            luts=Usage(self.luts, device.luts),
            ffs=Usage(self.ffs, device.ffs),
            brams=Usage(self.brams, device.brams),
            dsps=Usage(self.dsps, device.dsps),
            sprams=Usage(self.sprams, device.sprams),
        )
