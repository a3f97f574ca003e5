# SPDX-License-Identifier: Apache-2.0
"""What all evaluations of a search share, and one evaluation."""

import hashlib
import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, cast

import numpy as np

import deltaloom

from ..golden.arithmetic import Reals
from ..golden.data import Dataset
from ..golden.engines.engine import Result, quantize_frames, run_networks
from ..golden.errors import UserError
from ..golden.evaluation.evaluate import run_float_dataset
from ..golden.evaluation.metrics import Metric
from ..golden.evaluation.networks import (
    AnyFloat,
    AnyNetwork,
    N,
    Outcome,
    paths_by_layer,
    real_outputs,
    run_settings,
)
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.models.float_model import FloatModel
from ..golden.models.network import Network
from ..golden.models.states import first_codes
from ..golden.quantization.calibration import Statistics
from ..golden.quantization.quantize import Kept, quantize_with
from ..golden.quantization.scheme import Scheme
from .catalogue import find_cost
from .costs import COSTS
from .genes import Choice
from .goals import DENSE, ERRORS, FITS, FLOAT
from .options import Options
from .work import Found, Work

THIN = 4
"""A thin evaluation runs one sequence in so many."""
CHUNK = 1 << 17
"""Frames of all networks together that run at once: some 300 MB for layers of 128 units."""
CODE = ("golden", "hw/estimates", "hw/compiler", "search", "training")
"""Folders of the package whose code says what an evaluation finds."""
SILENT_DB = -300.0
"""NMSE of outputs that are float's own."""

Values = Mapping[str, float]
"""By name: "error", "nmse", costs, and `FITS`."""


@dataclass(frozen=True, kw_only=True)
class AnyProblem(ABC, Generic[N]):
    """Networks, data and rules: an evaluation is a function of this and a choice.

    Members
    -------
    model: the float model, where there is one.
    dataset: what errors and events are taken on.
    metric: of "error".
    names: values that are wanted; what costs no time comes on top.
    options: of the silicon's costs.
    board: that a candidate should fit, or "".
    more: a digest of what else values depend on, or "".
    """

    model: AnyFloat | None
    dataset: Dataset
    metric: Metric
    names: tuple[str, ...] = ("error", "size")
    options: Options = field(default_factory=Options)
    board: str = ""
    more: str = ""

    def __post_init__(self) -> None:
        model = self.subject
        self.dataset.check_width(model.inputs, tokens=model.tokens)
        if not self.dataset.frames:
            raise UserError("tuning data: no frames; give some sequences")
        if "error" in self.names and not self.dataset.scored:
            raise UserError(
                "tuning data: no frame has a label or a target, so there is no error; add them, or "
                "take nmse in place of error"
            )

    @property
    @abstractmethod
    def subject(self) -> AnyFloat | AnyNetwork:
        """What the data must fit."""

    @property
    @abstractmethod
    def paths(self) -> tuple[str, ...]:
        """Names of the paths that choices name."""

    @abstractmethod
    def quantize(self, choice: Choice, kept: Kept) -> N:
        """The network of a choice, without its thresholds; kept: what was made for others."""

    @abstractmethod
    def exact(self, dataset: Dataset) -> list[Reals]:
        """The outputs [steps, outputs] that "nmse" is to."""

    @property
    def reference(self) -> str:
        """What "nmse" is to, in words."""
        return DENSE if self.model is None else FLOAT

    @abstractmethod
    def add_to(self, result: "hashlib._Hash") -> None:
        """Take what evaluations depend on besides the members of this class into a digest."""

    @cached_property
    def digest(self) -> str:
        """Of everything that an evaluation depends on, but the choice: code, model, data, rules."""
        result = hashlib.sha256()
        self.add_to(result)
        data = self.dataset
        for arrays in (data.features, data.labels, data.targets, data.offset):
            _add(result, arrays or ())
        result.update(repr([*data.states]).encode())
        _add(result, [*data.states.values()])
        rules = [
            asdict(self.options),
            self.board,
            self.more,
            self.metric.name,
            sorted((self.metric.fold or {}).items()),
            sorted({*self.names} - {*COSTS, *ERRORS}),
            self.dataset.task,
        ]
        result.update(repr(rules).encode())
        for file in self._files():
            result.update(file.read_bytes())
        return result.hexdigest()

    def _files(self) -> Iterable[Path]:
        """Code that evaluations run: deltaloom's, and the user's own functions."""
        root = Path(deltaloom.__file__).parent
        for folder in CODE:
            yield from sorted((root / folder).rglob("*.py"))
        own = [name.rpartition(":")[0] for name in (self.metric.name, *self.names)]
        yield from (Path(name) for name in own if name and Path(name).is_file())


@dataclass(frozen=True, kw_only=True)
class Problem(AnyProblem[Network]):
    """A float model that is quantized anew for each choice.

    Members
    -------
    model: to be quantized; balanced, where its inputs need scales.
    statistics: of the calibration data.
    scheme: how to quantize, but for bits.
    """

    model: FloatModel
    statistics: Statistics
    scheme: Scheme = field(default_factory=Scheme)

    @property
    def subject(self) -> FloatModel:
        return self.model

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(name for names in paths_by_layer(self.model) for name in names)

    def quantize(self, choice: Choice, kept: Kept) -> Network:
        # What `skip` splits off depends on the choice only by its bits, which `kept` knows.
        scheme = choice.scheme(self.scheme)
        return quantize_with(self.model, self.statistics, scheme, kept=kept)

    def exact(self, dataset: Dataset) -> list[Reals]:
        return run_float_dataset(self.model, dataset)

    def add_to(self, result: "hashlib._Hash") -> None:
        add_file(result, self.model)
        for seen in self.statistics:
            _add(result, [*seen.samples.values(), *seen.frames.values()])
            _add(result, [np.array([seen.x, seen.c, seen.h, *seen.c_errors.values()])])
        result.update(repr(asdict(self.scheme)).encode())


def add_file(result: "hashlib._Hash", model: AnyFloat | AnyNetwork) -> None:
    """Take a model or a network into a digest, as its file has it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model"
        model.save(file)
        result.update(file.read_bytes())


def _add(result: "hashlib._Hash", arrays: Sequence[np.ndarray]) -> None:
    for array in arrays:
        result.update(f"{array.dtype} {array.shape}".encode())
        result.update(np.ascontiguousarray(array).tobytes())


class Bench(Generic[N]):
    """Evaluates choices of one problem, in this process.

    reference: the float model that `nmse` is to; None: the problem's own.
    """

    def __init__(self, problem: AnyProblem[N], *, reference: AnyFloat | None = None) -> None:
        self._problem, self._reference = problem, reference
        self._costs = {name: find_cost(name) for name in problem.names if name not in _PLAIN}
        self._kept: Kept = {}
        self._thin: Dataset | None = None
        self._exact: dict[bool, list[np.ndarray]] = {}

    def run(self, choices: Sequence[Choice], thin: bool = False) -> list[Values]:
        """The values of choices, measured side by side; thin: on one sequence in `THIN`."""
        dataset = self._data(thin)
        networks = [choice.with_thresholds(self.quantize(choice)) for choice in choices]
        found = zip(choices, networks, _run(networks, dataset), strict=True)
        return [self._values(*one, dataset, thin) for one in found]

    def _values(
        self,
        choice: Choice,
        network: N,
        results: Sequence[Result | Outcome],
        dataset: Dataset,
        thin: bool,
    ) -> Values:
        problem = self._problem
        outputs = [real_outputs(network, result.outputs) for result in results]
        error = problem.metric(dataset, outputs) if dataset.scored else math.nan
        found = Found(
            choice=choice,
            network=network,
            work=Work.of(network, problem.paths),
            error=error,
            nmse=self._nmse(outputs, thin),
            frames=dataset.frames,
            events=[result.events for result in results],
            options=problem.options,
        )
        values = {"error": found.error, "nmse": found.nmse}
        values |= {name: float(cost(found)) for name, cost in {**COSTS, **self._costs}.items()}
        if problem.board:
            from .silicon import overuse

            values[FITS] = overuse(found, problem.board)
        return values

    def quantize(self, choice: Choice) -> N:
        """The network of a choice, without its thresholds."""
        return self._problem.quantize(choice, self._kept)

    def frames(self, thin: bool) -> int:
        """Frames that an evaluation runs."""
        return self._data(thin).frames

    def float_error(self) -> float:
        """Of the float model; NaN where there is none, or nothing is scored."""
        dataset, model = self._problem.dataset, self._problem.model
        if not dataset.scored or model is None:
            return math.nan
        return self._problem.metric(dataset, self._outputs(False))

    def _data(self, thin: bool) -> Dataset:
        dataset = self._problem.dataset
        if not thin:
            return dataset
        if self._thin is None:
            order = sorted(range(len(dataset)), key=lambda n: len(dataset.features[n]))
            self._thin = dataset.subset(sorted(order[THIN // 2 :: THIN] or order))
        return self._thin

    def _outputs(self, thin: bool) -> list[np.ndarray]:
        if thin not in self._exact:
            data = self._data(thin)
            self._exact[thin] = (
                self._problem.exact(data)
                if self._reference is None
                else run_float_dataset(self._reference, data)
            )
        return self._exact[thin]

    def _nmse(self, outputs: list[np.ndarray], thin: bool) -> float:
        exact = self._outputs(thin)
        change = sum(float(np.square(a - b).sum()) for a, b in zip(outputs, exact, strict=True))
        energy = sum(float(np.square(b).sum()) for b in exact)
        part = change / energy if energy else change
        return max(10 * math.log10(part), SILENT_DB) if part > 0 else SILENT_DB


_PLAIN = {*COSTS, *ERRORS, FITS}


def _run(networks: Sequence[AnyNetwork], dataset: Dataset) -> Iterator[Sequence[Result | Outcome]]:
    """The golden model over all sequences, some at a time; of each network."""
    found: list[dict[int, Result | Outcome]] = [{} for _ in networks]
    for places in dataset.chunks(CHUNK // max(len(networks), 1)):
        chunk = dataset.subset(places)
        for own, results in zip(found, _run_chunk(networks, chunk), strict=True):
            own.update(zip(places, results, strict=True))
    for own in found:
        yield [own[n] for n in range(len(dataset))]


def _run_chunk(
    networks: Sequence[AnyNetwork], chunk: Dataset
) -> Iterable[Sequence[Result | Outcome]]:
    """Of each network; those of our own arithmetic run side by side."""
    if isinstance(networks[0], IntegerNetwork):
        return [next(run_settings(network, chunk, [{}])) for network in networks]
    own = cast(Sequence[Network], networks)
    words = [quantize_frames(own[0], x) for x in chunk.features]
    firsts = [first_codes(network, chunk.states, len(chunk)) for network in own]
    return run_networks(own, words, firsts)
