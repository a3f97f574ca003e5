# SPDX-License-Identifier: Apache-2.0
"""The library of a dozen cells, a netlist of a few of them, and who has OpenSTA."""

import json
import shutil
from pathlib import Path

import pytest

from deltaloom.boards.asic.libraries import Technology, find_technology
from deltaloom.boards.asic.library import Library
from deltaloom.boards.asic.netlist import Netlist, read_netlist

HERE = Path(__file__).parent
TINY, TINY_MODELS = HERE / "tiny.lib", HERE / "tiny.v"


def port(direction, *bits):
    return {"direction": direction, "bits": list(bits)}


def cell(kind, **pins):
    return {
        "type": kind,
        "connections": {pin: b if isinstance(b, list) else [b] for pin, b in pins.items()},
    }


DESIGN = {
    "deltaloom": {
        "ports": {
            "clk": port("input", 2),
            "a": port("input", 3, 4),
            "y": port("output", 7, 8),
            "z": port("output", 3),  # an input, handed through
            "one": port("output", "1"),
        },
        "cells": {
            "$abc$1": cell("NAND2", A=3, B=4, Y=5),
            "core.array": cell("deltaloom.core.array", clk=2, d=5, q=[7, 8]),
            "store": cell(
                "deltaloom_ram_32x2",
                clk=2, ren=7, raddr=["0", "1", 3, 4, 8], rdata=[20, 21],
                wen="0", waddr=["0"] * 5, wdata=[3, 4],
            ),
            "$abc$2": cell("OR2", A=20, B=21, Y=22),
            "$scope": {"type": "$scopeinfo", "connections": {}},
        },
        "netnames": {
            "$abc$1$n5": {"bits": [5]},
            "$n": {"bits": [22]},
            "store.data": {"bits": [20, 21]},
            "module": {"bits": [22]},
        },
    },
    "deltaloom.core.array": {
        "ports": {"clk": port("input", 2), "d": port("input", 3), "q": port("output", 4, 5)},
        "cells": {
            "$ff": cell("DFF", CLK=2, D=3, Q=4),
            "$ff2": cell("DFF", CLK=2, D=6, Q=9),
            "$g1": cell("XOR2", A=3, B=4, Y=6),
            "$g2": cell("BUF", A=9, Y=5),
        },
        "netnames": {
            "sum.value": {"bits": [9]},
            "a.long.name.of.it": {"bits": [9]},
            "\\odd name[3]": {"bits": [6]},
        },
    },
    "INV": {"ports": {}, "cells": {}, "netnames": {}},
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Technology:
    """The library of `tiny.lib` with its own Verilog, as of a 65 nm process."""
    folder = tmp_path_factory.mktemp("tiny")
    return find_technology(str(TINY), workdir=folder, node=65, models=TINY_MODELS)


@pytest.fixture(scope="session")
def cells(tiny: Technology) -> Library:
    return tiny.library


@pytest.fixture
def opensta() -> None:
    if shutil.which("sta") is None:
        pytest.skip("OpenSTA is not installed: apt-get install opensta")


@pytest.fixture
def small(cells: Library, tmp_path: Path) -> Netlist:
    """A netlist as Yosys writes it: a top, and one component of it, the lanes."""
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": DESIGN}))
    return read_netlist(file, cells)
