# SPDX-License-Identifier: Apache-2.0
"""golden runs without the hardware side: it imports neither our other packages nor Amaranth."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "golden").rglob("*.py"))
FOREIGN = ("deltaloom.hw", "deltaloom.sim", "deltaloom.boards", "deltaloom.verbs", "deltaloom.cli")
BLOCKED = ("amaranth", "amaranth_boards", "cocotb", "cocotbext", *FOREIGN)


def imports(tree, package):
    """Absolute names of all that a module of `package` imports, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) + 1 - node.level]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def forbidden(tree, package="deltaloom.golden"):
    return sorted(
        name
        for name in set(imports(tree, package))
        if any(name == bad or name.startswith(f"{bad}.") for bad in BLOCKED)
    )


@pytest.mark.parametrize(
    "line",
    [
        "import amaranth",
        "import amaranth.lib.wiring as w",
        "from amaranth import Module",
        "from ..hw import core",
        "from ..hw.core import Core",
        "from .. import hw",
        "from deltaloom import sim",
        "def f():\n    from ..boards.pll import pll",
    ],
)
def test_the_search_finds(line):
    assert forbidden(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["import numpy", "from .arithmetic import rshr", "from . import engine", "import hwloc"]
)
def test_the_search_passes(line):
    assert forbidden(ast.parse(line)) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_names_no_foreign_module(file):
    package = ".".join(("deltaloom", *file.parent.relative_to(ROOT).parts))
    assert forbidden(ast.parse(file.read_text("utf-8")), package) == []


def test_golden_imports_without_amaranth():
    names = [".".join(("deltaloom", *f.relative_to(ROOT).with_suffix("").parts)) for f in FILES]
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({BLOCKED}))
for name in {names}:
    importlib.import_module(name.removesuffix(".__init__"))
print(len({names}))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout.strip(), process.stderr) == (str(len(FILES)), "")
    assert len(FILES) > 20
