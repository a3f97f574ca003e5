# SPDX-License-Identifier: Apache-2.0
"""Every cell keeps the array busy: dense input, 256-bit words, by the cycle model.

`make bench ARGS=cells` measures the same in the core in Verilator.
"""

import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles

INPUTS, UNITS, STEPS = 40, 128, 16
CELL_UNITS = {"gru_norm": 2, "layer_norm": 4}
"""Where the turns over the units would take longer than the products."""
SHARE = {"layer_norm": 0.75}
"""A layer that is a norm has one product, which takes less time than the three turns."""


@pytest.mark.parametrize("kind", CELLS)
def test_utilisation(kind):
    # A layer whose cell reads its input has as many inputs as units.
    front = [("linear", UNITS)] if CELLS[kind].reads_input else []
    network = make_network([*front, (kind, UNITS), (kind, UNITS)], INPUTS, seed=1)
    config = derive_config(network, word_bits=256, cell_units=CELL_UNITS.get(kind, 1))
    found = estimate_cycles(network, config, [dense_events(network, STEPS)])
    assert found.beats / found.ends[-1] >= SHARE.get(kind, 0.95)
