# SPDX-License-Identifier: Apache-2.0
"""What layer normalization costs in our own arithmetic, on ECP5: networks with it and without."""

from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from figures import Figure
from integer_lstm_area import WORD_BITS, step_cycles

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.area import estimate_area

COMMAND = "make bench-fpga ARGS=norm-area"
KINDS = ("lstm", "lstm_norm", "lstm_norm_xh", "gru", "gru_norm", "gru_norm_xh")
KINDS += ("ligru", "ligru_norm_h")
INPUTS, UNITS, CLASSES = 40, 128, 39
"""Of the shipped networks."""


def figures(work: Path) -> Iterator[Figure]:
    """Without place and route; cycles by the cycle model, which is exact."""
    for kind in KINDS:
        network = make_network([(kind, UNITS), (kind, UNITS), ("linear", CLASSES)], INPUTS)
        yield from _of(kind, network, work)


def _of(kind: str, network: Network, work: Path) -> Iterator[Figure]:
    config = derive_config(network, word_bits=WORD_BITS)
    top = Accelerator(config, compile_network(network, config))
    source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    found, estimate = (
        synthesize(source, top="deltaloom", workdir=work / "area"),
        estimate_area(config),
    )
    for name, value, estimated in (
        ("LUT4s", found.luts, estimate.luts),
        ("flip-flops", found.ffs, estimate.flip_flops),
        ("multipliers", found.dsps, estimate.multipliers),
        ("block RAMs", found.brams, estimate.block_rams),
    ):
        yield _figure(kind, name, value, reference=estimated, reference_is="by the area model")
    for units in (1, 4):
        config = derive_config(network, word_bits=WORD_BITS, cell_units=units)
        for share, name in ((1, "a dense step"), (10, "a step with a tenth of the events")):
            what = f"cycles of {name}, cell units {units}"
            yield _figure(kind, what, step_cycles(network, config, share=share))


def _figure(kind: str, what: str, value: int, **reference: float | str) -> Figure:
    name = f"{kind} {INPUTS} -> {UNITS} -> {UNITS}, {WORD_BITS}-bit words: {what}"
    return Figure(name=name, value=value, unit="", command=COMMAND, **reference)  # type: ignore[arg-type]
