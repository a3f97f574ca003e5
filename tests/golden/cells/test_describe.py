# SPDX-License-Identifier: Apache-2.0
"""Descriptions that cannot be held are refused with their line; a user's own cells."""

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS, Numbers, State, describe, load_cells, register
from deltaloom.golden.cells import registry as cells_registry
from deltaloom.golden.cells.values import (
    GATE,
    C,
    Format,
    H,
    mix,
    rshr,
    sat16,
    sigmoid,
    table,
    tanh,
    within,
)
from deltaloom.golden.errors import UserError

WRONG = {
    "a sum without sat16": (
        {"x": "n", "h": "n", "candidate": "n"},
        lambda n: {"h": tanh(n + n)},
        r"what enters tanh reaches -65536..65534, beyond 16 bits; use sat16",
    ),
    "a product without rshr": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": tanh(n) * h},
        r"h has 30 fraction bits, it must have 15 fraction bits; use rshr",
    ),
    "a state that grows": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": h + tanh(n)},
        r"h reaches -65535..65534, beyond 16 bits; use sat16",
    ),
    "two formats in a sum": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": sat16(n + h)},
        r"add of 12 fraction bits and of 15 fraction bits; bring both to one format with rshr",
    ),
    "a share beyond 1": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": mix(h, tanh(n), 0)},
        r"mix's share has 15 fraction bits and reaches -327.*, it must be Q0.15 within 0..1",
    ),
    "a shift that leaves nothing": (
        {"x": "n", "bounded": True},
        lambda n: {"h": rshr(n, Format(-10))},
        r"rshr by up to 22 of 16 bits leaves nothing, not even a sign",
    ),
    "c that is not written": (
        {"x": "n", "bounded": True},
        lambda n, c: {"h": tanh(n)},
        r"c is read and never written; return it, or use h",
    ),
    "h that is not written": ({"x": "n"}, lambda n, c: {"c": c}, "h is never written; return it"),
    "something that is not read": (
        {"x": "n f", "bounded": True},
        lambda n, f: {"h": tanh(n)},
        r"f is never read; leave it out",
    ),
    "a gate without a parameter": (
        {"x": "n f"},
        lambda n: {"h": tanh(n)},
        r"the paths feed f, no parameter has that name",
    ),
    "five gates": (
        {"x": "a b d e f"},
        lambda a, b, d, e, f: {"h": a},
        r"5 gates, a cell has 1..4",
    ),
    "a recurrent cell without a candidate": (
        {"x": "n", "h": "n", "bounded": True},
        lambda n: {"h": tanh(n)},
        r"candidate '', it must be a gate that a path from h or rh feeds, of n",
    ),
    "a table that is not finite": (
        {"x": "n", "bounded": True},
        lambda n: {"h": table(np.log, n)},
        r"log is NaN or infinite somewhere in -8..8, it must be a finite number; limit it there",
    ),
    "a table of a format that is not fixed": (
        {"x": "n", "bounded": True},
        lambda n: {"h": table(np.cos, n, gives=C)},
        r"cos has 15 - e_c fraction bits, a table's formats must be fixed",
    ),
    "a table of another format": (
        {"x": "n", "bounded": True},
        lambda n: {"h": table(np.cos, n, takes=Format(11))},
        r"what enters cos has 12 fraction bits, it must have 11 fraction bits; use rshr",
    ),
    "a limit below 0": (
        {"x": "n", "bounded": True},
        lambda n, h: {"h": within(h, tanh(n))},
        r"the limit reaches -32767..32767, it must not be negative",
    ),
    "a shift by e_h": (
        {"x": "n", "formats": {"n": "h"}},
        lambda n: {"h": rshr(sigmoid(rshr(n, GATE)), H)},
        r"would depend on e_h, which no cell is given; keep the value in a state c like h",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_with_line_and_rule(name):
    options, function, message = WRONG[name]
    with pytest.raises(UserError, match=message) as caught:
        describe(name="wrong", **options)(function)
    line = str(caught.value)
    assert line.startswith(f"{__file__}:") and "\n" not in line


OWN = """
from deltaloom.golden.cells import describe
from deltaloom.golden.cells.values import UNIT, mix, rshr, sigmoid, tanh

@describe(x="z n", h="z n", bounded=True, candidate="n")
def damped(z, n, h):
    z = sigmoid(z)
    return {"h": mix(tanh(n), rshr(z * 0.5, UNIT), h)}
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN, "utf-8")
    (cell,) = load_cells(tmp_path / "own.py")
    yield cell
    del cells_registry._cells["damped"]


def test_a_users_own_cell_is_a_kind_like_all_others(own):
    assert CELLS["damped"] is own
    p = {"z": np.array([30000]), "n": np.array([-30000])}
    after = own.step(p, State(np.array([0]), np.array([20000])), Numbers())
    real = own.float_step(
        {gate: of / 4096 for gate, of in p.items()}, State(0.0, 20000 / 32768), Numbers()
    )
    assert abs(after.h[0] / 32768 - real.h[0]) < 4 / 32768


def test_names_are_unique(own, tmp_path):
    (tmp_path / "other.py").write_text(OWN.replace("0.5", "0.25"), "utf-8")
    with pytest.raises(UserError, match="cell 'damped': there is one of that name"):
        load_cells(tmp_path / "other.py")
    with pytest.raises(UserError, match="cell 'gru_reset': there is one of that name"):
        register(describe(x="n", bounded=True, name="gru_reset")(lambda n: {"h": tanh(n)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("x = 1", "it describes no cell; decorate a function"),
        ("def f(:", r"own.py:1: invalid syntax"),
        (OWN.replace("rshr(z * 0.5, UNIT)", "z * 0.5"), r"own.py:8: mix's share has 30 fraction"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "own.py").write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        load_cells(tmp_path / "own.py")


def test_c_is_one_format():
    assert str(C) == "15 - e_c fraction bits"
