# SPDX-License-Identifier: Apache-2.0
"""What candidates cost, each by a small class of one interface, see `cost`.

SiLago and Bitfusion are the closed forms of the MOHAQ paper (Rezk et al., arXiv 2108.01192), which
know bits alone: no events, no memory traffic but SiLago's weights, no control.
"""

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..golden.errors import UserError
from ..golden.evaluation.operations import eliminated
from .cost import RUN, WORK, Cost
from .work import Found, Work


@dataclass(frozen=True, slots=True)
class WorkCost:
    """A closed form of the bits; function: of the work."""

    title: str
    unit: str
    more: bool
    function: Callable[[Work], float]
    needs: int = WORK

    def __call__(self, found: Found) -> float:
        return self.function(found.work)


class Eliminated:
    """Percent of all multiply-accumulates that deltas leave out, as measured."""

    title, unit, more, needs = "eliminated operations", "%", True, RUN

    def __call__(self, found: Found) -> float:
        return eliminated(found.network, found.totals, found.frames)


def size_kb(work: Work) -> float:
    """All parameters, in 1,000 bytes: weights at their bits, all else at 16."""
    return work.size_bits / 8000


def bit_operations(work: Work) -> float:
    """Millions of products of two bits in a dense step: the sum of N_i * W_i * A_i."""
    return sum(p.macs * p.weight_bits * p.activation_bits for p in work.products) / 1e6


class SiLago:
    """SiLago: 16-bit units that split into two of 8 bits or four of 4; one width for both operands.

    A product of unlike widths runs at the wider one, rounded up to 4, 8 or 16.
    """

    SPEEDUP: Mapping[int, int] = {16: 1, 8: 2, 4: 4}
    PICOJOULES: Mapping[int, float] = {16: 1.666, 8: 1.084 / 2, 4: 0.613 / 4}
    """Of a multiply-accumulate."""
    LOAD = 0.08
    """Picojoules to read a bit from SRAM; every parameter is read once a step."""

    @classmethod
    def mode(cls, weight_bits: int, activation_bits: int) -> int:
        """The width that a product runs at."""
        return next(bits for bits in (4, 8, 16) if bits >= max(weight_bits, activation_bits))

    @classmethod
    def factor(cls, weight_bits: int, activation_bits: int) -> int:
        """Products at once, over those of 16 bits."""
        return cls.SPEEDUP[cls.mode(weight_bits, activation_bits)]

    @classmethod
    def energy(cls, work: Work) -> float:
        """Microjoules of a step: (memory bits * 0.08 + sum of N_i * E_i) / 10^6."""
        products = sum(
            p.macs * cls.PICOJOULES[cls.mode(p.weight_bits, p.activation_bits)]
            for p in work.products
        )
        return (work.size_bits * cls.LOAD + products) / 1e6


class Bitfusion:
    """Bitfusion: bricks of 2 x 2 bits that fuse to products of 2, 4, 8 or 16 bits a side.

    Other widths run at the next one up.
    """

    @staticmethod
    def factor(weight_bits: int, activation_bits: int) -> int:
        """256 / (W * A): products at once, over those of 16 x 16 bits."""

        def whole(bits: int) -> int:
            return next(width for width in (2, 4, 8, 16) if width >= bits)

        return 256 // (whole(weight_bits) * whole(activation_bits))


def paper_speedup(factor: Callable[[int, int], int]) -> Callable[[Work], float]:
    """The paper's: sum of N_i * S_i / T, an arithmetic mean, with all operations as T."""

    def speedup(work: Work) -> float:
        products = work.products
        done = sum(p.macs * factor(p.weight_bits, p.activation_bits) for p in products)
        return done / work.operations

    return speedup


def true_speedup(factor: Callable[[int, int], int]) -> Callable[[Work], float]:
    """T / (sum of N_i / S_i + elementwise): what the times of the parts add up to.

    The arithmetic mean lets one fast layer make good for a slow one, which time does not.
    """

    def speedup(work: Work) -> float:
        products = work.products
        time = sum(p.macs / factor(p.weight_bits, p.activation_bits) for p in products)
        return work.operations / (time + work.elementwise)

    return speedup


class Own:
    """A user's function, from "FILE.py:FUNCTION"; it takes a `Found` and returns a number.

    The function may have the attributes `title`, `unit` and `more` (True: more is better).
    """

    needs = RUN

    def __init__(self, name: str) -> None:
        file, _, function = name.rpartition(":")
        self.name, self.file = name, Path(file)
        self._function = _load(self.file, function)
        self.title = str(getattr(self._function, "title", function))
        self.unit = str(getattr(self._function, "unit", ""))
        self.more = bool(getattr(self._function, "more", False))

    def __call__(self, found: Found) -> float:
        try:
            value = self._function(found)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise UserError(f"objective {self.name}: raised {what}; mend the function") from error
        number = isinstance(value, int | float | np.number)
        if not number or not math.isfinite(value):
            raise UserError(f"objective {self.name}: returned {value!r}, it must be a number")
        return float(value)


def _load(file: Path, name: str) -> Callable[[Found], float]:
    """Function `name` of a Python file."""
    spec = importlib.util.spec_from_file_location(f"_objective_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UserError(f"objective {file}:{name}: no such Python file; name FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"objective {file}: cannot be read ({what}); mend the file") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"objective {file}: has no function {name!r}; name one that it has")
    found: Callable[[Found], float] = function
    return found


BIT_OPERATIONS = "bit-operations"
COSTS: Mapping[str, Cost] = {
    "size": WorkCost("size", "kB", False, size_kb),
    BIT_OPERATIONS: WorkCost("bit operations", "M", False, bit_operations),
    "eliminated": Eliminated(),
    "silago-speedup": WorkCost("SiLago speedup", "x", True, paper_speedup(SiLago.factor)),
    "silago-true-speedup": WorkCost("SiLago true speedup", "x", True, true_speedup(SiLago.factor)),
    "silago-energy": WorkCost("SiLago energy", "uJ", False, SiLago.energy),
    "bitfusion-speedup": WorkCost("Bitfusion speedup", "x", True, paper_speedup(Bitfusion.factor)),
    "bitfusion-true-speedup": WorkCost(
        "Bitfusion true speedup", "x", True, true_speedup(Bitfusion.factor)
    ),
}
"""Those that every evaluation has: they take no time."""
