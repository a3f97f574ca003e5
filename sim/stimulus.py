# SPDX-License-Identifier: Apache-2.0
"""How a design's streams are driven under simulation."""

from dataclasses import dataclass

from ..golden.errors import UserError

NEW_SEQUENCE = ("tuser", "register")
"""How the bench announces a new sequence: on the stream, or by the CONTROL register."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stimulus:
    """How the bench drives a design.

    Members
    -------
    idle, backpressure: chance, 0 to below 1, that a cycle of the input or the output stream rests;
        both 0 measure the design's own speed.
    seed: of these.
    new_sequence: "tuser" or "register", how a new sequence is announced.
    reset_after: input words of the first sequence after which the design is reset and everything
        begins again; None: it is not.
    patience: clock cycles without an output frame that count as stuck; None: four times what a
        dense step could take, and some.

    Raises UserError for a chance out of range and an unknown way to announce a sequence.
    """

    idle: float = 0.3
    backpressure: float = 0.3
    seed: int = 0
    new_sequence: str = "tuser"
    reset_after: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("idle", self.idle), ("backpressure", self.backpressure)):
            if not 0 <= value < 1:
                raise UserError(
                    f"{name}: {value!r} is not possible, it must be at least 0 and below 1"
                )
        if self.new_sequence not in NEW_SEQUENCE:
            raise UserError(
                f"new_sequence: {self.new_sequence!r} is unknown, choose "
                f"{' or '.join(NEW_SEQUENCE)}"
            )


STALLED = Stimulus()
"""Both streams rest in three cycles of ten."""
FULL_SPEED = Stimulus(idle=0.0, backpressure=0.0)
"""Both streams are always ready: the design's own speed."""
