# SPDX-License-Identifier: Apache-2.0
"""Imports go one way: between the top-level folders in the order of TOP, and never in a circle.

A *room* is a package's module or subpackage. golden, besides, runs where Amaranth is not installed.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "deltaloom"
TOP = ("golden", "hw", "boards", "sim", "host")
"""Each folder may import those before it; the rest of `deltaloom` may import all."""
DATAPATH = ("detect", "events", "fetch", "lanes", "rows", "statistics", "turns", "units")
FOREIGN = ("amaranth", "amaranth_boards", "cocotb", "cocotbext", "torch")


def modules():
    """Every module of ours as {dotted name: file}."""
    found = {}
    for place, base in [*((ROOT / top, ROOT) for top in TOP), (SOURCE, SOURCE)]:
        for file in place.rglob("*.py"):
            parts = file.relative_to(base).with_suffix("").parts
            if place is SOURCE and parts[0] in TOP:  # a link to what was walked already
                continue
            name = ".".join(("deltaloom", *parts)).removesuffix(".__init__")
            found[name] = file
    return found


MODULES = modules()


def package_of(name):
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


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


def all_imports():
    """(importing module, imported name), our own modules and others."""
    for name, file in MODULES.items():
        for target in set(imports(ast.parse(file.read_text("utf-8")), package_of(name))):
            yield name, target


IMPORTS = sorted(all_imports())
# `deltaloom` itself has the version, and nothing that it imports at once.
ARROWS = [(a, b) for a, b in IMPORTS if b in MODULES and b not in (a, "deltaloom")]


def room(name, package):
    """The room of `package` that a module lies in; None for the package itself and all outside."""
    inner = name.removeprefix(f"{package}.")
    return None if inner == name else inner.split(".")[0]


def rooms(package, arrows):
    """{room: rooms of the same package that it imports}."""
    graph = {}
    for a, b in arrows:
        one, other = room(a, package), room(b, package)
        if one and other and one != other:
            graph.setdefault(one, set()).add(other)
    return graph


def circle(graph):
    """Rooms that import each other in a circle, or None."""
    left = dict(graph)
    while left:
        free = [name for name, targets in left.items() if not targets & left.keys()]
        if not free:
            return sorted(left)
        for name in free:
            del left[name]
    return None


def top(name):
    first = room(name, "deltaloom")
    return first if first in TOP else "deltaloom"


def upward(arrows):
    order = [*TOP, "deltaloom"]
    return [(a, b) for a, b in arrows if order.index(top(b)) > order.index(top(a))]


PACKAGES = sorted({name.rpartition(".")[0] for name in MODULES} - {""})


@pytest.mark.parametrize(
    "line",
    ["import amaranth", "import amaranth.lib.wiring as w", "def f():\n    from torch import nn"],
)
def test_foreign_imports_are_seen(line):
    assert any(n.split(".")[0] in FOREIGN for n in imports(ast.parse(line), "deltaloom.golden"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from .core import Core", "deltaloom.hw.cells.core"),
        ("from ..core import Core", "deltaloom.hw.core"),
        ("from .. import core", "deltaloom.hw.core"),
        ("from deltaloom import sim", "deltaloom.sim"),
        ("def f():\n    from ...boards.pll import pll", "deltaloom.boards.pll"),
    ],
)
def test_our_imports_are_seen(line, found):
    assert found in set(imports(ast.parse(line), "deltaloom.hw.cells"))


def test_circles_and_upward_arrows_are_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "d"]
    assert circle({"a": {"b"}, "b": {"c"}}) is None
    assert upward([("deltaloom.golden.data", "deltaloom.hw.config")])
    assert upward([("deltaloom.boards.board", "deltaloom.sim.job")])
    assert upward([("deltaloom.sim.job", "deltaloom.cli")])
    assert not upward([("deltaloom.sim.job", "deltaloom.hw"), ("deltaloom.cli", "deltaloom.hw")])


def test_top_level_folders_import_only_those_before_them():
    assert upward(ARROWS) == []
    assert len(ARROWS) > 500


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_in_any_package(package):
    assert circle(rooms(package, ARROWS)) is None


def test_the_datapath_lists_its_folders_in_the_order_of_the_data():
    folder = ROOT / "hw" / "datapath"
    found = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name != "__pycache__")
    assert tuple(found) == DATAPATH


def test_golden_names_no_foreign_module():
    names = [(a, b) for a, b in IMPORTS if top(a) == "golden" and b.split(".")[0] in FOREIGN]
    assert {b for _, b in names} <= {"torch"}  # a reader of .pt files, when there is one
    assert {a for a, _ in names} <= {"deltaloom.golden.importers.tensors.files"}


def test_golden_imports_without_amaranth():
    blocked = [*FOREIGN, *(f"deltaloom.{name}" for name in TOP if name != "golden")]
    names = [name for name in MODULES if top(name) == "golden"]
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({blocked}))
for name in {names}:
    importlib.import_module(name)
print(len({names}))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout.strip(), process.stderr) == (str(len(names)), "")
    assert len(names) > 20
