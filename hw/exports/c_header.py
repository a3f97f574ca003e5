# SPDX-License-Identifier: Apache-2.0
"""The register map and the streams' sizes as a C header, of C99 or any C++."""

from collections.abc import Iterator, Mapping
from typing import Any

from .addresses import WHOLE, memories, words


def c_header(manifest: Mapping[str, Any]) -> str:
    """The text of NAME.h. Addresses are bytes from the accelerator's base.

    NAME_REGISTER is an address, NAME_REGISTER(n) that of an array's element n,
    NAME_REGISTER_FIELD_MASK and _SHIFT are a field's, NAME_IMAGE_MEMORY_* an image memory's.
    """
    top = manifest["top"]
    prefix = top.upper()
    guard = f"{prefix}_H"
    lines = [
        f"/* {top}: registers (byte addresses from its base) and streams. {manifest['generator']}",
        " * wrote it; each register is one 32-bit word and is written whole. */",
        *(f"#ifndef {guard}", f"#define {guard}", "", "#include <stdint.h>", ""),
        *_registers(manifest, prefix),
        *_memories(manifest, prefix),
        *_sizes(manifest, prefix),
        *("", "#endif", ""),
    ]
    return "\n".join(lines)


def _registers(manifest: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for word in words(manifest):
        name = f"{prefix}_{word.name}"
        yield f"/* {word.access}: {word.meaning} */"
        if word.count is None:
            yield f"#define {name} 0x{word.address:06x}u"
        else:
            yield f"#define {name}(n) (0x{word.address:06x}u + 4u * (n))"
            yield f"#define {name}_COUNT {word.count}u"
        if word.reset is not None:
            yield f"#define {name}_VALUE 0x{word.reset:08x}u"
        for field in () if word.fields == (WHOLE,) else word.fields:
            yield f"#define {name}_{field.name}_MASK 0x{field.mask:08x}u /* {field.meaning} */"
            yield f"#define {name}_{field.name}_SHIFT {field.low}u"


def _memories(manifest: Mapping[str, Any], prefix: str) -> Iterator[str]:
    yield ""
    yield "/* WO: image memories: word n is at BASE + n * STRIDE, its lowest 32 bits first */"
    for memory in memories(manifest):
        name = f"{prefix}_IMAGE_{memory.name.upper()}"
        yield f"#define {name}_BASE 0x{memory.base:06x}u"
        yield f"#define {name}_DEPTH {memory.depth}u"
        yield f"#define {name}_WIDTH {memory.width}u"
        yield f"#define {name}_STRIDE {memory.stride}u"


def _sizes(manifest: Mapping[str, Any], prefix: str) -> Iterator[str]:
    yield ""
    yield "/* words of a frame on s_axis and m_axis; those of real values are Q(e).(15-e) */"
    yield f"#define {prefix}_INPUTS {manifest['inputs']}u"
    yield f"#define {prefix}_OUTPUTS {manifest['outputs']}u"
    for name in ("x_exponent", "y_exponent"):
        if manifest[name] is not None:
            yield f"#define {prefix}_{name.upper()} ({manifest[name]})"
    for n, layer in enumerate(manifest["layers"]):
        name = " ".join(layer["name"].replace("*/", "* /").split())  # whatever a model calls it
        yield f"/* layer {n}, {name}: {layer['cell']}; its place in STATE, its units */"
        yield f"#define {prefix}_LAYER{n}_STATE {layer['state_base']}u"
        yield f"#define {prefix}_LAYER{n}_UNITS {layer['units']}u"
