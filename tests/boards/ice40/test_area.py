# SPDX-License-Identifier: Apache-2.0
"""The rough estimate for iCE40 against what synthesis and packing found."""

from dataclasses import replace

import pytest

from deltaloom.boards.ice40.area import estimate
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config


@pytest.mark.parametrize(
    ("bits", "word_bits", "multipliers"),
    [((8, 8), 8, 8), ((4, 8), 4, 7), ((4, 4), 4, 5), ((4, 8), 16, 10)],
)
def test_multipliers_are_exact(bits, word_bits, multipliers):
    """LiGRUs of 40 inputs and 64 units, one row drained a cycle, as yosys mapped them."""
    weights, codes = bits
    network = make_network([("ligru", 64)], 40, weight_bits=weights, activation_bits=codes)
    config = derive_config(network, word_bits=word_bits, drain_rows=1)
    assert estimate(config).multipliers == multipliers


def test_weights_are_in_spram():
    network = make_network([("ligru", 64)], 40, weight_bits=8)
    config = derive_config(network, word_bits=8)
    assert estimate(config).sprams == 1
    wired = estimate(replace(config, hardwired=True, counted=False))
    assert wired.luts < estimate(config).luts and wired.block_rams < 30
