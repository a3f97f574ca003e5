# SPDX-License-Identifier: Apache-2.0
"""Every `elaborate` fits on two screens: what is longer has parts that want a name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 120


@pytest.mark.parametrize("folder", ["hw", "boards"])
def test_no_elaborate_is_longer(folder):
    lengths = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "elaborate":
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                lengths[place] = (node.end_lineno or node.lineno) - node.lineno + 1
    assert lengths
    assert {place: n for place, n in lengths.items() if n > MOST} == {}
