# SPDX-License-Identifier: Apache-2.0
"""The SVD text: its elements, and as PeakRDL's importer reads it."""

from xml.etree import ElementTree

import pytest

from deltaloom.hw.exports.addresses import memories, words
from deltaloom.hw.exports.svd import ACCESS, svd


def test_registers_fields_and_blocks(small):
    tree = ElementTree.fromstring(svd(small.manifest).encode())
    wanted = words(small.manifest)
    found = tree.findall(".//register")
    assert len(found) == len(wanted)
    for each, word in zip(found, wanted, strict=True):
        array = word.count is not None
        assert each.findtext("name") == (f"{word.name}[%s]" if array else word.name)
        assert each.findtext("dim") == (f"{word.count}" if array else None)
        assert int(each.findtext("addressOffset"), 0) == word.address
        assert each.findtext("access") == ACCESS[word.access]
        fields = [
            (f.findtext("name"), int(f.findtext("bitOffset")), int(f.findtext("bitWidth")))
            for f in each.iter("field")
        ]
        assert fields == [(field.name, field.low, field.bits) for field in word.fields]
    buffers = [
        (int(block.findtext("offset"), 0), int(block.findtext("size"), 0))
        for block in tree.iter("addressBlock")
        if block.findtext("usage") == "buffer"
    ]
    assert buffers == [(each.base, 4 * each.entries) for each in memories(small.manifest)]


def test_peakrdl_reads_it(small, tmp_path, tool):
    pytest.importorskip("peakrdl_svd", reason="PeakRDL's SVD importer is not installed")
    (tmp_path / "asr.svd").write_text(svd(small.manifest))
    text = tool(["peakrdl", "dump", "asr.svd"], tmp_path)
    found = [line.split(": asr.asr.") for line in text.splitlines()]
    wanted = []
    for word in words(small.manifest):
        for n in range(word.count or 1):
            first = word.address + 4 * n
            name = word.name if word.count is None else f"{word.name}{n}"
            wanted.append([f"0x{first:06x}-0x{first + 3:06x}", name])
    assert found == wanted
