# SPDX-License-Identifier: Apache-2.0
"""A generated design beside the golden model in a simulator, for tests of the whole accelerator."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...golden.arithmetic import Ints
from ...golden.models.network import Network
from ...hw.accelerator import windows
from ...hw.bus.register_map import place_windows
from ...hw.compiler.compile import compile_plan
from ...hw.compiler.networks import AnyNetwork
from ...hw.compiler.plan import Plan
from ...hw.config import AcceleratorConfig
from ...hw.generate import manifest
from ..report import SimulationReport
from ..simulate import simulate
from ..stimulus import Stimulus

__all__ = ["check_accelerator", "load_network"]


def check_accelerator(
    verilog: Path, network: Network, frames: Sequence[Ints], **options: Any
) -> SimulationReport:
    """Run frames [steps, inputs] of each sequence, hold everything against golden, and return it.

    options: of `simulate`, and fields of its stimulus.
    """
    names = [field.name for field in fields(Stimulus)]
    stimulus = Stimulus(**{name: options.pop(name) for name in names if name in options})
    report = simulate(verilog, network, frames, stimulus=stimulus, **options)
    if not report.ok:
        raise AssertionError(str(report))
    steps = sum(len(sequence) for sequence in frames)
    sums = {
        "steps": (report.steps, steps),
        "output words": (report.words, steps * network.outputs),
        "state words": (report.states, sum(layer.units for layer in network.layers)),
        "frames": (len(report.frame_ends), steps),
    }
    for name, (got, want) in sums.items():
        if got != want:
            raise AssertionError(f"{name} compared: {got}, expected {want}")
    return report


def load_network(network: AnyNetwork, config: AcceleratorConfig) -> dict[str, Any]:
    """Options of `simulate` by which a design of `config` runs `network`, loaded over the bus.

    manifest: what `simulate` needs of it; image: the writes (byte address, value) of all memories.
    """
    plan = Plan.of(network, config)
    image = compile_plan(plan)
    writes = [
        write
        for place in place_windows(windows(config))
        for write in place.encode(image.contents[place.window.name])
    ]
    return {"manifest": manifest(plan, image), "image": writes}
