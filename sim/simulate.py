# SPDX-License-Identifier: Apache-2.0
"""Simulates generated Verilog against golden, bit for bit, in Icarus or Verilator under cocotb."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..golden.arithmetic import Ints
from ..golden.engines import engine
from ..golden.errors import UserError
from ..golden.models.network import Network
from ..hw.generate import MANIFEST_FORMAT
from .execute import SIMULATORS, build, run
from .job import NEW_SEQUENCE, Job, LayerState
from .report import SimulationReport, counter_mismatch, ideal_cycles

Manifest = Mapping[str, Any]


def simulate(
    verilog: Path | Sequence[Path],
    network: Network,
    frames: Sequence[Ints],
    *,
    workdir: Path,
    manifest: Manifest | Path | None = None,
    simulator: str = "verilator",
    seed: int = 0,
    idle: float = 0.3,
    backpressure: float = 0.3,
    thresholds: Mapping[str, int] | None = None,
    image: Sequence[tuple[int, int]] | None = None,
    new_sequence: str = "tuser",
    reset_after: int | None = None,
    patience: int | None = None,
    waves: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationReport:
    """Run int16 frames [steps, inputs] of each sequence through the design and compare with golden.

    Compared are all output words of all sequences, the state words after the last sequence (those
    of the others are gone once the next one begins) and, over all sequences, counters and events.

    verilog: the design; its top module is `deltaloom`. manifest: what `generate` wrote beside it
    (the default), or another one. workdir: builds, logs and waveforms; a design is built once.
    idle, backpressure: chance that a cycle of the input or the output stream rests; both 0 measure
    the design's own speed. thresholds: delta thresholds by path name, set over the bus. image:
    writes (byte address, value) that load the design before it runs.
    new_sequence: "tuser" or "register". reset_after: input words after which the design is reset
    and everything begins again. patience: cycles without output that count as stuck.
    progress: called with (frames done, frames in all) now and then.

    Raises UserError for a tool that is missing, a design that does not build, and a bench that
    ends in any other way than by its own report. A mismatch is in the report.
    """
    sources = [verilog] if isinstance(verilog, Path) else list(verilog)
    _check(simulator, sources, idle, backpressure, new_sequence)
    facts = _manifest(manifest, sources)
    sequences = _sequences(network, frames)
    _check_lengths(sequences, facts.get("sequence_frames"))
    if thresholds:
        network = network.with_thresholds(dict(thresholds))
    terms = facts.get("config", {}).get("lane_kind") == "shift_add"
    results = engine.run(network, sequences, terms=terms)
    job = _job(network, sequences, results, facts)
    loaded = np.array(list(image), np.int64).reshape(-1, 2) if image else job.image
    steps = sum(len(s) for s in sequences)
    job = replace(
        job,
        seed=seed,
        idle=idle,
        backpressure=backpressure,
        new_sequence=new_sequence,
        reset_after=reset_after,
        image=loaded,
        thresholds=_thresholds(network, facts) if thresholds or image else {},
        patience=patience or _patience(network, facts, idle, backpressure),
    )

    def report_progress(done: int) -> None:
        if progress:
            progress(done, steps)

    design = build(sources, simulator, workdir, waves=waves)
    started = time.monotonic()
    outcome, log, wave_file = run(design, job, report_progress)
    seconds = time.monotonic() - started

    events = {}
    mismatch = outcome.mismatch
    if outcome.events:
        events = {entry["path"]: outcome.events[entry["index"]] for entry in facts["lists"]}
    if mismatch is None:
        mismatch = counter_mismatch(network, results, outcome.counters, events)
    return SimulationReport(
        simulator=simulator,
        sequences=len(sequences),
        steps=steps,
        words=outcome.words,
        states=outcome.states,
        mismatch=mismatch,
        counters=outcome.counters,
        events=events,
        frame_ends=tuple(outcome.frame_ends),
        ideal_cycles=ideal_cycles(network, results, int(facts["word_bits"])),
        seed=seed,
        seconds=seconds,
        log=log,
        waves=wave_file,
    )


def _check(
    simulator: str,
    sources: Sequence[Path],
    idle: float,
    backpressure: float,
    new_sequence: str,
) -> None:
    if simulator not in SIMULATORS:
        raise UserError(f"simulator: {simulator!r} is unknown, choose {' or '.join(SIMULATORS)}")
    for name, value in (("idle", idle), ("backpressure", backpressure)):
        if not 0 <= value < 1:
            raise UserError(f"{name}: {value!r} is not possible, it must be at least 0 and below 1")
    if new_sequence not in NEW_SEQUENCE:
        raise UserError(
            f"new_sequence: {new_sequence!r} is unknown, choose {' or '.join(NEW_SEQUENCE)}"
        )
    for source in sources:
        if not source.is_file():
            raise UserError(f"{source}: there is no such file; run deltaloom generate first")


def _manifest(manifest: Manifest | Path | None, sources: Sequence[Path]) -> Manifest:
    if manifest is None:
        manifest = sources[0].parent / "manifest.json"
    if not isinstance(manifest, Path):
        return manifest
    try:
        facts = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{manifest}: cannot be read as a manifest ({error}); run deltaloom generate again"
        ) from error
    missing = [key for key in ("lists", "layers", "word_bits") if key not in facts]
    if missing:
        raise UserError(f"{manifest}: {missing[0]!r} is missing; run deltaloom generate again")
    if (version := facts.get("format", MANIFEST_FORMAT)) != MANIFEST_FORMAT:
        raise UserError(
            f"{manifest}: format {version!r} is unknown, this version reads {MANIFEST_FORMAT}; "
            "run deltaloom generate again"
        )
    return facts  # type: ignore[no-any-return]


def _sequences(network: Network, frames: Sequence[Ints]) -> list[Ints]:
    sequences = [np.asarray(s, np.int64) for s in frames]
    if not sequences:
        raise UserError("frames: there are none; give at least one sequence of one frame")
    for n, sequence in enumerate(sequences):
        if sequence.ndim != 2 or sequence.shape[1] != network.inputs or not len(sequence):
            raise UserError(
                f"frames: sequence {n} has shape {sequence.shape}, the network takes "
                f"[steps, {network.inputs}] with at least one step"
            )
        if sequence.min() < -32768 or sequence.max() > 32767:
            raise UserError(f"frames: a value of sequence {n} is outside -32768..32767 (int16)")
    return sequences


def _check_lengths(sequences: Sequence[Ints], most: int | None) -> None:
    for n, sequence in enumerate(sequences):
        if most is not None and len(sequence) > most:
            raise UserError(
                f"frames: sequence {n} has {len(sequence)} frames, the design's sequence buffer "
                f"holds {most}; generate it for longer ones (--longest)"
            )


def _job(
    network: Network, sequences: list[Ints], results: list[engine.Result], facts: Manifest
) -> Job:
    """Frames, golden outputs and golden states, in the places that the manifest gives."""
    layers = tuple(
        LayerState(name=layer.name, base=entry["state_base"], has_c=layer.cell.has_c)
        for entry, layer in zip(facts["layers"], network.layers, strict=True)
    )
    return Job(
        frames=tuple(sequences),
        outputs=tuple(result.outputs for result in results),
        states=results[-1].states,
        layers=layers,
        lists=1 + max((entry["index"] for entry in facts["lists"]), default=-1),
        seed=0,
        idle=0.0,
        backpressure=0.0,
        patience=1,
    )


def _thresholds(network: Network, facts: Manifest) -> dict[int, int]:
    paths = dict(network.paths())
    return {entry["index"]: paths[entry["path"]].threshold for entry in facts["lists"]}


def _patience(network: Network, facts: Manifest, idle: float, backpressure: float) -> int:
    """Four times what a dense step of one weight word a cycle could take, and some."""
    bits = sum(
        p.columns * (p.rows * p.weight_bits + facts["word_bits"]) for _, p in network.paths()
    )
    words = bits // int(facts["word_bits"]) + network.inputs + network.outputs
    return 20_000 + int(4 * words / (1 - max(idle, backpressure)))
