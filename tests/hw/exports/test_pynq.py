# SPDX-License-Identifier: Apache-2.0
"""The wrapper for an AXI DMA and the PYNQ driver, in simulation: packets of a frame and of many."""

from pathlib import Path

import pytest

from deltaloom.golden.models.synthetic import Shape, make_frames, make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testbench import bench_files

SCRIPT = Path(__file__).with_name("dma_bench.py")
BOTH = [Shape(kind="lstm", units=3, both=True), ("linear", 2)]
OTHERS = {
    "image loaded": ([("gru", 5), ("linear", 2)], {}, False),
    "several elements a beat": (
        [("lstm", 6), ("linear", 3)],
        {"input_elements": 2, "cell_units": 2, "output_elements": 2},
        True,
    ),
    "backward layers": (BOTH, {"frames": 4}, True),
}


def test_packets(design, tool):
    assert "1 ran, 0 failed" in tool(["python", SCRIPT, "4,3", "0"], design, "iverilog")


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_other_designs(case, tool, tmp_path):
    layers, options, baked = OTHERS[case]
    network = make_network(layers, 3)
    config = derive_config(network, word_bits=32, **options)
    more = bench_files(network, config, [make_frames(3, 4), make_frames(3, 3, seed=1)], "asr")
    folder = generate(
        network,
        tmp_path / "rtl",
        config=config,
        name="asr",
        baked=baked,
        more=more,
        integration=True,
    ).verilog.parent
    words = ["python", SCRIPT, "4,3", f"{int(not baked)}"]
    assert "1 ran, 0 failed" in tool(words, folder, "iverilog")
