# SPDX-License-Identifier: Apache-2.0
"""The published closed forms give the published figures; a user's own function is called."""

import math
from types import SimpleNamespace

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.search.catalogue import SILICON, find_cost
from deltaloom.search.costs import COSTS, Bitfusion, SiLago, paper_speedup, true_speedup
from deltaloom.search.goals import Goals
from deltaloom.search.options import Options
from deltaloom.search.silicon import overuse
from deltaloom.search.work import published_work

# The MOHAQ paper's SRU: first input, three layers' weights, three projections, output.
SRU = [75_900, *[844_800] * 3, *[281_600] * 3, 2_094_400]
OPERATIONS = 5_637_500
VECTORS = 8800
MB = 8 << 20


def sru(*bits):
    """The paper's SRU with the same (weight, activation) bits everywhere, or one for each."""
    pairs = [bits] * len(SRU) if isinstance(bits[0], int) else list(bits)
    return published_work(SRU, pairs, OPERATIONS - sum(SRU), VECTORS)


def test_the_sru_has_the_papers_operations():
    work = sru(16, 16)
    assert (work.macs, work.operations) == (5_549_500, OPERATIONS)


@pytest.mark.parametrize(
    ("bits", "speedup", "energy", "megabytes"),
    [(16, 0.984, 16.36, 10.60), (8, 1.969, 6.57, 5.31), (4, 3.938, 2.638, 2.66)],
)
def test_silago(bits, speedup, energy, megabytes):
    work = sru(bits, bits)
    assert paper_speedup(SiLago.factor)(work) == pytest.approx(speedup, abs=5e-4)
    assert SiLago.energy(work) == pytest.approx(energy, abs=6e-3)
    assert work.size_bits / MB == pytest.approx(megabytes, abs=6e-3)


def test_silago_runs_at_the_wider_width():
    assert [SiLago.mode(*bits) for bits in ((2, 2), (2, 8), (4, 3), (9, 4))] == [4, 8, 4, 16]


@pytest.mark.parametrize(
    ("bits", "factor", "speedup"),
    [
        ((16, 16), 1, 0.984),
        ((16, 8), 2, 1.969),
        ((16, 4), 4, 3.94),
        ((8, 8), 4, 3.94),
        ((8, 4), 8, 7.875),
        ((16, 2), 8, 7.875),
        ((4, 4), 16, 15.75),
        ((8, 2), 16, 15.75),
        ((2, 4), 32, 31.5),
        ((2, 2), 64, 63.0),
    ],
)
def test_bitfusion(bits, factor, speedup):
    assert Bitfusion.factor(*bits) == Bitfusion.factor(*bits[::-1]) == factor
    assert paper_speedup(Bitfusion.factor)(sru(*bits)) == pytest.approx(speedup, abs=6e-3)


def test_the_true_speedup_is_what_times_add_up_to():
    half = sru(*[(2, 2)] * 7, (16, 16))
    time = sum(SRU[:7]) / 64 + SRU[7] + OPERATIONS - sum(SRU)
    assert true_speedup(Bitfusion.factor)(half) == pytest.approx(OPERATIONS / time)
    # the paper's mean lets the fast layers make good for the slow one
    assert paper_speedup(Bitfusion.factor)(half) > 15 * true_speedup(Bitfusion.factor)(half)
    assert true_speedup(Bitfusion.factor)(sru(16, 16)) == 1.0


def test_work_of_a_network_is_its_own(small):
    top, bottom = small.run(evaluations=2, method="random").solutions
    macs, products = 4 * 18 + 6 * 18 + 6 * 3, 3 * 6
    assert top.values["bitfusion-speedup"] == pytest.approx(macs / (macs + products))
    assert bottom.values["bitfusion-speedup"] == pytest.approx(64 * macs / (macs + products))
    assert top.values["size"] - bottom.values["size"] == pytest.approx(macs * 14 / 8000)


@pytest.mark.parametrize("name", [*COSTS, *SILICON])
def test_every_cost_has_a_title(name):
    assert find_cost(name).title and isinstance(find_cost(name).more, bool)


OWN = """
def weights(found):
    return found.work.macs / 1000 + found.choice.bits["gru.0.x"][0]
weights.title, weights.unit, weights.more = "own", "u", True
def bad(found):
    raise ZeroDivisionError("by zero")
def text(found):
    return "much"
def nan(found):
    return float("nan")
number = 3
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def test_an_own_function(small, own):
    name = f"{own}:weights"
    goals = Goals.of(["error", name])
    assert [one.label for one in goals.objectives] == ["error", "own, u"]
    found = small.run(goals=goals, evaluations=30)
    assert {one.values[name] for one in found.front} == {0.198 + 16}
    assert found.goals.vector(found.front[0].values)[1] == -16.198


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("bad", ":bad: raised ZeroDivisionError: by zero; mend the function"),
        ("text", ":text: returned 'much', it must be a number"),
        ("nan", ":nan: returned nan, it must be a number"),
        ("none", ": has no function 'none'; name one that it has"),
        ("number", ": has no function 'number'; name one that it has"),
    ],
)
def test_an_own_function_that_fails_is_one_line(small, own, function, line):
    with pytest.raises(UserError) as error:
        small.run(goals=Goals.of(["error", f"{own}:{function}"]))
    assert str(error.value) == f"objective {own}{line}"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="no such Python file; name FILE"):
        find_cost(f"{tmp_path}/none.py:f")
    (tmp_path / "broken.py").write_text("def f(:")
    with pytest.raises(UserError, match="cannot be read"):
        find_cost(f"{tmp_path}/broken.py:f")
    with pytest.raises(UserError, match="objective 'speed': not known; there are error, nmse"):
        find_cost("speed")


def test_values_are_finite(small):
    for one in small.run(evaluations=10, method="random").solutions:
        assert all(math.isfinite(value) for value in one.values.values())


@pytest.mark.parametrize("board", ["icebreaker", "icesugar"])
def test_a_board_is_too_small_where_its_spram_is(board):
    """Words of 256 bits are 16 SPRAMs side by side, of 4: more is wanting of nothing else."""
    found = SimpleNamespace(
        network=make_network([("linear", 2)], 4),
        choice=SimpleNamespace(settings={}),
        options=Options(lanes="shift_add", word_bits=256),
    )
    assert overuse(found, board) == 16 / 4 - 1
