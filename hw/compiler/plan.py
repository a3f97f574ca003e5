# SPDX-License-Identifier: Apache-2.0
"""The plan of a network on an accelerator: what a step does, and where everything is.

Made once for a network and a configuration, and read by whoever needs to know: `fit` (the sizes it
needs), `pack` and `compile` (the image), the cycle model, and simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from ...golden.arithmetic import WIDTHS
from ...golden.errors import UserError
from ..config import AcceleratorConfig
from .integer_lowering import runnable
from .networks import AnyNetwork, Network
from .passes import PassPlan, plan_passes
from .paths import PathUse, plan_uses
from .stages import Stage, plan_stages
from .sweeps import FrameRecord, Sweep, plan_record, plan_sweeps


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outline:
    """As much of a plan as follows from the network alone.

    It is apart from `Plan` as a configuration names the cells of the stages and has room for the
    sweeps: both must be known before there is a configuration. Everything else needs the lanes, the
    rows and the units of one, but none of its sizes: these are what a plan is made to find out.

    Members
    -------
    network: as the compiler takes it
    sweeps: in their order
    record: what is kept of a frame between sweeps
    stages: in program order
    """

    network: Network
    sweeps: tuple[Sweep, ...]
    record: FrameRecord
    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, any_network: AnyNetwork) -> "Outline":
        """The outline of a network; UserError for what only golden has."""
        network = runnable(any_network)
        _check_widths(network)
        sweeps = plan_sweeps(network)
        return cls(
            network=network,
            sweeps=sweeps,
            record=plan_record(network, sweeps),
            stages=plan_stages(network, sweeps),
        )

    def on(self, config: AcceleratorConfig) -> "Plan":
        """The plan of the network on an accelerator."""
        uses = plan_uses(self.network, self.stages, config)
        return Plan(
            network=self.network,
            config=config,
            sweeps=self.sweeps,
            record=self.record,
            stages=self.stages,
            uses=uses,
            passes=plan_passes(uses, config),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """A network on an accelerator. That it fits is for `fit.check_fits` to say.

    Members
    -------
    network, config: what it is the plan of
    sweeps, record, stages: those of `Outline`
    uses: of paths by stages, in program order
    passes: the program
    """

    network: Network
    config: AcceleratorConfig
    sweeps: tuple[Sweep, ...]
    record: FrameRecord
    stages: tuple[Stage, ...]
    uses: tuple[PathUse, ...]
    passes: tuple[PassPlan, ...]

    @classmethod
    def of(cls, network: AnyNetwork, config: AcceleratorConfig) -> "Plan":
        """The plan of `network` on the accelerator that `config` describes."""
        return Outline.of(network).on(config)

    @property
    def lists(self) -> tuple[tuple[PathUse, ...], ...]:
        """The uses of each event list, by the list's index."""
        count = 1 + max(use.list for use in self.uses)
        return tuple(tuple(u for u in self.uses if u.list == n) for n in range(count))

    @property
    def starts(self) -> Mapping[int, int]:
        """The address of each sweep's first pass, by the sweep's index."""
        return {p.use.stage.sweep.index: n for n, p in enumerate(self.passes) if p.first_pass}

    @property
    def state_words(self) -> tuple[int, ...]:
        """Words of the state memory that each layer takes: whole rows of its banks."""
        units = self.config.cell_units
        return tuple(layer.units + -layer.units % units for layer in self.network.layers)

    @property
    def state_bases(self) -> tuple[int, ...]:
        """Address of each layer's first unit in the state memory."""
        return tuple(accumulate(self.state_words[:-1], initial=0))

    @property
    def sequence_frames(self) -> int | None:
        """Frames of a sequence that the sequence buffer holds; None: there is no buffer, and no
        longest sequence."""
        return self.config.sequence_words // self.record.stride if self.config.buffered else None


def _check_widths(network: Network) -> None:
    """Raise UserError for widths that only golden has."""
    for name, path in network.paths():
        for what, bits in (("weights", path.weight_bits), ("activations", path.quantizer.bits)):
            if bits not in WIDTHS:
                raise UserError(
                    f"{name}: {what} of {bits} bits, the hardware has "
                    f"{', '.join(map(str, WIDTHS))}; quantize to one of these"
                )
