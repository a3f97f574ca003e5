# SPDX-License-Identifier: Apache-2.0
"""The marker of tests that run place and route: minutes each, so only with `pytest -m fpga`; and
what a board makes of the echoing core, without running any tool.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from deltaloom.boards.board import Board
from deltaloom.boards.flow.build import prepare
from deltaloom.sim.testing.loopback import Loopback


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fpga: runs place and route; deselected unless asked for")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("fpga")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The echoing core on a board at its own rates: RTLIL, constraints, where each pin is."""

    rtlil: str
    constraints: str

    @property
    def lpf(self) -> str:
        return self.constraints

    @property
    def sites(self) -> dict[str, str]:
        """By LPF (ECP5), PCF (iCE40) or CST (Gowin)."""
        forms = (r'LOCATE COMP "(\w+)__io" SITE "(\w+)"', r"set_io (\w+)__io (\w+)")
        forms += (r'IO_LOC "(\w+)__io" (\w+);',)
        return dict(pin for form in forms for pin in re.findall(form, self.constraints))

    def pin(self, name: str) -> str:
        """The IOBUF line's settings."""
        found = re.search(rf'IOBUF PORT "{name}__io" (.*);', self.lpf)
        assert found is not None
        return found[1]


@functools.cache
def _planned(board: Board) -> Plan:
    rtlil, files = prepare(Loopback(), board, clock_mhz=board.clock_mhz, baud=board.baud)
    return Plan(rtlil=rtlil, constraints=files)


@pytest.fixture
def planned() -> Callable[[Board], Plan]:
    return _planned
