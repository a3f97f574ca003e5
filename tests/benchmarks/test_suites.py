# SPDX-License-Identifier: Apache-2.0
"""The suites: all can be run, and each stands in the table of benchmarks/README.md."""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_every_suite_can_be_imported_and_is_described():
    code = "import run; print(*run.SUITES, *run.FPGA, *run.LONG)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    names = set(found.stdout.split())
    table = re.findall(
        r"^\| ([a-z, -]+) \| ", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE
    )
    described = {name for row in table for name in row.split(", ")}
    assert names <= described and len(names) > 20
