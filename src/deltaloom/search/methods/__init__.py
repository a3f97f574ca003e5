# SPDX-License-Identifier: Apache-2.0
"""Ways to search, by name.

A method asks `Evaluations.measure` for genomes until that raises BudgetSpentError, or returns where
it has nothing left to ask. All that is random in it comes from the generator that it is given.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ...golden.errors import UserError
from ..evaluations import Evaluations

METHODS: Mapping[str, str] = {
    # name: module
    "sensitivity": "sensitivity",
    "nsga2": "nsga2",
    "random": "random",
}


class Method(Protocol):
    """A search."""

    def __call__(self, evaluations: Evaluations, rng: np.random.Generator) -> None:
        """Ask for evaluations until the budget is spent."""


def find_method(name: str) -> Method:
    """The method `name`; its module is imported now."""
    if name not in METHODS:
        raise UserError(f"method {name!r}: not known; there are {', '.join(METHODS)}")
    module: Any = importlib.import_module(f"{__name__}.{METHODS[name]}")
    method: Method = module.search
    return method
