# SPDX-License-Identifier: Apache-2.0
"""The model of yosys's choice between LUTs and block RAMs, against yosys, over a grid of shapes."""

import json
import subprocess
from collections import Counter
from itertools import product

import pytest

from deltaloom.boards.tools.toolchain import require
from deltaloom.hw.estimates.ecp5 import map_memory, memory, plain_memory

pytest.importorskip("pyosys")

MODULE = """
module {name} (input clk, we, input [31:0] wa, {addresses}, input [{top}:0] d, {words});
  (* no_rw_check {style} *) reg [{top}:0] mem [0:{last}];
  always @(posedge clk) if (we) mem[wa] <= d;
  {reads}
endmodule
"""
READ = "reg [{top}:0] r{n}; always @(posedge clk) r{n} <= mem[ra{n}]; assign q{n} = r{n};"
READ_AT_ONCE = "assign q{n} = mem[ra{n}];"


def verilog(depth, width, *, reads=1, force=False, asynchronous=False):
    """A memory with one write port; its name says its depth and width."""
    ports = range(reads)
    read = READ_AT_ONCE if asynchronous else READ
    return MODULE.format(
        name=f"m_{depth}_{width}",
        addresses=", ".join(f"input [31:0] ra{n}" for n in ports),
        words=", ".join(f"output [{width - 1}:0] q{n}" for n in ports),
        reads="\n  ".join(read.format(n=n, top=width - 1) for n in ports),
        style=', ram_style = "block"' if force else "",
        top=width - 1,
        last=depth - 1,
    )


def yosys(shapes, folder, **options):
    """Cells of each memory by its shape, of one run over all."""
    text = "".join(verilog(*shape, **options) for shape in shapes)
    (folder / "memories.v").write_text(text)
    steps = (
        "read_verilog memories.v",
        "synth_ecp5 -noflatten -run coarse:map_gates",
        "write_json memories.json",
    )
    (folder / "memories.ys").write_text("\n".join(steps))
    command = [*require("pyosys").command, "memories.ys"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    found = {}
    for name, module in json.loads((folder / "memories.json").read_text())["modules"].items():
        if name.startswith("m_"):
            counts = Counter(cell["type"] for cell in module["cells"].values())
            depth, width = map(int, name.split("_")[1:])
            blocks = counts["DP16KD"] + counts["PDPW16KD"]
            found[depth, width] = (blocks, counts["TRELLIS_DPR16X4"])
    return found


def model(shape, *, reads=1, **options):
    mapped = map_memory(*shape, reads=reads, **options)
    cells = reads * mapped.cells
    return (0, cells) if mapped.in_luts else (cells, 0)


# On both sides of where LUTs cost as much as a block RAM, of each shape of a block, and of a byte.
SMALL = [(16, 16), (32, 64), (33, 64), (64, 16), (64, 32), (80, 21), (100, 16), (128, 8), (128, 9)]
SMALL += [(200, 8), (208, 8), (256, 4), (320, 4), (321, 4), (512, 1), (513, 1), (513, 2), (1024, 1)]
LARGE = [(512, 36), (512, 37), (513, 36), (700, 40), (1024, 18), (1024, 19), (1025, 18), (1024, 64)]
LARGE += [(2048, 9), (2048, 10), (2049, 9), (3000, 64), (4096, 4), (4097, 4), (5000, 20)]
LARGE += [(5000, 128), (8192, 2), (8193, 2), (14337, 72), (16384, 1), (16385, 1), (300, 256)]
FEWEST = 32  # of fewer bits, yosys may make flip-flops
KINDS = {
    "small": (SMALL, {}),
    "large": (LARGE, {}),
    "forced": (SMALL, {"force": True}),
    "asynchronous": (SMALL, {"asynchronous": True}),
    "two reads": (SMALL + LARGE[:8], {"reads": 2}),
}
DEPTHS = (16, 17, 31, 33, 64, 65, 96, 100, 127, 128, 129, 160, 200, 208, 256, 257, 320, 400, 511)
DEEP = (512, 513, 700, 1024, 1025, 2048, 2049, 3000, 4096, 4097, 5000, 8192, 8193, 14337, 21504)
WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 16, 17, 18, 19, 21, 24, 27, 32, 35, 36, 37, 40, 64, 72)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_at_the_boundaries(kind, tmp_path):
    shapes, options = KINDS[kind]
    found = yosys(shapes, tmp_path, **options)
    assert found == {shape: model(shape, **options) for shape in shapes}


@pytest.mark.slow
@pytest.mark.parametrize("reads", [1, 2])
@pytest.mark.parametrize("depths", [DEPTHS, DEEP])
def test_a_grid_of_shapes(depths, reads, tmp_path):
    shapes = [(depth, width) for depth, width in product(depths, WIDTHS) if depth * width >= FEWEST]
    found = yosys(shapes, tmp_path, reads=reads)
    assert found == {shape: model(shape, reads=reads) for shape in shapes}


def test_a_deep_memory_lies_in_slices():
    assert memory(4096, 21).block_rams == 5 * plain_memory(4096, 4).block_rams + 1 == 6
    assert memory(2048, 21) == plain_memory(2048, 21)
    assert memory(4096, 4) == plain_memory(4096, 4)
