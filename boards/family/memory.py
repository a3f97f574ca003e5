# SPDX-License-Identifier: Apache-2.0
"""A memory that a design needs, whatever device it is for."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """A memory that a design needs.

    Parameters
    ----------
    name
        What it holds, in the plural: "weights".
    depth, width
        Words, and bits of a word.
    read_ports
        Each read port needs a copy of the memory.
    bits
        Weight bits that ``depth`` follows from, when it does: with half the bits half the words
        would do, which makes quantizing a way out when the memory does not fit.
    asynchronous
        A read answers in the same cycle: distributed memory, whatever its size.
    """

    name: str
    depth: int
    width: int
    read_ports: int = 1
    bits: int | None = None
    asynchronous: bool = False

    def __post_init__(self) -> None:
        for field in ("depth", "width", "read_ports"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, not {getattr(self, field)!r}")

    def quantized(self, bits: int) -> "Memory":
        """The same memory with the weights at ``bits`` bits each."""
        if self.bits is None:
            raise ValueError(f"memory {self.name!r} holds no weights")
        return replace(self, depth=-(-self.depth * bits // self.bits), bits=bits)
