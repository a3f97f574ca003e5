# SPDX-License-Identifier: Apache-2.0
"""What the silicon's costs take, whatever the candidate."""

from dataclasses import dataclass

from ..golden.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Of the accelerator and of its estimates.

    Members
    -------
    word_bits, lanes, longest: as for `deltaloom generate`, where the genes do not say otherwise.
    clock_mhz: of the latency.
    steps: frames whose events the cycles are over.
    """

    word_bits: int = 256
    lanes: str = "multiplier"
    longest: int = 128
    clock_mhz: float = 50.0
    steps: int = 250

    def __post_init__(self) -> None:
        if not self.clock_mhz > 0:
            raise UserError(f"clock: {self.clock_mhz} MHz is not possible, it must be above 0")
        if self.steps < 1:
            raise UserError(f"cycle frames: {self.steps} is not possible, it must be at least 1")
