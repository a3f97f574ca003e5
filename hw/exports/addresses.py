# SPDX-License-Identifier: Apache-2.0
"""The addresses of one design, word by word: what every export of the register map is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..bus.register_map import ID_VALUE, VERSION_VALUE, Field

WORD_BITS = 32
RESET = {"ID": ID_VALUE, "VERSION": VERSION_VALUE}
"""What registers read that never change."""

LOW_FIRST = "Read the low word first: that read keeps the high word."


WHOLE = Field(name="VALUE", low=0, bits=WORD_BITS, meaning="the whole word")


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A register of 32 bits, or an array of them at consecutive words.

    Members
    -------
    name, address, access, meaning: as of `register_map.Register`
    fields: its fields, one called VALUE where the whole word is one number
    count: elements of an array, None where it is none
    reset: its value, where it never changes
    """

    name: str
    address: int
    access: str
    meaning: str
    fields: tuple[Field, ...]
    count: int | None = None
    reset: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """An image memory.

    Members
    -------
    name: in the manifest
    base: byte address
    depth, width: words and their bits
    stride: bytes from one word to the next
    """

    name: str
    base: int
    depth: int
    width: int
    stride: int

    @property
    def entries(self) -> int:
        """32-bit words of address space, those between two words of the memory included."""
        return self.depth * self.stride // 4


def words(manifest: Mapping[str, Any]) -> tuple[Word, ...]:
    """The design's registers, in the order of their addresses; memories are apart.

    A counter of 64 bits is two words, NAME_LOW and NAME_HIGH.
    """
    counts = {"": None, "list": len(manifest["lists"]), "unit": manifest["states"]}
    found = []
    for entry in manifest["registers"]:
        if entry["array"] not in counts:
            continue  # the image memories
        common = {
            "access": entry["access"],
            "count": counts[entry["array"]],
            "fields": tuple(Field(**each) for each in entry["fields"]) or (WHOLE,),
            "reset": RESET.get(entry["name"]),
        }
        if entry["bits"] == WORD_BITS:
            parts: Sequence[tuple[str, str]] = (("", entry["meaning"]),)
        else:
            parts = (("_LOW", f"{entry['meaning']}. {LOW_FIRST}"), ("_HIGH", entry["meaning"]))
        for n, (suffix, meaning) in enumerate(parts):
            name, address = entry["name"] + suffix, entry["address"] + 4 * n
            found.append(Word(name=name, address=address, meaning=meaning, **common))
    return tuple(found)


def memories(manifest: Mapping[str, Any]) -> tuple[Memory, ...]:
    """The image memories, in the order of the manifest."""
    return tuple(Memory(**entry) for entry in manifest["memories"])
