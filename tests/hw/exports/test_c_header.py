# SPDX-License-Identifier: Apache-2.0
"""The C header, compiled: what its macros come to, against the register map."""

import re
import subprocess

import pytest

from deltaloom.hw.bus.register_map import ID_VALUE, REGISTER, REGISTERS
from deltaloom.hw.exports.c_header import c_header


@pytest.fixture(scope="module")
def values(small, tmp_path_factory):
    """The value of each macro, at element 2 where it is an array's."""
    folder = tmp_path_factory.mktemp("c")
    text = c_header(small.manifest)
    (folder / "asr.h").write_text(text)
    macros = re.findall(r"^#define (ASR_\w+)(\(n\))? .", text, re.MULTILINE)
    shown = [f'  printf("{m} %lld\\n", (long long)({m}{"(2)" if n else ""}));' for m, n in macros]
    lines = ['#include "asr.h"', '#include "asr.h"', "#include <stdio.h>", "int main(void) {"]
    (folder / "main.c").write_text("\n".join([*lines, *shown, "  return 0;", "}", ""]))
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-o", "a"]
    subprocess.run(command, cwd=folder, check=True)
    ran = subprocess.run([folder / "a"], capture_output=True, text=True, check=True)
    return {name: int(value) for name, value in map(str.split, ran.stdout.splitlines())}


def test_every_register_and_field_is_there(values):
    for each in REGISTERS:
        if each.name == "IMAGE":
            continue
        if each.words == 2:
            assert values[f"ASR_{each.name}_LOW"] == each.address
            assert values[f"ASR_{each.name}_HIGH"] == each.address + 4
        else:
            assert values[f"ASR_{each.name}"] == each.at(2 if each.array else 0)
        for field in each.fields:
            assert values[f"ASR_{each.name}_{field.name}_MASK"] == field.mask
            assert values[f"ASR_{each.name}_{field.name}_SHIFT"] == field.low
    assert values["ASR_ID_VALUE"] == ID_VALUE
    assert values["ASR_STATE_C_MASK"] == 0xFFFF0000
    assert values["ASR_THRESHOLD"] == REGISTER["THRESHOLD"].at(2)


def test_a_layers_name_ends_no_comment(small):
    layers = [{**layer, "name": "a*/b\nc"} for layer in small.manifest["layers"]]
    text = c_header(small.manifest | {"layers": layers})
    assert "/* layer 1, a* /b c: linear;" in text


def test_memories_and_sizes(values, small):
    for memory in small.manifest["memories"]:
        for what in ("base", "depth", "width", "stride"):
            assert values[f"ASR_IMAGE_{memory['name'].upper()}_{what.upper()}"] == memory[what]
    assert (values["ASR_INPUTS"], values["ASR_OUTPUTS"]) == (3, 2)
    assert values["ASR_X_EXPONENT"] == small.network.x_exponent
    assert (values["ASR_LAYER1_STATE"], values["ASR_LAYER1_UNITS"]) == (5, 2)
