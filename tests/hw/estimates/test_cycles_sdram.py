# SPDX-License-Identifier: Apache-2.0
"""Cycles with weights in an SDRAM: the model against the core in Verilator."""

import pytest

from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.testing.core_in_verilator import measure_core

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("cell", "weight_bits", "options"),
    [
        ("gru", 8, {}),
        ("lstm", 4, {"word_bits": 16}),
        ("gru", 2, {"word_bits": 128}),
        ("gru", 8, {"near_bytes": 20_000}),
        ("lstm", 4, {"near_bytes": 9_000}),
        ("gru", 2, {"word_bits": 128, "near_bytes": 5_000}),
    ],
)
def test_within_two_percent(cell, weight_bits, options, tmp_path):
    for threshold in (0, 6):
        network = make_network(
            [(cell, 64)] * 2, 20, seed=1, weight_bits=weight_bits, threshold=threshold
        )
        config = derive_config(network, weight_memory="sdram_16mx16", **options)
        frames = make_frames(20, 6, seed=0, smooth=0.98)
        found = measure_core(network, [frames], config, tmp_path)
        estimate = estimate_cycles(network, config, [r.events for r in found.results])
        cycles = found.ends[-1] - found.start
        assert estimate.beats == found.beats
        assert abs(estimate.ends[-1] / cycles - 1) < 0.02
