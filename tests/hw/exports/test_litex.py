# SPDX-License-Identifier: Apache-2.0
"""The LiteX module in a SoC: its Wishbone bus reads and writes registers, frames go through."""

from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("litex_soc.py")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("litex") is None, reason="LiteX is not installed")
def test_a_soc(design, tool):
    assert "1 ran, 0 failed" in tool(["python", SCRIPT], design, "verilator")
