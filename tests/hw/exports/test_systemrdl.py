# SPDX-License-Identifier: Apache-2.0
"""The SystemRDL text through PeakRDL: compiled, as IP-XACT, and as PeakRDL's own C header."""

from xml.etree import ElementTree

import pytest

from deltaloom.hw.exports.addresses import memories, words
from deltaloom.hw.exports.systemrdl import ACCESS, systemrdl

systemrdl_compiler = pytest.importorskip("systemrdl", reason="PeakRDL is not installed")
IPXACT = "{http://www.accellera.org/XMLSchema/IPXACT/1685-2014}"


@pytest.fixture(scope="module")
def text(small, tmp_path_factory):
    file = tmp_path_factory.mktemp("rdl") / "asr.rdl"
    file.write_text(systemrdl(small.manifest))
    return file


@pytest.fixture(scope="module")
def compiled(text):
    compiler = systemrdl_compiler.RDLCompiler()
    compiler.compile_file(str(text))
    return compiler.elaborate().top


def test_registers_fields_and_arrays(compiled, small):
    nodes = {node.inst_name: node for node in compiled.registers()}
    wanted = words(small.manifest)
    assert list(nodes) == [word.name for word in wanted]
    for word in wanted:
        node = nodes[word.name]
        assert node.raw_address_offset == word.address
        assert node.size == 4 and node.get_property("regwidth") == 32
        assert node.array_dimensions == (None if word.count is None else [word.count])
        assert word.count is None or node.array_stride == 4
        fields = [(field.inst_name, field.low, field.width) for field in node.fields()]
        assert fields == [(field.name, field.low, field.bits) for field in word.fields]
        for field in node.fields():
            assert field.get_property("sw").name == ACCESS[word.access][0]
            assert field.get_property("reset") == word.reset


def test_memories(compiled, small):
    nodes = {
        node.inst_name: node
        for node in compiled.children()
        if isinstance(node, systemrdl_compiler.node.MemNode)
    }
    for memory in memories(small.manifest):
        node = nodes.pop(f"IMAGE_{memory.name.upper()}")
        assert node.raw_address_offset == memory.base
        assert node.get_property("mementries") == memory.entries
        assert node.get_property("memwidth") == 32
        assert node.get_property("sw").name == "w"
    assert nodes == {}


@pytest.mark.parametrize("name", ["mem", "field", "all", "signal", "property", "number"])
def test_a_design_may_have_a_keyword_as_its_name(name, small, tmp_path):
    file = tmp_path / "design.rdl"
    file.write_text(systemrdl({**small.manifest, "top": name}))
    compiler = systemrdl_compiler.RDLCompiler()
    compiler.compile_file(str(file))
    assert compiler.elaborate().top.inst_name == name


def test_ip_xact(text, small, tool):
    """Offsets in bytes, of registers in address blocks or the map."""
    pytest.importorskip("peakrdl", reason="PeakRDL is not installed")
    tool(["peakrdl", "ip-xact", text.name, "-o", "asr.xml"], text.parent)
    found = {}
    for block in ElementTree.parse(text.parent / "asr.xml").iter(f"{IPXACT}addressBlock"):
        base = _number(block.findtext(f"{IPXACT}baseAddress"))
        for register in block.iter(f"{IPXACT}register"):
            offset = _number(register.findtext(f"{IPXACT}addressOffset"))
            dim = register.findtext(f"{IPXACT}dim")
            count = None if dim is None else _number(dim)
            fields = tuple(
                (
                    field.findtext(f"{IPXACT}name"),
                    _number(field.findtext(f"{IPXACT}bitOffset")),
                    _number(field.findtext(f"{IPXACT}bitWidth")),
                )
                for field in register.iter(f"{IPXACT}field")
            )
            found[register.findtext(f"{IPXACT}name")] = (base + offset, count, fields)
    assert found == {
        word.name: (
            word.address,
            word.count,
            tuple((field.name, field.low, field.bits) for field in word.fields),
        )
        for word in words(small.manifest)
    }


def _number(text):
    return int(text.replace("'h", "0x"), 0)


def test_peakrdls_c_header_has_the_same_offsets(text, small, tool):
    pytest.importorskip("peakrdl", reason="PeakRDL is not installed")
    folder = text.parent
    tool(["peakrdl", "c-header", text.name, "-o", "peak.h"], folder)
    checks = [
        f'_Static_assert(offsetof(asr_t, {word.name}) == {word.address}, "{word.name}");'
        for word in words(small.manifest)
    ]
    lines = ["#include <stddef.h>", '#include "peak.h"', *checks, ""]
    (folder / "peak.c").write_text("\n".join(lines))
    tool(["gcc", "-std=c11", "-c", "peak.c"], folder)
