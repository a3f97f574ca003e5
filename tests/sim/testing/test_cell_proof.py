# SPDX-License-Identifier: Apache-2.0
"""Every range that the shipped cells' hardware relies on is proved; false claims are found."""

from dataclasses import replace

import pytest

pytest.importorskip("z3")

from deltaloom.golden.cells import CELLS, describe
from deltaloom.golden.cells.graph import walk
from deltaloom.golden.cells.lstm_norm import lstm_norm
from deltaloom.golden.cells.values import C, mix, rshr, sat16, sigmoid, tanh
from deltaloom.sim.testing.cell_proof import means_of, prove, refute

LEFT_OUT = {
    "lstm": 1, "lstm_cifg": 1, "lstm_peephole": 1, "lstm_hard": 1, "lstm_clip": 1,
    "gru": 1, "gru_before": 1, "gru_hard": 1, "ligru": 1, "ligru_tanh": 1,
    "sru": 2, "sru4": 2, "sru0": 2, "min_gru": 1, "min_lstm": 2, "qrnn": 2,
    **{kind: 1 for kind, cell in CELLS.items() if cell.takes_means and cell.recurrent},
}  # fmt: skip
"""Saturations that a kind has no hardware for; the others' kinds have all theirs."""


@pytest.mark.parametrize("kind", CELLS)
def test_every_claim_on_a_shipped_cell_is_proved(kind):
    found = prove(CELLS[kind])
    assert found.saturations == LEFT_OUT.get(kind, 0)
    operations = {id(node): node for s in CELLS[kind].stages for node in walk(s.outputs.values())}
    assert found.ranges + found.tables == sum(
        node.op not in ("input", "const") for node in operations.values()
    )


def test_means_and_roots_are_proved_and_false_claims_on_them_found():
    found = prove(lstm_norm)
    assert found.saturations == 1  # of h
    (stage,) = lstm_norm.stages
    nodes = [*walk(stage.outputs.values())]
    for op in ("log4", "normal", "scale"):
        node = next(node for node in nodes if node.op == op)
        assert refute(replace(node, high=node.high // 2)) is not None, op
    (mean,) = [node for node in nodes if node.attr == "mean_0"]
    assert refute(replace(mean, low=mean.low + 5), means_of(stage)) == {"value": -32769}
    square = stage.outputs["sum_1"]
    assert refute(replace(square, low=1)) is not None


def changed(root, old, **fields):
    """The graph below `root` with other fields in one node."""
    made = {}
    for node in walk([root]):
        args = tuple(made[id(arg)] for arg in node.args)
        made[id(node)] = replace(node, args=args, **(fields if node is old else {}))
    return made[id(root)]


def find(kind, *ops):
    """The node of an output whose op, and whose first argument's and so on, are these."""
    (stage,) = CELLS[kind].stages
    for node in walk(stage.outputs.values()):
        chain = [node]
        while len(chain) < len(ops) and chain[-1].args:
            chain.append(chain[-1].args[0])
        if tuple(each.op for each in chain) == ops:
            return node
    raise AssertionError(ops)


def test_a_saturation_that_is_needed_is_not_left_out():
    total = find("lstm", "add", "rshr", "mul")
    assert total.low < -65500 and total.high > 65500
    found = refute(replace(total, low=-32768, high=32767))
    assert not -32768 <= found["value"] <= 32767


def test_a_mix_whose_share_exceeds_1_is_found():
    (stage,) = CELLS["min_gru"].stages
    total = stage.outputs["c"].args[0]
    (share,) = [node for node in walk([total]) if node.op == "table"]
    assert refute(total) is None
    found = refute(changed(total, share, high=40_000))
    assert not total.low <= found["value"] <= total.high
    assert refute(changed(total, share, low=-1000)) is not None


def test_each_range_of_the_lstm_is_as_narrow_as_can_be():
    (stage,) = CELLS["lstm"].stages
    for node in walk(stage.outputs.values()):
        if node.op not in ("input", "const"):
            assert refute(replace(node, high=node.high - 1)) is not None, node.line
            assert refute(replace(node, low=node.low + 1)) is not None, node.line


def test_a_range_that_one_exponent_alone_breaks_is_found():
    shifted = find("lstm_peephole", "rshr", "mul")
    assert not shifted.shift.constant
    narrow = rshr_range(shifted, 1)
    found = refute(replace(shifted, low=narrow[0], high=narrow[1]))
    assert not narrow[0] <= found["value"] <= narrow[1]


def rshr_range(node, more):
    """Its range, if the least shift were larger."""
    return node.low >> more, node.high >> more


def test_what_the_stage_before_leaves_is_part_of_the_proof():
    first, second = CELLS["gru_before"].stages
    (carried,) = [n for n in walk(second.outputs.values()) if n.op == "input" and n.attr == "c"]
    given = {name: (node.low, node.high) for name, node in first.outputs.items()}
    assert refute(carried, given) is None
    assert refute(replace(carried, low=carried.low + 1), given) == {"value": carried.low}
    assert refute(carried) is not None  # alone it is any word


def test_a_users_cell_with_a_false_claim_is_named_by_its_line():
    @describe(x="z n", c_like_h=True, name="wrong")
    def wrong(z, n, c):
        c = mix(c, sigmoid(z), sat16(rshr(tanh(n), C)))
        return {"c": c, "h": c}

    assert prove(wrong).saturations == 2
    (stage,) = wrong.stages
    total = stage.outputs["c"].args[0]
    object.__setattr__(total, "high", total.high - 1)
    with pytest.raises(AssertionError, match=rf"{__file__}:\d+: add is claimed to be -32768..3276"):
        prove(wrong)
