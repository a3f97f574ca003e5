# SPDX-License-Identifier: Apache-2.0
"""Lanes with and without multipliers, deltas exact and powers of two: what each costs and gives.

`figures` sweeps thresholds over the golden model on the shipped speech test set, and runs some
points in RTL simulation; `area` counts the array's LUTs.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from figures import Figure
from speech import DATA, TUNED, run_design, speech_network

from deltaloom.boards.ecp5.synthesis import Netlist, synthesize
from deltaloom.golden.data import Dataset
from deltaloom.golden.delta import DELTA_MODES
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.evaluation.evaluate import error
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.lanes.array import MacArray
from deltaloom.hw.generate import generate
from deltaloom.hw.words import LANE_KINDS

COMMAND = "make bench ARGS=lanes"
AREA_COMMAND = "make bench-fpga ARGS=lane-area"
WORD_BITS = 256
THRESHOLDS = (0, 1, 2, 4, 6, 8, 12, 16)
KINDS = LANE_KINDS
LUTS_85F = 83_640
DSPS_85F = 156
BLOCK_RAM_BITS_85F = 208 * 36
"""Bits that all block RAMs of an 85F can deliver in one cycle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A network at one threshold, over the test set; events, terms and cycles per step.

    cycles: ideal, of multiplier lanes; term_cycles: of shift_add lanes.
    """

    cell: str
    mode: str
    threshold: int
    error: float
    events: float
    terms: float
    cycles: float
    term_cycles: float


def sweep(cell: str, dataset: Dataset) -> Iterator[Point]:
    """Every delta mode and threshold, on one network."""
    network = speech_network(cell)
    frames = [quantize_frames(network, each) for each in dataset.features]
    words = {name: -(-p.rows * p.weight_bits // WORD_BITS) for name, p in network.paths()}
    for mode in DELTA_MODES:
        for threshold in THRESHOLDS:
            trial = uniform_thresholds(replace(network, delta_mode=mode), threshold)
            results = run(trial, frames, terms=True)
            events = {n: sum(int(r.events[n].sum()) for r in results) for n in words}
            terms = {n: sum(int(r.terms[n].sum()) for r in results) for n in words}
            steps = sum(map(len, frames))
            yield Point(
                cell=cell,
                mode=mode,
                threshold=threshold,
                error=error(dataset, [real_outputs(trial, r.outputs) for r in results]),
                events=sum(events.values()) / steps,
                terms=sum(terms.values()) / steps,
                cycles=sum(events[n] * words[n] for n in words) / steps,
                term_cycles=sum(terms[n] * words[n] for n in words) / steps,
            )


def figures(work: Path) -> Iterator[Figure]:
    """The sweep of all shipped networks, kept in `lanes.json`; some points in RTL simulation."""
    dataset = Dataset.load(DATA / "test.npz")
    points = [point for cell in TUNED for point in sweep(cell, dataset)]
    work.mkdir(parents=True, exist_ok=True)
    (work / "lanes.json").write_text(json.dumps([asdict(point) for point in points], indent=1))
    for point in points:
        what = f"speech {point.cell}, {point.mode}, Θ = {point.threshold}"
        for name, value, unit in (
            ("frame error", point.error, "%"),
            ("terms per event", point.terms / point.events, ""),
            ("ideal cycles per step, multiplier", point.cycles, ""),
            ("ideal cycles per step, shift_add", point.term_cycles, ""),
        ):
            yield Figure(name=f"{what}: {name}", value=round(value, 3), unit=unit, command=COMMAND)
    yield from simulated(work)


def simulated(work: Path, *, frames: int = 25) -> Iterator[Figure]:
    """Utilisation of shift_add lanes on the LSTM, at its tuned threshold and at 0."""
    network = speech_network("lstm")
    for mode in DELTA_MODES:
        trial = replace(network, delta_mode=mode)
        config = derive_config(trial, word_bits=WORD_BITS, lane_kind="shift_add")
        design = generate(trial, work / f"lanes-{mode}", config=config)
        for threshold in (0, TUNED["lstm"]):
            report = run_design(design.verilog, trial, threshold, work, frames=frames)
            yield Figure(
                name=f"speech lstm, shift_add, {mode}, Θ = {threshold}: utilisation",
                value=round(report.utilisation, 4),
                unit="",
                reference=round(report.ideal_cycles_per_step, 1),
                reference_is=f"ideal cycles per step, {report.cycles_per_step:.1f} measured",
                target=0.90,
                command=COMMAND,
            )


def array(kind: str, lanes: int, weight_bits: tuple[int, ...], lane_bits: int) -> MacArray:
    """An array for 8-bit codes that drains 8 rows a cycle."""
    return MacArray(
        lanes=lanes,
        weight_bits=weight_bits,
        delta_bits=9,
        drain_rows=8,
        lane_bits=lane_bits,
        sum_bits=lane_bits + weight_bits[-1] - weight_bits[0],
        lane_kind=kind,
    )


def lane_bits(weight_bits: int) -> int:
    """Of the sum of 256 products of weights and 8-bit codes of any value."""
    return weight_bits + 9 + 7


def synthesized(
    kind: str, lanes: int, weight_bits: tuple[int, ...], work: Path, *options: str
) -> Netlist:
    """The array alone, by yosys."""
    top = array(kind, lanes, weight_bits, lane_bits(weight_bits[0]))
    inputs = [Value.cast(top.weights), top.valid, Value.cast(top.tag)]
    ports = [*inputs, Value.cast(top.o.payload), top.o.valid]
    source = rtlil.convert(top, name="array", ports=ports, emit_src=False)
    return synthesize(source, top="array", workdir=work, options=options)


def area(work: Path) -> Iterator[Figure]:
    """What a lane costs: the array's growth from 32 to 64 lanes, by yosys for ECP5."""
    few, many = 32, 64
    for weight_bits in ((8,), (4,), (2,), (2, 4, 8)):
        for kind, options in ((KINDS[0], ()), (KINDS[0], ("-nodsp",)), (KINDS[1], ())):
            small = synthesized(kind, few, weight_bits, work / "lanes", *options)
            large = synthesized(kind, many, weight_bits, work / "lanes", *options)
            luts = (large.luts - small.luts) / (many - few)
            dsps = (large.dsps - small.dsps) / (many - few)
            what = f"{kind} lane{' in LUTs' if options else ''}"
            what += f", weights of {', '.join(map(str, weight_bits))} bits"
            yield Figure(
                name=f"{what}: LUT4s per added lane",
                value=round(luts, 1),
                unit="",
                target=None if options else 150,
                at_most=True,
                command=AREA_COMMAND,
            )
            fixed = small.luts - few * luts
            by_luts = int((LUTS_85F - fixed) // luts)
            limits = {"LUTs": by_luts, "block RAM bits": BLOCK_RAM_BITS_85F // weight_bits[0]}
            if dsps:
                limits["multipliers"] = int(DSPS_85F // dsps)
            limit = min(limits, key=lambda name: limits[name])
            yield Figure(
                name=f"{what}: lanes that an 85F holds, the array alone, by {limit}",
                value=limits[limit],
                unit="",
                command=AREA_COMMAND,
            )
