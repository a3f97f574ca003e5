# SPDX-License-Identifier: Apache-2.0
"""What exactness costs: the speech LSTM in our own arithmetic and in that of LiteRT, on ECP5."""

from collections.abc import Iterator
from pathlib import Path

from amaranth.back import rtlil
from figures import Figure
from speech import DATA, speech_network

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.golden.data import Dataset
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.integer_lstm.float_network import from_model
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.networks import AnyNetwork
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.units.lane import cell_cycles
from deltaloom.hw.estimates.cycles import dense_events, estimate_plan

COMMAND = "make bench-fpga ARGS=integer-lstm-area"
WORD_BITS = 64
STEPS = 4
"""Until one takes as long as the next."""


def figures(work: Path) -> Iterator[Figure]:
    """Without place and route; the suite `area` has the same network in our own arithmetic."""
    fixed, integer = speech_network("lstm"), integer_speech()
    yield from _cycles("fixed", fixed, derive_config(fixed, word_bits=WORD_BITS))
    yield from _measure("integer-lstm", integer, 8, work)
    yield from _measure("integer-lstm, 2 rows a cycle", integer, 2, work)


def integer_speech() -> IntegerNetwork:
    """The shipped LSTM by the recipe."""
    model = from_model(import_checkpoint(DATA / "lstm.safetensors"))
    return quantize(model, Dataset.load(DATA / "calibration.npz"))


def dense_cycles(network: AnyNetwork, config: AcceleratorConfig) -> int:
    """Cycles of a step in which every element changes."""
    plan = Plan.of(network, config)
    ends = estimate_plan(plan, [dense_events(plan.network, STEPS)]).ends
    return ends[-1] - ends[-2]


def _measure(what: str, network: AnyNetwork, rows: int, work: Path) -> Iterator[Figure]:
    config = derive_config(network, word_bits=WORD_BITS, drain_rows=rows)
    top = Accelerator(config, compile_network(network, config))
    source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    netlist = synthesize(source, top="deltaloom", workdir=work / "area")
    for name, value in (
        ("LUT4s", netlist.luts),
        ("flip-flops", netlist.ffs),
        ("multipliers", netlist.dsps),
        ("block RAMs", netlist.brams),
    ):
        yield _figure(f"{what}: {name}", value)
    yield from _cycles(what, network, config)


def _cycles(what: str, network: AnyNetwork, config: AcceleratorConfig) -> Iterator[Figure]:
    yield _figure(f"{what}: cycles of a dense step", dense_cycles(network, config))
    yield _figure(f"{what}: cycles through the cell", cell_cycles(config.cells))


def _figure(what: str, value: int) -> Figure:
    name = f"speech lstm, {WORD_BITS}-bit words, arithmetic {what}"
    return Figure(name=name, value=value, unit="", command=COMMAND)
