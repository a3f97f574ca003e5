# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator with its weights in an SDRAM, beside a chip that checks its times."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw import sdram_chips
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testing.accelerator import check_accelerator, load_network

X16, X32 = "sdram_16mx16", "sdram_2mx32"


@pytest.fixture(autouse=True)
def _powered(monkeypatch):
    """Power is on long before a test begins."""
    for name in (X16, X32):
        chip = replace(sdram_chips.CHIPS[name], power_up=3000.0)
        monkeypatch.setitem(sdram_chips.CHIPS, name, chip)


@pytest.mark.parametrize(
    ("chip", "simulator"),
    [
        (X16, "icarus"),
        pytest.param(X32, "icarus", marks=pytest.mark.slow),
        pytest.param(X16, "verilator", marks=pytest.mark.slow),
        pytest.param(X32, "verilator", marks=pytest.mark.slow),
    ],
)
def test_weights_loaded_over_the_bus_and_another_network_after_it(chip, simulator, tmp_path):
    networks = [
        make_network([("gru", 9), ("linear", 3)], 5, seed=seed, threshold=1) for seed in (1, 2)
    ]
    config = derive_config(*networks, weight_memory=chip)
    assert config.word_bits == 2 * config.sdram.dq_bits
    verilog = generate(networks[0], tmp_path / "rtl", config=config).verilog
    for n, network in enumerate(networks):
        frames = [make_frames(5, steps, seed=n + steps) for steps in (4, 2)]
        report = check_accelerator(
            verilog,
            network,
            frames,
            workdir=tmp_path / "sim",
            simulator=simulator,
            **(load_network(network, config) if n else {}),
        )
        assert report.ok
    assert np.all(np.diff(report.frame_ends) > 0)
