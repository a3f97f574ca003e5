# SPDX-License-Identifier: Apache-2.0
"""Error, size and eliminated operations over widths, schemes and thresholds.

Widths of weights and of activations are swept each on its own, 2 to 16 bits; schemes by name stand
beside them, the integer-only LSTM among them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..data import Dataset
from ..errors import UserError
from ..models.float_model import FloatModel
from ..quantization.calibration import Progress, Statistics, ignore_progress
from ..quantization.quantize import quantize_with
from ..quantization.scheme import Scheme
from .evaluate import run_dataset_settings, run_float_dataset, size_bits
from .metrics import Metric, metric_of
from .networks import AnyFloat, AnyNetwork, activation_bits
from .operations import eliminated
from .pairs import check_pair
from .thresholds import scaled_thresholds

__all__ = [
    "Candidate",
    "Sweep",
    "SweepPoint",
    "of_network",
    "of_scheme",
    "of_widths",
    "sweep",
    "sweep_networks",
]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One network.

    Members
    -------
    weight_bits, activation_bits: of all paths but those that are skipped; None where a scheme's
        paths differ.
    error: by the sweep's metric, in its unit.
    size_bits: bits of all parameters, see `evaluate.size_bits`.
    scheme: its name; "" for one of the swept widths.
    threshold: of all paths, in 8-bit codes; of other widths the same part of the range.
    eliminated: percent of all multiply-accumulates that deltas leave out, as measured.
    """

    weight_bits: int | None
    activation_bits: int | None
    error: float
    size_bits: int
    scheme: str = ""
    threshold: int = 0
    eliminated: float = math.nan

    @property
    def name(self) -> str:
        """The network's, without its threshold."""
        return _name(self.scheme, self.weight_bits, self.activation_bits)


def _name(scheme: str, weight_bits: int | None, activation_bits: int | None) -> str:
    return scheme or f"W{weight_bits} A{activation_bits}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Errors over widths, schemes and thresholds.

    Members
    -------
    metric: title and unit of the errors.
    float_error: of the float model; None without one.
    points: network by network, and threshold by threshold of each.
    """

    metric: tuple[str, str]
    float_error: float | None
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to be swept.

    Members
    -------
    make: what makes it.
    source: the network itself, or what it is made of: of as many inputs and outputs.
    scheme, bits: as `SweepPoint` has them; without bits, those that the network has.
    """

    make: Callable[[], AnyNetwork]
    source: AnyNetwork | AnyFloat
    scheme: str = ""
    bits: tuple[int | None, int | None] = (None, None)

    @property
    def name(self) -> str:
        """As `SweepPoint.name`."""
        return _name(self.scheme, *self.bits)


def of_widths(
    model: FloatModel,
    statistics: Statistics,
    weight_bits: Sequence[int],
    activation_bits: Sequence[int],
    scheme: Scheme | None = None,
) -> Iterator[Candidate]:
    """Every pair of these widths, weight bits by weight bits; else as in `sweep`."""
    scheme = scheme or Scheme()
    if scheme.roles or scheme.overrides:
        raise UserError("sweep: the scheme names bits of single paths; a sweep sets them all")
    for weights in weight_bits:
        for activations in activation_bits:
            own = replace(scheme, weight_bits=weights, activation_bits=activations)
            yield Candidate(_quantizes(model, statistics, own), model, bits=(weights, activations))


def of_scheme(name: str, model: FloatModel, statistics: Statistics, scheme: Scheme) -> Candidate:
    """The network of a scheme, called `name`."""
    return Candidate(_quantizes(model, statistics, scheme), model, name)


def of_network(name: str, network: AnyNetwork) -> Candidate:
    """A network that is there already, called `name`."""
    return Candidate(lambda: network, network, name)


def _quantizes(
    model: FloatModel, statistics: Statistics, scheme: Scheme
) -> Callable[[], AnyNetwork]:
    return lambda: quantize_with(model, statistics, scheme)


def sweep(
    model: FloatModel,
    statistics: Statistics,
    dataset: Dataset,
    weight_bits: Sequence[int],
    activation_bits: Sequence[int],
    scheme: Scheme | None = None,
    metric: Metric | None = None,
    progress: Progress = ignore_progress,
) -> Sweep:
    """Quantize with each pair of widths, otherwise by `scheme`; the errors on `dataset`.

    Parameters
    ----------
    model: what is quantized.
    statistics: of calibration data, from `calibration.observe`.
    dataset: labelled sequences, which the errors are over.
    weight_bits, activation_bits: widths to try, 2 to 16; all paths get them but those that the
        scheme skips.
    scheme: everything else; None: the defaults. It must not name bits of single paths.
    metric: what the error is; None: that of the data's task.
    progress: called with what is being done and the part that is done, 0..1.
    """
    candidates = of_widths(model, statistics, weight_bits, activation_bits, scheme)
    return sweep_networks(candidates, dataset, model, metric=metric, progress=progress)


def sweep_networks(
    candidates: Iterable[Candidate],
    dataset: Dataset,
    model: AnyFloat | None = None,
    *,
    thresholds: Sequence[int] = (0,),
    keep_input: bool = False,
    metric: Metric | None = None,
    progress: Progress = ignore_progress,
) -> Sweep:
    """The errors of networks with each of these thresholds on `dataset`.

    Parameters
    ----------
    candidates: the networks; their own thresholds do not count.
    dataset: labelled sequences.
    model: the float model beside them; None: none.
    thresholds: of all paths, in 8-bit codes; of other widths the same part of the range.
    keep_input: the input frames' threshold stays 0, as that of tokens does.
    metric, progress: as in `sweep`.

    Raises UserError, before anything runs, where two networks have one name, or one has other
    inputs or outputs than the model.
    """
    metric, candidates = metric or metric_of(dataset), list(candidates)
    if not (candidates and thresholds):
        raise UserError("sweep: nothing to try; name at least one network and one threshold")
    names = [candidate.name for candidate in candidates]
    for candidate in candidates:
        if names.count(candidate.name) > 1:
            raise UserError(f"sweep: {candidate.name} is there twice; leave one of them out")
        if model is not None:
            check_pair(candidate.source, model)
    float_error = None
    if model is not None:
        float_error = metric(dataset, run_float_dataset(model, dataset, progress))
    points: list[SweepPoint] = []
    for n, candidate in enumerate(candidates):
        network = candidate.make()
        settings = [scaled_thresholds(network, t, keep_input=keep_input) for t in thresholds]
        found = run_dataset_settings(network, dataset, settings)
        bits = candidate.bits if any(candidate.bits) else _bits(network)
        for threshold, totals in zip(thresholds, found, strict=True):
            points.append(
                SweepPoint(
                    *bits,
                    error=metric(dataset, totals.real(network)),
                    size_bits=size_bits(network),
                    scheme=candidate.scheme,
                    threshold=threshold,
                    eliminated=eliminated(network, totals.events, dataset.frames),
                )
            )
        progress("networks", (n + 1) / len(candidates))
    return Sweep((metric.title, metric.unit), float_error, tuple(points))


def _bits(network: AnyNetwork) -> tuple[int | None, int | None]:
    """Those that all paths have; None where they differ."""
    weights = {path.weight_bits for _, path in network.paths()}
    activations = {activation_bits(path) for _, path in network.paths()}
    first, second = (each.pop() if len(each) == 1 else None for each in (weights, activations))
    return first, second
