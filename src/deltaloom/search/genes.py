# SPDX-License-Identifier: Apache-2.0
"""What a search varies: genes with ordered values, and what their values mean.

A genome is a level of each gene. A gene's values go from the cheapest to the most exact, so that a
step of a level is a small change.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, cast

from ..golden.errors import UserError
from ..golden.evaluation.networks import (
    AnyNetwork,
    AnyPath,
    N,
    activation_bits,
    paths_by_layer,
)
from ..golden.evaluation.thresholds import LADDER, MOST_THRESHOLD, scaled
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.models.float_model import FloatModel
from ..golden.quantization.scheme import Bits, Scheme, check_bits

Levels = tuple[int, ...]
BITS = (2, 4, 8, 16)
"""Widths that the hardware has."""
SHARES = ("path", "layer")
SETTINGS = ("skip", "word_bits", "lanes")
"""What may vary besides the paths' own genes: a field of the scheme, and of the accelerator."""


@dataclass(frozen=True, slots=True)
class Gene:
    """One thing that varies.

    Members
    -------
    kind: "weights", "activations", "bits" (both), "threshold", or one of `SETTINGS`.
    paths: names of the model's paths that it is of; none for a setting.
    values: from the cheapest to the most exact.
    """

    kind: str
    paths: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """For tables and charts."""
        return f"{common_name(self.paths)} {self.kind}".strip().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a genome stands for.

    Members
    -------
    bits: weight and activation bits by path of the model.
    thresholds: by path of the model, in 8-bit codes; of other widths the same part of the range.
    settings: by name, of `SETTINGS`.
    """

    bits: Mapping[str, Bits]
    thresholds: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A text that is the same for the same choice."""
        return json.dumps([self.bits, self.thresholds, self.settings], sort_keys=True)

    def scheme(self, base: Scheme) -> Scheme:
        """The scheme with these bits, all else as in `base`."""
        found = replace(base, overrides={**base.overrides, **self.bits})
        return replace(found, skip=self.settings["skip"]) if "skip" in self.settings else found

    def with_thresholds(self, network: N) -> N:
        """The network with these thresholds in its paths' own codes, skipped parts included."""
        wanted = {}
        for name, path in network.paths():
            parts = (n for n in self.thresholds if name.startswith(f"{n}."))
            own = name if name in self.thresholds else next(parts, None)
            value = 0 if own is None or path.tokens else self.thresholds[own]
            wanted[name] = max(scaled([value], activation_bits(path)))
        return cast(N, network.with_thresholds(wanted))


@dataclass(frozen=True, slots=True)
class Space:
    """All genomes.

    Members
    -------
    genes: that have more than one value.
    fixed: those that have one.
    """

    genes: tuple[Gene, ...]
    fixed: tuple[Gene, ...] = ()

    @classmethod
    def of(
        cls,
        model: FloatModel,
        *,
        weights: Sequence[int] = BITS,
        activations: Sequence[int] = BITS,
        thresholds: Sequence[int] = (0,),
        share: str = "path",
        tied: bool = False,
        settings: Mapping[str, Sequence[Any]] | None = None,
    ) -> "Space":
        """The space of a model.

        Parameters
        ----------
        weights, activations: bits to try.
        thresholds: to try, in 8-bit codes.
        share: whether each "path" has genes of its own, or all paths of a "layer" together.
        tied: weights and activations of a path have the same bits, of `weights`.
        settings: values by name, of `SETTINGS`.
        """
        for what, values in (("weights", weights), ("activations", activations)):
            for bits in values:
                check_bits(f" of {what}", (bits, bits))
        found: list[Gene] = []
        tokens = _token_paths(model)
        for paths in _groups(paths_by_layer(model), share):
            if tied:
                found.append(Gene("bits", paths, _rising(weights)))
            else:
                found.append(Gene("weights", paths, _rising(weights)))
                found.append(Gene("activations", paths, _rising(activations)))
            if not {*paths} <= tokens:
                found.append(_threshold_gene(paths, thresholds))
        return cls._of(found, settings)

    @classmethod
    def of_network(
        cls,
        network: AnyNetwork,
        *,
        thresholds: Sequence[int] = LADDER,
        share: str = "path",
        settings: Mapping[str, Sequence[Any]] | None = None,
    ) -> "Space":
        """The space of a network that is quantized already: thresholds, its bits are fixed.

        thresholds, share, settings: as in `of`; "skip" cannot vary.
        """
        if "skip" in (settings or {}):
            raise UserError("skip: cannot vary, the network is quantized already; leave it out")
        check_lanes(network, (settings or {}).get("lanes", ()))
        paths: dict[str, AnyPath] = dict(network.paths())
        found = []
        for group in _groups(paths_by_layer(network), share):
            found += [
                gene
                for name in group
                for gene in (
                    Gene("weights", (name,), (paths[name].weight_bits,)),
                    Gene("activations", (name,), (activation_bits(paths[name]),)),
                )
            ]
            if not all(paths[name].tokens for name in group):
                found.append(_threshold_gene(group, thresholds))
        return cls._of(found, settings)

    @classmethod
    def _of(cls, found: list[Gene], settings: Mapping[str, Sequence[Any]] | None) -> "Space":
        """Of the paths' genes, and of settings."""
        for name, options in (settings or {}).items():
            if name not in SETTINGS:
                raise UserError(f"{name}: cannot vary; settings: {', '.join(SETTINGS)}")
            found.append(Gene(name, (), tuple(dict.fromkeys(options))))
        for gene in found:
            if not gene.values:
                raise UserError(f"{gene.name}: no value to try; name at least one")
        space = cls(
            tuple(gene for gene in found if len(gene.values) > 1),
            tuple(gene for gene in found if len(gene.values) == 1),
        )
        if not space.genes:
            raise UserError("genes: nothing varies; give several bits, thresholds or settings")
        return space

    @property
    def size(self) -> int:
        """How many genomes there are."""
        return prod(len(gene.values) for gene in self.genes)

    @property
    def tops(self) -> Levels:
        """The highest level of each gene: all exact."""
        return tuple(len(gene.values) - 1 for gene in self.genes)

    @property
    def bottoms(self) -> Levels:
        """The lowest level of each gene: all cheap."""
        return (0,) * len(self.genes)

    def choice(self, levels: Iterable[int]) -> Choice:
        """What a genome stands for."""
        bits: dict[str, list[int]] = {}
        thresholds: dict[str, int] = {}
        settings: dict[str, Any] = {}
        chosen = zip(self.genes, levels, strict=True)
        values = [(gene, gene.values[level]) for gene, level in chosen]
        for gene, value in (*values, *((gene, gene.values[0]) for gene in self.fixed)):
            for path in gene.paths:
                own = bits.setdefault(path, [0, 0])
                if gene.kind in ("weights", "bits"):
                    own[0] = value
                if gene.kind in ("activations", "bits"):
                    own[1] = value
                if gene.kind == "threshold":
                    thresholds[path] = value
            if not gene.paths:
                settings[gene.kind] = value
        pairs = {path: (both[0], both[1]) for path, both in bits.items()}
        # Tokens have no threshold gene.
        return Choice(pairs, {path: thresholds.get(path, 0) for path in pairs}, settings)

    def groups(self) -> list[list[int]]:
        """Places of the genes that belong together: of the same paths, or of one setting."""
        found: dict[Any, list[int]] = {}
        for n, gene in enumerate(self.genes):
            found.setdefault(gene.paths or gene.kind, []).append(n)
        return [*found.values()]


def check_lanes(network: AnyNetwork, lanes: Iterable[str]) -> None:
    """Raise UserError for lanes that the hardware of such a network does not have."""
    for kind in lanes:
        if isinstance(network, IntegerNetwork) and kind != "multiplier":
            raise UserError(
                f"lanes: {kind!r} is not possible for an integer-only LSTM, it must be "
                "'multiplier'; leave it out"
            )


def _groups(layers: Sequence[tuple[str, ...]], share: str) -> list[tuple[str, ...]]:
    """Paths that have genes together."""
    if share not in SHARES:
        raise UserError(f"share: {share!r} is not possible, it must be {' or '.join(SHARES)}")
    if share == "layer":
        return [*layers]
    return [(name,) for names in layers for name in names]


def _threshold_gene(paths: tuple[str, ...], thresholds: Sequence[int]) -> Gene:
    for value in thresholds:
        if value not in range(MOST_THRESHOLD + 1):
            raise UserError(f"threshold: {value!r} is not possible, it must be 0..{MOST_THRESHOLD}")
    return Gene("threshold", paths, _rising(thresholds)[::-1])


def _token_paths(model: FloatModel) -> set[str]:
    """The paths that read tokens, which have no threshold."""
    return {f"{a.name}.{a.at(path)}" for a in model.layers for path in a.paths if path.tokens}


def _rising(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(values)))


def common_name(paths: Sequence[str]) -> str:
    """One path's name, or what several have in common: their layer."""
    if len(paths) < 2:
        return "".join(paths)
    words = [path.split(".") for path in paths]
    same = [a[0] for a in zip(*words, strict=False) if len(set(a)) == 1]
    return ".".join(same)
