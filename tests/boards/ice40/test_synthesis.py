# SPDX-License-Identifier: Apache-2.0
"""Synthesis for iCE40: memories read at the falling edge, counts, SPRAM."""

import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import memory

from deltaloom.boards.ice40.spram import SpramStore
from deltaloom.boards.ice40.synthesis import check_addends, read_late, synthesize
from deltaloom.boards.icebreaker import BOARDS
from deltaloom.golden.errors import UserError


def ram(depth: int, width: int, *, domain: str = "comb") -> str:
    m = Module()
    m.submodules.ram = store = memory.Memory(shape=width, depth=depth, init=[])
    write: Any = store.write_port()
    read: Any = store.read_port(domain=domain)
    ports = [write.addr, write.data, write.en, read.addr, read.data]
    return rtlil.convert(m, name="top", ports=ports, emit_src=False)


def port(text: str, kind: str) -> str:
    found = re.search(rf"cell \$mem{kind}_v2.*?^  end$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[0]


def test_an_addend_that_yosys_has_lost_is_seen() -> None:
    """As its ice40_dsp left one in a design with two rows: both halves add what is x."""
    adds = {f"{half}ADDSUB_UPPERINPUT": "1" for half in ("TOP", "BOT")}
    cell: Any = {"type": "SB_MAC16", "parameters": adds, "connections": {"C": [7], "D": [8, "x"]}}
    check_addends({"cells": {"sum": cell}})
    cell["connections"]["C"] = ["x"] * 16
    with pytest.raises(UserError, match="sum: yosys has lost what this multiplier adds"):
        check_addends({"cells": {"sum": cell}})
    cell["parameters"]["TOPADDSUB_UPPERINPUT"] = "0"
    check_addends({"cells": {"sum": cell}})


def test_larger_memories_are_read_at_the_falling_edge() -> None:
    late = read_late(ram(16, 19))
    read, write = port(late, "rd"), port(late, "wr")
    assert "CLK_ENABLE 1\n" in read and "CLK_POLARITY 0\n" in read
    assert "CLK_POLARITY 1\n" in write
    assert re.findall(r"connect \\CLK (.*)", read) == re.findall(r"connect \\CLK (.*)", write)


def test_small_memories_and_those_with_a_clock_stay_as_they_are() -> None:
    for text in (ram(4, 13), ram(64, 16, domain="sync")):
        assert read_late(text) == text


@pytest.mark.slow
def test_counts(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    netlist = synthesize(ram(16, 19), top="top", workdir=tmp_path)
    assert (netlist.brams, netlist.ffs, netlist.luts) == (2, 0, 1)  # the write mask, inverted
    assert any(name.startswith("SB_RAM40_4KN") for name in netlist.cells)
    (board,) = BOARDS
    store = SpramStore(depth=13_312, word_bits=4)
    request, response, load = store.store.request, store.store.response, store.load
    ports = [request.payload, request.valid, response.payload, response.valid]
    ports += [load.addr, load.data, load.en]
    platform = board.platform()
    text = rtlil.convert(store, name="top", ports=ports, platform=platform, emit_src=False)
    netlist = synthesize(text, top="top", workdir=tmp_path)
    assert (netlist.sprams, netlist.brams) == (1, 0) and netlist.luts < 40
