# SPDX-License-Identifier: Apache-2.0
"""Area and clock of some configurations on ECP5, speed grade 6, out of context."""

from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from figures import Figure
from speech import speech_network

from deltaloom.boards.ecp5.place_and_route import place_and_route
from deltaloom.boards.ecp5.synthesis import Netlist, synthesize
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig

COMMAND = "make bench-fpga"
PEER_MHZ = 59.9
PEER_LUTS = 6739
"""EdgeDRNN with 8 PEs for four layers of 1,024 units, the same tools and speed grade."""

TARGET_MHZ = 100
TARGET_LUTS = 6700
SEEDS = (1, 2, 3)
"""Of placement, for the designs that have a target: their clocks differ by a tenth."""


def four_layers_of_1024(cell: str) -> AcceleratorConfig:
    """Any such network of 8 bits, with 8 MACs a cycle and one cell unit, as the peer is built.

    Its weights are outside; ours get as much memory as is left. No sum of 1,024 products overflows.
    """
    return AcceleratorConfig(
        word_bits=64,
        weight_bits=(8,),
        activation_bits=8,
        drain_rows=8,
        cells=(cell, "linear"),
        encoders=2,
        input_encoders=1,
        lane_bits=26,
        sum_bits=26,
        pre_bits=20,
        shifts=(15, 22),
        quantizer_shifts=(18, 25),
        lists=8,
        layers=4,
        weight_words=2048,
        row_words=4096,
        events=8192,
        input_events=2048,
        references=4096,
        input_references=1024,
        states=4096,
        program=256,
    )


def figures(work: Path) -> Iterator[Figure]:
    """The accelerator for the peer's largest networks, and the shipped LSTM's; buses included."""
    for cell in ("gru", "lstm"):
        top = Accelerator(four_layers_of_1024(cell))
        what = f"{cell} and linear, up to 4 layers of 1,024 units, 64-bit words, 85F"
        yield from _measure(top, what, work, targets=True)
    network = speech_network("lstm")
    for word_bits in (64, 256):
        config = derive_config(network, word_bits=word_bits)
        top = Accelerator(config, compile_network(network, config))
        yield from _measure(top, f"speech lstm W8/A8, {word_bits}-bit words, 85F", work)


def _measure(top: Accelerator, what: str, work: Path, *, targets: bool = False) -> Iterator[Figure]:
    source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    netlist = synthesize(source, top="deltaloom", workdir=work / "area")
    yield Figure(
        name=f"{what}: LUT4s",
        value=netlist.luts,
        unit="",
        reference=PEER_LUTS if targets else None,
        reference_is="the best peer" if targets else "",
        target=TARGET_LUTS if targets else None,
        at_most=True,
        command=COMMAND,
    )
    for name, value in (
        ("flip-flops", netlist.ffs),
        ("multipliers", netlist.dsps),
        ("block RAMs", netlist.brams),
    ):
        yield Figure(name=f"{what}: {name}", value=value, unit="", command=COMMAND)
    clocks = [clock_mhz(netlist, seed, work) for seed in (SEEDS if targets else SEEDS[:1])]
    of_seeds = ", ".join(f"{mhz:.1f}" for mhz in clocks)
    yield Figure(
        name=f"{what}: clock" + (f", the best of {len(clocks)} seeds" if targets else ""),
        value=round(max(clocks), 1),
        unit="MHz",
        reference=PEER_MHZ,
        reference_is=f"MHz, the best peer; ours by seed: {of_seeds}",
        target=TARGET_MHZ if targets else None,
        command=COMMAND,
    )


def clock_mhz(netlist: Netlist, seed: int, work: Path) -> float:
    """On an LFE5U-85F, out of context."""
    layout = place_and_route(
        netlist,
        device="85k",
        package="CABGA381",
        speed=6,
        freq_mhz=120,
        seed=seed,
        workdir=work / "area",
    )
    return max(layout.timing.fmax_mhz.values())
