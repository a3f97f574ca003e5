# SPDX-License-Identifier: Apache-2.0
"""The area model (`hw/estimates/area.py`) against yosys on ECP5, and the fit of what it measured.

    make bench-fpga ARGS=area-model
    python benchmarks/area_model.py --fit    # prints MEASURED of hw/estimates/ecp5_measured.py

Every configuration is synthesized as `deltaloom build` does it, out of context and without an
image. Those that are not `fitted` had no part in the constants.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from area import four_layers_of_1024
from figures import REPORT, Figure
from speech import speech_network

from deltaloom.boards.ecp5.synthesis import Netlist, synthesize
from deltaloom.golden.delta import POWER_OF_TWO
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.estimates.area import components, estimate_area

COMMAND = "make bench-fpga ARGS=area-model"
INPUTS = 40
TARGET = 0.15
"""Most that an estimate may be off."""


def stack(*layers: tuple[str, int] | Shape, word_bits: int, **options: Any) -> AcceleratorConfig:
    """What random layers behind 40 inputs get; lane_kind and drain_rows are the hardware's."""
    silicon = {name: options.pop(name) for name in ("lane_kind", "drain_rows") if name in options}
    network = make_network(layers, INPUTS, seed=1, **options)
    return derive_config(network, word_bits=word_bits, **silicon)


def two_of_768(units: int) -> AcceleratorConfig:
    """GRU 40 -> 768 -> 768; its weights are more than any device has, so they are cut."""
    network = make_network([("gru", 768), ("gru", 768)], INPUTS, seed=1)
    config = derive_config(
        network, word_bits=64, cell_units=units, input_elements=units, output_elements=units
    )
    return replace(config, weight_words=2048)


def mixed() -> AcceleratorConfig:
    """GRU 40 -> 128 with weights of 2, 4 or 8 bits."""
    networks = [
        make_network([("gru", 128)], INPUTS, seed=1, weight_bits=bits) for bits in (2, 4, 8)
    ]
    return derive_config(*networks, word_bits=64)


def speech(cell: str, word_bits: int, *, bits: int = 8, **options: Any) -> AcceleratorConfig:
    """The shipped speech network of this cell."""
    network = speech_network(cell, weight_bits=bits, activation_bits=bits)
    return derive_config(network, word_bits=word_bits, **options)


@dataclass(frozen=True, slots=True)
class Case:
    """A configuration; fitted: the model's constants come from it, among others."""

    name: str
    config: Callable[[], AcceleratorConfig]
    fitted: bool = True

    def netlist(self, work: Path) -> Netlist:
        """Its netlist by yosys."""
        top = Accelerator(self.config())
        source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
        return synthesize(source, top="deltaloom", workdir=work / "area-model")


BOTH = Shape(kind="lstm", units=64, both=True)
STARTED = Shape(kind="gru", units=64, initial=True)
LARGE = Shape(kind="lstm", units=48, both=True, initial=True)

CASES = (
    Case("gru 4 x 1,024, 64 bits", partial(four_layers_of_1024, "gru")),
    Case("lstm 4 x 1,024, 64 bits", partial(four_layers_of_1024, "lstm"), False),
    Case("speech lstm, 64 bits", partial(speech, "lstm", 64)),
    Case("speech lstm, 256 bits", partial(speech, "lstm", 256), False),
    Case("speech gru, 256 bits", partial(speech, "gru", 256)),
    Case("speech ligru, 256 bits", partial(speech, "ligru", 256)),
    Case("speech sru, 256 bits", partial(speech, "sru", 256)),
    Case("speech gru W4/A4, 256 bits", partial(speech, "gru", 256, bits=4), False),
    Case("speech lstm, shift_add, 256 bits", partial(speech, "lstm", 256, lane_kind="shift_add")),
    Case("gru 128, 64 bits", partial(stack, ("gru", 128), word_bits=64)),
    Case("gru 2 x 256, 512 bits", partial(stack, ("gru", 256), ("gru", 256), word_bits=512), False),
    Case("gru 2 x 768, 1 unit, 64 bits", partial(two_of_768, 1), False),
    Case("gru 2 x 768, 2 units, 64 bits", partial(two_of_768, 2)),
    Case("gru 2 x 768, 4 units, 64 bits", partial(two_of_768, 4)),
    Case("gru 128 W{2, 4, 8}, 64 bits", mixed),
    Case("lstm 128 W2, 64 bits", partial(stack, ("lstm", 128), word_bits=64, weight_bits=2)),
    Case(
        "gru 128 W4, shift_add, 64 bits",
        partial(stack, ("gru", 128), word_bits=64, weight_bits=4, lane_kind="shift_add"),
        False,
    ),
    Case(
        "gru 64 W16/A16, 128 bits",
        partial(stack, ("gru", 64), word_bits=128, weight_bits=16, activation_bits=16),
        False,
    ),
    Case(
        "gru 128, drain 4, 128 bits",
        partial(stack, ("gru", 128), word_bits=128, drain_rows=4),
        False,
    ),
    Case(
        "lstm 128, powers of two, 128 bits",
        partial(stack, ("lstm", 128), word_bits=128, delta_mode=POWER_OF_TWO),
    ),
    Case("lstm 2 x 64 both ways, 128 bits", partial(stack, BOTH, ("linear", 10), word_bits=128)),
    Case("gru 64, initial states, 64 bits", partial(stack, STARTED, word_bits=64)),
    Case(
        "lstm 2 x 48 both ways, initial states, gru 32, 256 bits",
        partial(stack, LARGE, ("gru", 32), word_bits=256),
        False,
    ),
    *(
        Case(f"{cell} 64, 64 bits", partial(stack, (cell, 64), word_bits=64))
        for cell in ("lstm_cifg", "lstm_peephole", "gru_before", "sru0")
    ),
)


def figures(work: Path) -> Iterator[Figure]:
    """How far each estimate is off, for each configuration."""
    for case in CASES:
        netlist, estimate = case.netlist(work), estimate_area(case.config())
        for what, estimated, measured in (
            ("LUT4s", estimate.luts, netlist.luts),
            ("flip-flops", estimate.flip_flops, netlist.ffs),
            ("multipliers", estimate.multipliers, netlist.dsps),
            ("block RAMs", estimate.block_rams, netlist.brams),
        ):
            off = abs(estimated - measured) / measured if measured else float(estimated > 0)
            yield Figure(
                name=f"area model, {case.name}{'' if case.fitted else ' (not fitted)'}: {what} off",
                value=round(off, 4),
                unit="",
                reference=measured,
                reference_is=f"by yosys, {estimated:,} estimated",
                target=TARGET,
                at_most=True,
                command=COMMAND,
            )


PREFIXES = (
    (r"sequence\.", "sequence buffer"),
    (r"core\.sequencer\.", "sequencer"),
    (r"core\.(?:input|state)\d+_encoder\.", "encoders"),
    (r"core\.(?:input|state)\d+_lists\.", "lists"),
    (r"core\.fetch\.", "fetch"),
    (r"core\.(?:array|store)\.", "array"),
    (r"core\.accumulate\.", "accumulate"),
    (r"core\.cells\.lane_\d+\.sru\w?\.", "cell sru"),
    (r"core\.cells\.lane_\d+\.(lstm\w*|gru\w*|ligru|linear)\.", "cell "),
    (r"core\.cells\.", "cell unit"),
    (r"core\.", "streams"),
    (r"", "interface"),
)
"""How a component's cells are called in the netlist, the first that fits."""

LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}


def measured_parts(netlist: Netlist) -> Mapping[str, Counter[str]]:
    """LUT4s ("luts") and flip-flops ("flip_flops") of each component, by the names of the cells."""
    cells = json.loads(netlist.path.read_text("utf-8"))["modules"][netlist.top]["cells"]
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, cell in cells.items():
        found = next((m, part) for prefix, part in PREFIXES if (m := re.match(prefix, name)))
        part = found[1] + (found[0][1] if found[1].endswith(" ") else "")
        parts[part]["luts"] += LUTS.get(cell["type"], 0)
        parts[part]["flip_flops"] += cell["type"] == "TRELLIS_FF"
    return parts


def fit(work: Path) -> dict[str, tuple[float, float]]:
    """(LUT4s, flip-flops) of all that the model has measured: least squares, part by part.

    What a component has beyond what is counted of it is a sum of its measured amounts.
    """
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    for case in CASES:
        if case.fitted:
            found = measured_parts(case.netlist(work))
            for name, part in components(case.config()).items():
                rows[name].append((part, found[name]))
    constants: dict[str, tuple[float, float]] = {}
    for part_rows in rows.values():
        names = list(dict.fromkeys(name for part, _ in part_rows for name in part.measured))
        amounts = np.array(
            [[part.measured.get(name, 0) for name in names] for part, _ in part_rows], float
        )
        solved = []
        for what, other in (("luts", " flip-flops"), ("flip_flops", " LUTs")):
            own = np.array([not name.endswith(other) for name in names])
            more = [found[what] - getattr(part.counted, what) for part, found in part_rows]
            solved.append(np.linalg.lstsq(amounts * own, np.array(more, float))[0] * own)
        constants |= {n: (float(a), float(b)) for n, a, b in zip(names, *solved, strict=True)}
    return constants


def main() -> None:
    """Print the fitted constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", required=True, help="print the constants")
    parser.parse_args()
    for name, (luts, flip_flops) in fit(REPORT.parent / "work").items():
        print(f'    "{name}": ({round(luts, 1) + 0:.1f}, {round(flip_flops, 1) + 0:.1f}),')


if __name__ == "__main__":
    main()
