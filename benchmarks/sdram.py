# SPDX-License-Identifier: Apache-2.0
"""Weights in an SDRAM: cycles over those of the bytes fetched at the pins' rate, and time a step.

The network is the largest that EdgeDRNN was measured with, two GRU layers of 768 units (5.4 million
weights), with random weights, on the SDRAM of a ULX3S at its 90 MHz: the core in Verilator beside a
chip that checks its times, every output compared with golden. Dense frames are white noise, smooth
ones AR(1) with a threshold at which a tenth of the elements fires. EdgeDRNN's published 0.5 ms are
of a tenth of the weights, too, at 8 bytes in each cycle of 125 MHz.
"""

from collections.abc import Iterator
from pathlib import Path

from figures import Figure
from peers import INPUTS, ar1_frames, lowest_threshold, noise_frames

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.engines.engine import Result
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.cycles import estimate_cycles
from deltaloom.sim.testing.core_in_verilator import measure_core

COMMAND = "make bench ARGS=sdram"
CHIP, CLOCK_MHZ = "sdram_16mx16", 90.0
UNITS = (768, 768)
SHARE = 0.1
PEER_MS, PEER_BYTES_PER_US = 0.5, 8 * 125.0


def figures(work: Path, *, dense_steps: int, smooth_steps: int) -> Iterator[Figure]:
    """At 8, 4 and 2 bits, dense and smooth; and how the time falls with the width."""
    dense_ms = {}
    for bits in (8, 4, 2):
        network = make_network([("gru", n) for n in UNITS], INPUTS, seed=1, weight_bits=bits)
        frames = noise_frames(dense_steps, INPUTS)
        dense_ms[bits] = yield from _run(network, frames, work, f"{bits} bits, dense")
        smooth = ar1_frames(smooth_steps, INPUTS)
        tuned = lowest_threshold(network, smooth, _few)
        yield from _run(tuned, smooth, work, f"{bits} bits, smooth")
    for bits in (4, 2):
        yield Figure(
            name=f"GRU 40 -> 768 -> 768 in SDRAM, dense, 8 bits / {bits} bits: time",
            value=round(dense_ms[8] / dense_ms[bits], 3),
            unit="x",
            reference=8 / bits,
            reference_is="ideal",
            target=0.9 * 8 / bits,
            command=COMMAND,
        )


def _few(network: Network, found: Result) -> bool:
    columns = sum(path.columns for _, path in network.paths())
    return float(sum(e.mean() for e in found.events.values())) <= SHARE * columns


def _run(network: Network, frames: Ints, work: Path, what: str) -> Iterator[Figure]:
    """The figures of one run, and as the generator's value ms a step."""
    config = derive_config(network, weight_memory=CHIP, memory_clock_mhz=CLOCK_MHZ)
    found = measure_core(network, [frames], config, work)
    dq_bits = 16
    steps, cycles = len(frames), found.ends[-1] - found.start
    ideal = found.beats * config.word_bits // dq_bits
    ms = cycles / steps / CLOCK_MHZ / 1000
    bytes_per_us = dq_bits / 8 * CLOCK_MHZ
    name = f"GRU 40 -> 768 -> 768 in SDRAM, {what}"
    yield Figure(
        name=f"{name}: cycles / cycles of the bytes fetched",
        value=round(cycles / ideal, 4),
        unit="x",
        reference=round(cycles / steps),
        reference_is=f"cycles a step over {steps} steps, {config.word_bits}-bit words",
        target=1.10,
        at_most=True,
        command=COMMAND,
    )
    yield Figure(
        name=f"{name}: time a step at {CLOCK_MHZ:g} MHz",
        value=round(ms, 3),
        unit="ms",
        reference=round(PEER_MS * PEER_BYTES_PER_US / bytes_per_us, 2),
        reference_is="EdgeDRNN's 0.5 ms, a tenth of 8-bit weights, scaled by bandwidth",
        command=COMMAND,
    )
    estimate = estimate_cycles(network, config, [result.events for result in found.results])
    yield Figure(
        name=f"{name}: estimated / measured cycles",
        value=round((estimate.ends[-1]) / cycles, 4),
        unit="x",
        reference=1.0,
        reference_is="exact",
        command=COMMAND,
    )
    return ms
