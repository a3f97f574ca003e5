# SPDX-License-Identifier: Apache-2.0
"""Whether the thresholds that `deltaloom tune` picks do in hardware what they promised."""

import os
from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from speech import DATA, TUNED, speech_network

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.evaluation.evaluate import ideal_cycles, run_dataset
from deltaloom.golden.evaluation.operations import eliminated
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.testing.core_in_verilator import measure_core

WORD_BITS = 256
SEQUENCES = 8
COMMAND = "make bench ARGS=knee"


def figures(work: Path) -> Iterator[Figure]:
    """Greedy thresholds at half a point; eliminated operations, and cycles over estimated ones.

    Promised are the operations of the whole tuning set, by golden, and the cycles that `deltaloom
    evaluate` estimates; measured are the set's first sequences, in the core in Verilator, whose
    every output and every event equals golden.
    """
    data = Dataset.load(DATA / "tuning.npz")
    for cell in TUNED:
        with Trials(speech_network(cell), data, workers=os.cpu_count() or 1) as trials:
            network = tune(trials, allowed=0.5).network
        promised = run_dataset(network, data).events
        part = data.subset(range(SEQUENCES))
        config = derive_config(network, word_bits=WORD_BITS)
        frames = [quantize_frames(network, features) for features in part.features]
        found = measure_core(network, frames, config, work)
        fired = {
            name: sum(int(result.events[name].sum()) for result in found.results)
            for name, _ in network.paths()
        }
        events = [result.events for result in found.results]
        estimate = estimate_cycles(network, config, events).cycles_per_step
        here = ideal_cycles(network, WORD_BITS, fired, part.frames)
        yield Figure(
            name=f"tuned {cell}: operations eliminated in hardware",
            value=round(eliminated(network, fired, part.frames), 2),
            unit="%",
            reference=round(eliminated(network, promised, data.frames), 2),
            reference_is="% promised on the whole tuning set",
            command=COMMAND,
        )
        yield Figure(
            name=f"tuned {cell}: measured cycles / those promised for the same frames",
            value=round(found.cycles_per_step / estimate, 4),
            unit="x",
            reference=round(estimate, 1),
            reference_is=f"estimated cycles per step, {found.cycles_per_step:.1f} measured, "
            f"{here:.1f} ideal",
            target=1.05,
            at_most=True,
            command=COMMAND,
        )
