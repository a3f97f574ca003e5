# SPDX-License-Identifier: Apache-2.0
"""How much arithmetic an LFE5U-85F takes: operations per LUT, and the largest arrays that place.

Whole accelerators with their buses, speed grade 6, out of context, one seed. An operation is a
multiplication or an addition.
"""

from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from figures import Figure

from deltaloom.boards.ecp5.place_and_route import Layout, place_and_route
from deltaloom.boards.ecp5.synthesis import Netlist, synthesize
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.estimates.cycles import dense_events, estimate_cycles

COMMAND = "make bench-fpga ARGS=largest"
DENSITY = 1.9
"""MOp/s per LUT that a whole core should reach."""

STEPS = 20

CASES = (
    ("multiplier", 8, 1024, 256),
    ("shift_add", 8, 1024, 256),
    ("multiplier", 4, 1024, 256),
    ("shift_add", 8, 2048, 256),
    ("shift_add", 4, 2048, 256),
    ("multiplier", 2, 2048, 512),
    ("shift_add", 2, 2048, 512),
)
"""Lane kind, weight bits, word bits, and the units of the GRU that the design is for."""


def figures(work: Path) -> Iterator[Figure]:
    """Density of 64 lanes, then the largest arrays, those that place sooner first."""
    yield from _density(work)
    for lane_kind, weight_bits, word_bits, units in CASES:
        network = make_network([("gru", units)], 40, seed=1, weight_bits=weight_bits)
        config = derive_config(network, word_bits=word_bits, lane_kind=lane_kind)
        what = f"{config.lanes} {lane_kind} lanes, {weight_bits}-bit weights, 85F"
        netlist, layout = _placed(network, config, work)
        mhz = max(layout.timing.fmax_mhz.values())
        yield Figure(
            name=f"{what}: additions of a product or term a second",
            value=round(config.lanes * mhz / 1000, 2),
            unit="10^9",
            reference=round(mhz, 1),
            reference_is=f"MHz; {netlist.luts} LUTs, {netlist.dsps} multipliers, "
            f"{netlist.brams} block RAMs",
            command=COMMAND,
        )


def _density(work: Path) -> Iterator[Figure]:
    """Dense input, 8 bits, 512-bit words; two rows drain a cycle, as the lists are long."""
    network = make_network([("gru", 128)], 40, seed=1)
    config = derive_config(network, word_bits=512, drain_rows=2)
    netlist, layout = _placed(network, config, work)
    mhz = max(layout.timing.fmax_mhz.values())
    cycles = estimate_cycles(network, config, [dense_events(network, STEPS)])
    used = cycles.beats / cycles.ends[-1]
    yield Figure(
        name="GRU 40 -> 128, 64 lanes, 8 bits, dense: operations per LUT",
        value=round(2 * config.lanes * mhz * used / netlist.luts, 3),
        unit="MOp/s",
        reference=netlist.luts,
        reference_is=f"LUTs, {mhz:.1f} MHz, utilisation {used:.3f}",
        target=DENSITY,
        command=COMMAND,
    )


def _placed(network: Network, config: AcceleratorConfig, work: Path) -> tuple[Netlist, Layout]:
    top = Accelerator(config, compile_network(network, config))
    source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    netlist = synthesize(source, top="deltaloom", workdir=work / "largest")
    layout = place_and_route(
        netlist, device="85k", package="CABGA381", speed=6, freq_mhz=120, workdir=work / "largest"
    )
    return netlist, layout
