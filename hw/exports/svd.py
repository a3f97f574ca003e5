# SPDX-License-Identifier: Apache-2.0
"""The register map as CMSIS-SVD, for debuggers and generators of drivers."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .addresses import WORD_BITS, Word, memories, words

ACCESS = {"RO": "read-only", "WO": "write-only", "RW": "read-write"}


def svd(manifest: Mapping[str, Any]) -> str:
    """The text of NAME.svd: a device with one peripheral at base address 0.

    Image memories are address blocks of usage "buffer", without registers.
    """
    device = Element("device", {"schemaVersion": "1.3"})
    _texts(
        device,
        name=manifest["top"],
        version="1.0",
        description=f"{manifest['generator']}: a delta-RNN accelerator",
        addressUnitBits="8",
        width=f"{WORD_BITS}",
        size=f"{WORD_BITS}",
    )
    peripheral = SubElement(SubElement(device, "peripherals"), "peripheral")
    _texts(
        peripheral,
        name=manifest["top"],
        description="Registers and image memories of its AXI4-Lite port",
        baseAddress="0x0",
    )
    registers = words(manifest)
    for word in registers:
        _block(peripheral, word.address, word.count or 1, "registers")
    for memory in memories(manifest):
        _block(peripheral, memory.base, memory.entries, "buffer")
    listed = SubElement(peripheral, "registers")
    for word in registers:
        _register(listed, word)
    ElementTree.indent(device)
    text = ElementTree.tostring(device, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _register(parent: Element, word: Word) -> None:
    register = SubElement(parent, "register")
    if word.count is not None:
        _texts(register, dim=f"{word.count}", dimIncrement="4")
    _texts(
        register,
        name=word.name if word.count is None else f"{word.name}[%s]",
        description=word.meaning,
        addressOffset=f"0x{word.address:x}",
        access=ACCESS[word.access],
    )
    if word.reset is not None:
        _texts(register, resetValue=f"0x{word.reset:x}")
    fields = SubElement(register, "fields")
    for field in word.fields:
        _texts(
            SubElement(fields, "field"),
            name=field.name,
            description=field.meaning,
            bitOffset=f"{field.low}",
            bitWidth=f"{field.bits}",
        )


def _block(peripheral: Element, address: int, count: int, usage: str) -> None:
    block = SubElement(peripheral, "addressBlock")
    _texts(block, offset=f"0x{address:x}", size=f"0x{4 * count:x}", usage=usage)


def _texts(parent: Element, **texts: str) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = text
