# SPDX-License-Identifier: Apache-2.0
"""What exactness costs: the speech LSTM in our own arithmetic and in that of LiteRT, on ECP5."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from area import clock_mhz
from figures import Figure
from speech import DATA, speech_network

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.golden.data import Dataset
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.integer_lstm.float_layers import FloatAny
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, from_model
from deltaloom.golden.integer_lstm.layers import IntegerLstm
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm, make_lstm_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.networks import AnyNetwork
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.statistics.norm import NormUnit
from deltaloom.hw.datapath.units.lane import cell_cycles
from deltaloom.hw.estimates.cycles import dense_events, estimate_plan

COMMAND = "make bench-fpga ARGS=integer-lstm-area"
NORM_COMMAND = "make bench-fpga ARGS=integer-lstm-norm"
WORD_BITS = 64
NORM_LANES = (1, 2, 4)
STEPS = 4
"""Until one takes as long as the next."""


def figures(work: Path) -> Iterator[Figure]:
    """Without place and route; the suite `area` has the same network in our own arithmetic."""
    fixed, integer = speech_network("lstm"), integer_speech()
    yield from _cycles("fixed", fixed, derive_config(fixed, word_bits=WORD_BITS))
    yield from _measure("integer-lstm", integer, 8, work)
    yield from _measure("integer-lstm, 2 rows a cycle", integer, 2, work)


def norm_figures(work: Path) -> Iterator[Figure]:
    """Layer normalisation in layers of the same sizes: by itself, and in a whole accelerator."""
    networks = {variant: integer_random(variant) for variant in ("norm", "norm peephole")}
    for figure in _norm_figures(networks, work):
        yield replace(figure, command=NORM_COMMAND)


def _norm_figures(networks: Mapping[str, IntegerNetwork], work: Path) -> Iterator[Figure]:
    plain = networks["norm"]
    for lanes in NORM_LANES:
        values = f", {lanes} values a cycle" if lanes > 1 else ""
        config = derive_config(plain, word_bits=WORD_BITS, norm_lanes=lanes)
        yield from _stage(f"norm{values}", config, work)
        if lanes > 1:
            yield from _cycles(f"integer-lstm, norm{values}", plain, config)
    config = derive_config(networks["norm peephole"], word_bits=WORD_BITS)
    yield from _stage("norm peephole", config, work)
    for variant, network in networks.items():
        yield from _measure(f"integer-lstm, {variant}", network, 8, work, clock=variant == "norm")


def _stage(what: str, config: AcceleratorConfig, work: Path) -> Iterator[Figure]:
    stage = NormUnit(config)
    ports = [Value.cast(port) for _, _, port in stage.signature.flatten(stage)]
    source = rtlil.convert(stage, name="deltaloom", ports=ports, emit_src=False)
    yield from _synthesized(f"integer-lstm, the stage of {what}", source, work, clock=True)


def integer_speech() -> IntegerNetwork:
    """The shipped LSTM by the recipe."""
    model = from_model(import_checkpoint(DATA / "lstm.safetensors"))
    return quantize(model, Dataset.load(DATA / "calibration.npz"))


def integer_random(parts: str) -> IntegerNetwork:
    """Layers of the same sizes with such parts, and random weights."""
    sizes = integer_speech().layers
    layers: list[FloatAny] = [
        make_lstm(lstm.name, parts.split(), lstm.inputs, lstm.cells, lstm.outputs, seed=n)
        for n, lstm in enumerate(sizes)
        if isinstance(lstm, IntegerLstm)
    ]
    width, classes = sizes[-1].inputs, sizes[-1].outputs
    linear = make_lstm_network("plain", (1, width), classes=classes).layers[-1]
    model = FloatNetwork(layers=(*layers, linear))
    return quantize(model, Dataset(tuple(make_frames(model.inputs, [50] * 4))))


def step_cycles(network: AnyNetwork, config: AcceleratorConfig, *, share: int) -> int:
    """Cycles of a step in which 1 of `share` elements changes."""
    plan = Plan.of(network, config)
    events = {name: n // share for name, n in dense_events(plan.network, STEPS).items()}
    ends = estimate_plan(plan, [events]).ends
    return ends[-1] - ends[-2]


def _measure(
    what: str, network: AnyNetwork, rows: int, work: Path, *, clock: bool = False
) -> Iterator[Figure]:
    config = derive_config(network, word_bits=WORD_BITS, drain_rows=rows)
    top = Accelerator(config, compile_network(network, config))
    source = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    yield from _synthesized(what, source, work, clock=clock)
    yield from _cycles(what, network, config)


def _synthesized(what: str, source: str, work: Path, *, clock: bool = False) -> Iterator[Figure]:
    netlist = synthesize(source, top="deltaloom", workdir=work / "area")
    for name, value in (
        ("LUT4s", netlist.luts),
        ("flip-flops", netlist.ffs),
        ("multipliers", netlist.dsps),
        ("block RAMs", netlist.brams),
    ):
        yield _figure(f"{what}: {name}", value)
    if clock:
        mhz = round(clock_mhz(netlist, 1, work), 1)
        yield replace(_figure(f"{what}: clock, 85F, seed 1", mhz), unit="MHz")


def _cycles(what: str, network: AnyNetwork, config: AcceleratorConfig) -> Iterator[Figure]:
    for share, name in ((1, "a dense step"), (10, "a step with a tenth of the events")):
        cycles = step_cycles(network, config, share=share)
        yield _figure(f"{what}: cycles of {name}", cycles)
    yield _figure(f"{what}: cycles through the cell", cell_cycles(config.cells))


def _figure(what: str, value: float) -> Figure:
    name = f"speech lstm, {WORD_BITS}-bit words, arithmetic {what}"
    return Figure(name=name, value=value, unit="", command=COMMAND)
