# SPDX-License-Identifier: Apache-2.0
"""A network that is quantized already, whose thresholds are searched: of either kind."""

import hashlib
from dataclasses import dataclass
from typing import Generic

from ..golden.arithmetic import Reals
from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.evaluation.evaluate import run_dataset, run_float_dataset
from ..golden.evaluation.networks import AnyFloat, N
from ..golden.evaluation.pairs import check_pair
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.quantization.quantize import Kept
from .catalogue import find_cost
from .cost import NETWORK, RUN
from .genes import Choice, Space, check_lanes
from .goals import ERRORS, Goals
from .problem import AnyProblem, add_file

__all__ = ["NetworkProblem", "check_objectives"]


@dataclass(frozen=True, kw_only=True)
class NetworkProblem(AnyProblem[N], Generic[N]):
    """A network with other thresholds for each choice.

    Members
    -------
    network: whose bits are what they are; its own thresholds do not count.
    model: its float model, which "nmse" is to and the float error is of; None: "nmse" is to the
        network itself with thresholds 0, and there is no float error.
    """

    network: N
    model: AnyFloat | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is not None:
            check_pair(self.network, self.model)
        check_lanes(self.network, [self.options.lanes])
        if isinstance(self.network, IntegerNetwork) and "energy" in self.names:
            raise UserError(
                "objective energy: the energy model does not have integer-only LSTMs; take cycles, "
                "or let build --asic measure the netlist"
            )

    @property
    def subject(self) -> N:
        return self.network

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.network.paths())

    def quantize(self, choice: Choice, kept: Kept) -> N:
        return self.network

    def exact(self, dataset: Dataset) -> list[Reals]:
        if self.model is not None:
            return run_float_dataset(self.model, dataset)
        return run_dataset(self.network, dataset, delta=False).real(self.network)

    def add_to(self, result: "hashlib._Hash") -> None:
        zero = dict.fromkeys(self.paths, 0)
        add_file(result, self.network.with_thresholds(zero))
        if self.model is not None:
            add_file(result, self.model)


def check_objectives(goals: Goals, space: Space) -> None:
    """Raise UserError for an objective that is the same for all candidates of a network, whose bits
    are fixed.
    """
    built = any(gene.kind in ("lanes", "word_bits") for gene in space.genes)
    for objective in goals.objectives:
        if objective.name in ERRORS:
            continue
        needs = find_cost(objective.name).needs
        if needs != RUN and not (needs == NETWORK and built):
            more = ", nor do lanes or word-bits" if needs == NETWORK else ""
            raise UserError(
                f"objective {objective.name}: is the same for all candidates, the network's bits "
                f"do not vary{more}; take eliminated or cycles, or search the float model"
            )
