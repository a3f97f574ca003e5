# SPDX-License-Identifier: Apache-2.0
"""A network that is quantized already, whose thresholds are searched: of either kind."""

import hashlib
from dataclasses import dataclass
from typing import Generic

from ..golden.arithmetic import Reals
from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.evaluation.evaluate import run_dataset, run_float_dataset
from ..golden.evaluation.fidelity import check_pair
from ..golden.evaluation.networks import AnyFloat, N
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.quantization.quantize import Kept
from .genes import Choice
from .problem import AnyProblem, add_file

__all__ = ["NetworkProblem"]


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
