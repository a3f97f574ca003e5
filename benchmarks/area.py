# SPDX-License-Identifier: Apache-2.0
"""Area and clock of some configurations on ECP5, speed grade 6, out of context, one seed."""

from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from figures import Figure
from speech import speech_network

from deltaloom.boards.place_and_route import place_and_route
from deltaloom.boards.synthesis import synthesize
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.axi import flat_ports
from deltaloom.hw.compile import compile_network, derive_config

COMMAND = "make bench-fpga"
PEER_MHZ = 59.9
"""EdgeDRNN with 8 PEs, the same tools and speed grade."""


def figures(work: Path) -> Iterator[Figure]:
    """The shipped LSTM's accelerator at some word widths, buses included."""
    network = speech_network("lstm")
    for word_bits in (64, 256):
        config = derive_config(network, word_bits=word_bits)
        top = Accelerator(config, compile_network(network, config))
        source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
        netlist = synthesize(source, top="deltaloom", workdir=work / "area")
        layout = place_and_route(
            netlist, device="85k", package="CABGA381", speed=6, freq_mhz=120, workdir=work / "area"
        )
        what = f"speech lstm W8/A8, {word_bits}-bit words, 85F"
        for name, value in (
            ("LUT4s", netlist.luts),
            ("flip-flops", netlist.ffs),
            ("multipliers", netlist.dsps),
            ("block RAMs", netlist.brams),
        ):
            yield Figure(name=f"{what}: {name}", value=value, unit="", command=COMMAND)
        yield Figure(
            name=f"{what}: clock",
            value=round(max(layout.timing.fmax_mhz.values()), 1),
            unit="MHz",
            reference=PEER_MHZ,
            reference_is="MHz, the best peer",
            command=COMMAND,
        )
