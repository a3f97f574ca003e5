# SPDX-License-Identifier: Apache-2.0
"""The generated Verilog of every kind of lane, with images of every delta mode, against golden."""

import pytest

from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testing.accelerator import check_accelerator, load_network

SIMULATORS = ["verilator", pytest.param("icarus", marks=pytest.mark.slow)]  # the slower one
SHAPE = [("lstm", 37), ("gru_before", 12), ("sru4", 9), ("linear", 5)]
NETWORKS = [
    make_network(SHAPE, 11, weight_bits=w, activation_bits=a, threshold=4, delta_mode=mode)
    for w, a, mode in (
        (2, 8, "exact"),
        (4, 8, "power_of_two"),
        (8, 8, "exact"),
        (8, 4, "power_of_two"),
    )
]


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", ["multiplier", "shift_add"])
def test_widths_and_modes_loaded_one_by_one(kind, simulator, tmp_path):
    """The same silicon for weights of 2, 4 and 8 bits, codes of 4 and 8, and both delta modes."""
    config = derive_config(*NETWORKS, word_bits=64, lane_kind=kind)
    verilog = generate(NETWORKS[0], tmp_path / "rtl", config=config, baked=False).verilog
    for seed, network in enumerate(NETWORKS):
        frames = [make_frames(11, n, seed=seed + n, smooth=0.6) for n in (4, 2)]
        options = {"workdir": tmp_path, "simulator": simulator, "seed": seed}
        check_accelerator(verilog, network, frames, **options, **load_network(network, config))


@pytest.mark.parametrize("mode", ["exact", "power_of_two"])
def test_cycles_of_terms(mode, tmp_path):
    """The ideal counts terms where the lanes do."""
    network = make_network(SHAPE, 11, delta_mode=mode, threshold=4)
    config = derive_config(network, word_bits=64, lane_kind="shift_add")
    verilog = generate(network, tmp_path / "rtl", config=config).verilog
    frames = [make_frames(11, 6, smooth=0.6)]
    options = {"workdir": tmp_path, "simulator": "icarus", "idle": 0, "backpressure": 0}
    report = check_accelerator(verilog, network, frames, **options)
    assert 0 < report.ideal_cycles <= report.counters["BUSY"] < report.counters["CYCLES"]
    multiplied = derive_config(network, word_bits=64)
    verilog = generate(network, tmp_path / "multiplied", config=multiplied).verilog
    other = check_accelerator(verilog, network, frames, **options)
    if mode == "exact":
        assert other.ideal_cycles < report.ideal_cycles
    else:
        assert other.ideal_cycles == report.ideal_cycles
