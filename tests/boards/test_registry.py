# SPDX-License-Identifier: Apache-2.0
"""Every board of the registry: its facts hold, it elaborates, it has a test and a line in the docs.

A new board file is found by itself; what is missing beside it fails here.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deltaloom.boards.board import Board
from deltaloom.boards.ecp5 import chips as ecp5
from deltaloom.boards.ecp5.place_and_route import DEVICES as NEXTPNR_DEVICES
from deltaloom.boards.flow.build import TOP, check_rates
from deltaloom.boards.flow.families import FAMILIES, family_of
from deltaloom.boards.gowin import chips as gowin
from deltaloom.boards.ice40 import chips as ice40
from deltaloom.boards.registry import BOARDS, facts_table, find_board
from deltaloom.golden.errors import UserError

TESTS = Path(__file__).parent
ROOT = TESTS.parent.parent
PACKAGES = {  # Amaranth's names of packages, and nextpnr's
    "BG256": "CABGA256",
    "MG285": "CSFBGA285",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
}

each = pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)


def test_boards_of_all_files_are_found() -> None:
    assert set(BOARDS) >= {
        "colorlight_i5",
        "colorlight_i9",
        "ecpix5_45f",
        "ecpix5_85f",
        "icepi_zero",
        "icebreaker",
        "icesugar",
        "icesugar_pro",
        "orangecrab_25f",
        "orangecrab_85f",
        "tang_nano_20k",
        "tang_nano_9k",
        "ulx3s_12f",
        "ulx3s_25f",
        "ulx3s_45f",
        "ulx3s_85f",
    }
    assert all(name == board.name for name, board in BOARDS.items())


def test_an_unknown_board_is_told_all_names() -> None:
    names = ", ".join(BOARDS)
    with pytest.raises(UserError, match=rf"^board 'icestick' is unknown: use one of {names}$"):
        find_board("icestick")
    assert find_board("icepi_zero") is BOARDS["icepi_zero"]


def test_names_and_facts_are_there_without_amaranth() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(("amaranth", "amaranth_boards")))
from deltaloom.boards.registry import BOARDS, facts_table
print(len(BOARDS), len(facts_table().splitlines()))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout, process.stderr) == (f"{len(BOARDS)} {len(BOARDS) + 2}\n", "")


@each
def test_its_pins_and_clock_are_those_of_its_facts(
    board: Board, planned: Callable[..., Any]
) -> None:
    plan = planned(board)
    sites = plan.sites
    assert (sites["uart_0__rx"], sites["uart_0__tx"]) == (board.serial.rx, board.serial.tx)
    mhz = board.clock_in_mhz
    if board.family == "ecp5":
        frequency = f'FREQUENCY PORT "{board.clock}_0__io" {mhz * 1e6} HZ;'
        assert re.findall("FREQUENCY.*", plan.constraints) == [frequency]
        assert f'attribute \\FREQUENCY_PIN_CLKI "{mhz:g}"' in plan.rtlil
    elif board.family == "ice40":
        frequency = f"set_frequency {board.clock}_0__io {mhz}"
        assert re.findall("set_frequency.*", plan.constraints) == [frequency]
        assert board.clock_mhz == mhz and "PLL" not in plan.rtlil
    else:
        assert f'parameter \\FCLKIN "{mhz:g}"' in plan.rtlil
        assert f'parameter \\DEVICE "{board.device.name}"' in plan.rtlil
    assert len(set(sites.values())) == len(sites) == 3 + len(board.lights) + bool(board.reset)
    assert f"module \\{TOP}\n" in plan.rtlil


@each
def test_its_fpga_is_the_platforms(board: Board) -> None:
    platform, device = board.platform(), board.device
    assert platform.default_clk == board.clock
    if board.family == "gowin":
        assert device in gowin.DEVICES.values()
        assert (platform.family, platform.part) == (device.name, board.package)
        assert f"C{board.speed}/" in platform.part
        assert device.nextpnr == device.name.replace("R-", "-")
        return
    assert platform.device == device.name
    assert platform._nextpnr_device_options[platform.device] == f"--{device.nextpnr}"
    if board.family == "ice40":
        assert device in ice40.DEVICES.values()
        assert (platform.package, board.speed) == (board.package, 0)
        return
    assert device in ecp5.DEVICES.values() and device.nextpnr in NEXTPNR_DEVICES
    assert int(platform.speed) == board.speed
    assert PACKAGES[platform.package] == board.package


@each
def test_its_memories_are_on_the_platform_where_that_knows_any(board: Board) -> None:
    resources = {name for name, _ in board.platform().resources}
    for memory in board.memories:
        assert memory.kind in ("SDRAM", "DDR3", "HyperRAM")
        assert memory.kind.lower() in resources or board.series in ("colorlight", "tang_nano")
        assert memory.megabytes >= 1 and memory.bits in (8, 16, 32)


@each
def test_its_own_rates_are_possible(board: Board) -> None:
    check_rates(board, clock_mhz=board.clock_mhz, baud=board.baud)
    assert family_of(board).clock_mhz(board, board.clock_mhz) == pytest.approx(board.clock_mhz)
    assert 0 < len(board.lights) <= 3
    assert board.program and board.title and board.serial.link


@each
def test_it_has_a_test_of_its_own(board: Board) -> None:
    file = TESTS / f"test_{board.series}.py"
    assert file.is_file() and f"deltaloom.boards.{board.series}" in file.read_text("utf-8")


def test_the_page_has_the_registrys_table() -> None:
    """`python -m deltaloom.boards.registry` prints it."""
    page = (ROOT / "docs" / "boards.md").read_text("utf-8")
    assert facts_table() in page


def test_the_howtos_code_is_the_projects() -> None:
    page = (ROOT / "docs" / "howto" / "add-a-board.md").read_text("utf-8")
    files = (ROOT / "boards" / "icepi_zero.py", TESTS / "test_icepi_zero.py")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == len(files) and len(page.splitlines()) <= 60
    for block, file in zip(blocks, files, strict=True):
        assert block in file.read_text("utf-8")


def test_families_are_known_by_their_names() -> None:
    assert {board.family for board in BOARDS.values()} <= FAMILIES.keys()
    assert all(name == family.name for name, family in FAMILIES.items())


def test_the_flow_names_no_family() -> None:
    """What is a family's own is in its package, and only flow/families.py knows of it."""
    for file in (ROOT / "boards" / "flow").glob("*.py"):
        if file.name != "families.py":
            text = file.read_text("utf-8")
            own = "ecp5|ice40|gowin|TRELLIS|DP16KD|MULT18X18|SB_|nextpnr|lpf|pcf|cst"
            assert not re.search(own, text, re.I), file
