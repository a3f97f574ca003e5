# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.cells.text import equations

EQUATIONS = {
    "lstm": [
        "c = sigmoid(p_f) * c' + sigmoid(p_i) * tanh(p_g)",
        "h = sigmoid(p_o) * tanh(c)",
    ],
    "lstm_cifg": [
        "t1 = sigmoid(p_f)",
        "c = t1 * c' + (1 - t1) * tanh(p_g)",
        "h = sigmoid(p_o) * tanh(c)",
    ],
    "gru": ["h = mix(tanh(p_nx + sigmoid(p_r) * p_nh), sigmoid(p_z), h')"],
    "gru_before": ["rh = sigmoid(p_r) * h'", "h = mix(tanh(p_n), sigmoid(p_z), h')"],
    "min_gru": ["c = mix(c', sigmoid(p_z), p_n)", "h = c"],
    "linear": ["h = p_y"],
}


@pytest.mark.parametrize("kind", EQUATIONS)
def test_equations(kind):
    assert equations(CELLS[kind]) == EQUATIONS[kind]
