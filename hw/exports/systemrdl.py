# SPDX-License-Identifier: Apache-2.0
"""The register map as SystemRDL 2.0, which PeakRDL turns into IP-XACT, C, HTML or UVM."""

from collections.abc import Iterator, Mapping
from typing import Any

from .addresses import WORD_BITS, Word, memories, words

ACCESS = {"RO": ("r", "w"), "WO": ("w", "r"), "RW": ("rw", "r")}
"""What software and hardware do with a register, by its access."""


def systemrdl(manifest: Mapping[str, Any]) -> str:
    """The text of NAME.rdl: one address map of the design's name, memories as IMAGE_NAME."""
    lines = [
        f"// {manifest['generator']}",
        f"addrmap \\{manifest['top']} {{",  # escaped, as it may be a keyword
        f'  name = "{manifest["top"]}";',
        '  desc = "A delta-RNN accelerator: registers and image memories of its AXI4-Lite port.";',
        "  littleendian;",
        f"  default regwidth = {WORD_BITS};",
        f"  default accesswidth = {WORD_BITS};",
        "",
    ]
    for word in words(manifest):
        lines += _register(word)
    for memory in memories(manifest):
        about = f"{memory.depth} words of {memory.width} bits in {memory.stride} bytes each, "
        about += "lowest slice first; the last slice commits it"
        lines += [
            "  external mem {",
            f'    name = "image memory {memory.name}";',
            f'    desc = "{about}";',
            f"    mementries = {memory.entries};",
            f"    memwidth = {WORD_BITS};",
            "    sw = w;",
            f"  }} IMAGE_{memory.name.upper()} @0x{memory.base:x};",
        ]
    return "\n".join([*lines, "};", ""])


def _register(word: Word) -> Iterator[str]:
    software, hardware = ACCESS[word.access]
    yield "  reg {"
    yield f'    name = "{word.name}";'
    yield f'    desc = "{word.meaning}";'
    for field in word.fields:
        reset = "" if word.reset is None else f" = 0x{word.reset:x}"
        kept = "na" if word.reset is not None else hardware
        yield (
            f'    field {{ sw = {software}; hw = {kept}; desc = "{field.meaning}"; }} '
            f"{field.name}[{field.low + field.bits - 1}:{field.low}]{reset};"
        )
    array = "" if word.count is None else f"[{word.count}]"
    yield f"  }} {word.name}{array} @0x{word.address:x};"
