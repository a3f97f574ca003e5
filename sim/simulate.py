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
from ..golden.errors import UserError
from ..golden.evaluation.networks import AnyNetwork, AnyPath, run_words, word_range
from ..hw.generate import MANIFEST_FORMAT
from .execute import SIMULATORS, build, run
from .job import Job
from .memory.beside import BESIDE, beside, chip_file, chip_of
from .memory.chip import SOURCE
from .names import TOP
from .report import SimulationReport, counter_mismatch, ideal_cycles
from .states import layer_states
from .stimulus import STALLED, Stimulus

Manifest = Mapping[str, Any]


def simulate(
    verilog: Path | Sequence[Path],
    network: AnyNetwork,
    frames: Sequence[Ints],
    *,
    workdir: Path,
    manifest: Manifest | Path | None = None,
    simulator: str = "verilator",
    stimulus: Stimulus = STALLED,
    thresholds: Mapping[str, int] | None = None,
    image: Sequence[tuple[int, int]] | None = None,
    waves: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationReport:
    """Run frames through the design and compare it with golden, bit for bit.

    Compared are all output words of all sequences, the state words after the last sequence (those
    of the others are gone once the next one begins) and, over all sequences, counters and events.

    Parameters
    ----------
    verilog: the design's files; its top module is `deltaloom`.
    network: what it runs.
    frames: of each sequence, words [steps, inputs]: int16, or int8 codes of an integer-only LSTM.
    workdir: folder of builds, logs and waveforms; a design is built once.
    manifest: what `generate` wrote beside the first file (None), or another one.
    simulator: "icarus" or "verilator".
    stimulus: how the streams are driven.
    thresholds: delta thresholds by path name, in codes, set over the bus; None: the network's own.
    image: writes (byte address, value) that load the design before it runs; None: it is baked in,
        and weights in an SDRAM are there from the start, from the file beside the Verilog.
    waves: write a waveform.
    progress: called with (frames done, frames in all) now and then.

    Raises UserError for a tool that is missing, a design that does not build, and a bench that
    ends in any other way than by its own report. A mismatch is in the report.
    """
    sources = [verilog] if isinstance(verilog, Path) else list(verilog)
    _check(simulator, sources)
    facts = _manifest(manifest, sources)
    sequences = _sequences(network, frames)
    check_lengths(sequences, facts.get("sequence_frames"))
    if thresholds:
        network = network.with_thresholds(dict(thresholds))
    terms = facts.get("config", {}).get("lane_kind") == "shift_add"
    results = run_words(network, sequences, terms=terms)
    if stimulus.patience is None:
        stimulus = replace(stimulus, patience=_patience(network, facts, stimulus))
    layers, states = layer_states(network, facts, results[-1].states)
    job = Job(
        frames=tuple(sequences),
        outputs=tuple(result.outputs for result in results),
        states=states,
        layers=layers,
        lists=1 + max((entry["index"] for entry in facts["lists"]), default=-1),
        stimulus=stimulus,
        thresholds=_thresholds(network, facts) if thresholds or image else {},
        image=np.array(list(image or ()), np.int64).reshape(-1, 2),
    )
    steps = sum(len(s) for s in sequences)

    def report_progress(done: int) -> None:
        if progress:
            progress(done, steps)

    top, plusargs = TOP, []
    if chip := chip_of(facts):
        folder = workdir.resolve() / "sdram"
        folder.mkdir(parents=True, exist_ok=True)
        both = folder / f"{BESIDE}.v"
        both.write_text(beside(facts, chip), "utf-8")
        sources, top = [*sources, both, SOURCE], BESIDE
        if image is None:
            held = folder / "weights.hex"
            held.write_text(chip_file(sources[0].with_name("weights.hex"), facts, chip), "utf-8")
            plusargs.append(f"+sdram={held}")
    design = build(sources, simulator, workdir, waves=waves, top=top)
    started = time.monotonic()
    outcome, log, wave_file = run(design, job, report_progress, plusargs)
    seconds = time.monotonic() - started

    events = {}
    mismatch = outcome.mismatch
    if outcome.events:
        events = {entry["path"]: outcome.events[entry["index"]] for entry in facts["lists"]}
    if mismatch is None and facts.get("config", {}).get("counted", True):
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
        ideal_cycles=word_cycles(facts) * ideal_cycles(network, results, int(facts["word_bits"])),
        seed=stimulus.seed,
        seconds=seconds,
        log=log,
        waves=wave_file,
    )


def _check(simulator: str, sources: Sequence[Path]) -> None:
    if simulator not in SIMULATORS:
        raise UserError(f"simulator: {simulator!r} is unknown, choose {' or '.join(SIMULATORS)}")
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


def _sequences(network: AnyNetwork, frames: Sequence[Ints]) -> list[Ints]:
    sequences, words = [np.asarray(s, np.int64) for s in frames], network.frame_words
    if not sequences:
        raise UserError("frames: there are none; give at least one sequence of one frame")
    low, high = word_range(network)
    for n, sequence in enumerate(sequences):
        if sequence.ndim != 2 or sequence.shape[1] != words or not len(sequence):
            raise UserError(
                f"frames: sequence {n} has shape {sequence.shape}, the network takes "
                f"[steps, {words}] with at least one step"
            )
        if sequence.min() < low or sequence.max() > high:
            kind = f"int{(high - low).bit_length()}"
            raise UserError(f"frames: a value of sequence {n} is outside {low}..{high} ({kind})")
    return sequences


def check_lengths(sequences: Sequence[Ints], most: int | None) -> None:
    """UserError where a sequence is longer than what the design keeps; most: None for no limit."""
    for n, sequence in enumerate(sequences):
        if most is not None and len(sequence) > most:
            raise UserError(
                f"frames: sequence {n} has {len(sequence)} frames, the design's sequence buffer "
                f"holds {most}; generate it for longer ones (--longest)"
            )


def _thresholds(network: AnyNetwork, facts: Manifest) -> dict[int, int]:
    paths: dict[str, AnyPath] = dict(network.paths())
    return {entry["index"]: paths[entry["path"]].threshold for entry in facts["lists"]}


def word_cycles(facts: Manifest) -> int:
    """Cycles that a weight word takes at the least: on the data lines, where it is in an SDRAM."""
    chip = chip_of(facts)
    return 1 if chip is None else int(facts["word_bits"]) // chip.dq_bits


def _patience(network: AnyNetwork, facts: Manifest, stimulus: Stimulus) -> int:
    """Four times what a dense step of one weight word a cycle could take, and some."""
    bits = sum(
        p.most_events * (p.rows * p.weight_bits + facts["word_bits"]) for _, p in network.paths()
    )
    words = bits // int(facts["word_bits"]) + network.frame_words + network.outputs
    words *= word_cycles(facts)
    return 40_000 + int(4 * words / (1 - max(stimulus.idle, stimulus.backpressure)))
