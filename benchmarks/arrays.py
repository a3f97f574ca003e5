# SPDX-License-Identifier: Apache-2.0
"""What the MAC array alone costs, for sets of weight widths, on three families.

Yosys counts for all of them, nextpnr gives the ECP5's clock. "LUTs alone" is the array without any
multiplier block: only so can arrays be compared whose multipliers are of different widths.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from figures import Figure

from deltaloom.boards.ecp5.place_and_route import place_and_route
from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.boards.tools.process import fresh_folder, run_tool
from deltaloom.boards.tools.toolchain import require
from deltaloom.hw.datapath.lanes.array import MacArray

COMMAND = "make bench-fpga ARGS=arrays"
WORD_BITS = 64
ACTIVATION_BITS = 8
COLUMNS = 1024
"""Events that a sum may be of."""

SETS = ((2,), (4,), (8,), (16,), (2, 8), (4, 8), (2, 4, 8))
MOST = 1.3
"""What an array for {2, 4, 8} may cost, in arrays for {8}."""

LUTS = {
    "ice40": {"SB_LUT4": 1},
    "gowin": {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1},
}
MULTIPLIERS = {
    "ice40": {"SB_MAC16": 1},
    "gowin": {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4, "MULTALU18X18": 1},
}
"""In 18x18 multipliers."""


def array(widths: tuple[int, ...]) -> MacArray:
    """The array of a 64-bit accelerator with 8-bit activations; sums never overflow."""
    lanes = WORD_BITS // widths[0]
    grows = (COLUMNS - 1).bit_length() + ACTIVATION_BITS + 1
    return MacArray(
        lanes=lanes,
        weight_bits=widths,
        delta_bits=ACTIVATION_BITS + 1,
        drain_rows=WORD_BITS // widths[-1],
        lane_bits=widths[0] + grows,
        sum_bits=widths[-1] + grows,
    )


def figures(work: Path, *, clock: bool = True) -> Iterator[Figure]:
    """LUTs, flip-flops and multipliers of every set, and the ECP5's clock."""
    luts = {}
    for widths in SETS:
        name = f"array, {WORD_BITS}-bit words, weights of {', '.join(map(str, widths))} bits"
        top = array(widths)
        ports = [top.valid, Value.cast(top.weights), Value.cast(top.tag)]
        ports += [top.o.valid, Value.cast(top.o.payload)]
        text = rtlil.convert(top, name="top", ports=ports, emit_src=False)
        netlist = synthesize(text, top="top", workdir=work / "arrays")
        alone = synthesize(text, top="top", workdir=work / "arrays", options=("-nodsp",))
        luts[widths] = alone.luts
        counts = {"LUT4s": netlist.luts, "flip-flops": netlist.ffs, "multipliers": netlist.dsps}
        counts["LUTs alone"] = alone.luts
        for what, count in counts.items():
            yield Figure(name=f"{name}, ECP5: {what}", value=count, unit="", command=COMMAND)
        if clock:
            layout = place_and_route(
                netlist,
                device="25k",
                package="CABGA381",
                speed=6,
                freq_mhz=150,
                workdir=work / "arrays",
            )
            fmax = round(max(layout.timing.fmax_mhz.values()), 1)
            yield Figure(name=f"{name}, ECP5: clock", value=fmax, unit="MHz", command=COMMAND)
        for family in LUTS:
            for what, amount in _yosys(text, family, work / "arrays").items():
                yield Figure(
                    name=f"{name}, {family}: {what}", value=amount, unit="", command=COMMAND
                )
    yield Figure(
        name="array for {2, 4, 8} over array for {8}, ECP5: LUTs alone",
        value=round(luts[2, 4, 8] / luts[(8,)], 3),
        unit="x",
        target=MOST,
        at_most=True,
        command=COMMAND,
    )


def _yosys(text: str, family: str, work: Path) -> dict[str, float]:
    """LUTs (carries included), flip-flops and multipliers of another family, by Yosys alone."""
    tool = require("pyosys")
    dsp = "-dsp" if family == "ice40" else ""
    with fresh_folder(work / f"yosys-{family}") as folder:
        (folder / "design.il").write_text(text)
        synth = f"synth_{family} -top top {dsp}"
        # plain abc: abc9 stops at an assertion on some of these (yosys 0.70)
        script = [
            "read_rtlil design.il",
            f"{synth} -run begin:map_luts",
            "abc -lut 4",
            "clean",
            *(["ice40_wrapcarry -unwrap", "clean"] if family == "ice40" else []),
            f"{synth} -run map_cells:",
            "write_json netlist.json",
            "",
        ]
        (folder / "run.ys").write_text("\n".join(script))
        log = folder / "yosys.log"
        code = run_tool(
            [*tool.command, "run.ys"],
            log=log,
            environment=tool.environment,
            on_line=lambda line: None,
            cwd=folder,
        )
        if code:
            raise SystemExit(f"yosys failed for {family}: {log.read_text()[-500:]}")
        cells = json.loads((folder / "netlist.json").read_text())["modules"]["top"]["cells"]
    counts = Counter(cell["type"] for cell in cells.values())
    flip_flops = sum(n for kind, n in counts.items() if kind.startswith(("SB_DFF", "DFF")))

    def total(weights: dict[str, float]) -> float:
        return sum(counts[kind] * weight for kind, weight in weights.items())

    return {
        "LUT4s": total(LUTS[family]),
        "flip-flops": flip_flops,
        "multipliers": total(MULTIPLIERS[family]),
    }
