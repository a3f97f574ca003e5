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


@pytest.mark.parametrize("kind", CELLS)
def test_utilisation_is_at_least_95_percent(kind):
    # A layer whose cell reads its input has as many inputs as units.
    front = [("linear", UNITS)] if CELLS[kind].reads_input else []
    network = make_network([*front, (kind, UNITS), (kind, UNITS)], INPUTS, seed=1)
    config = derive_config(network, word_bits=256)
    found = estimate_cycles(network, config, [dense_events(network, STEPS)])
    assert found.beats / found.ends[-1] >= 0.95
