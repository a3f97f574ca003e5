# SPDX-License-Identifier: Apache-2.0
"""How to quantize a model: bits for all paths, for single paths, and for skipped candidates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .arithmetic import WIDTHS
from .clipping import CLIPPINGS
from .delta import DELTA_MODES, EXACT
from .errors import UserError
from .model import FloatLayer, FloatModel, FloatPath

GRANULARITIES = ("row", "tensor")
SKIPS = ("none", "all", "part")
SKIPPED_BITS = (16, 16)
"""Weight and activation bits of a path that is skipped."""

Bits = tuple[int, int]
Part = tuple[tuple[str, ...], Bits]
"""Gates that one quantized path feeds, and its weight and activation bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How to quantize.

    weight_bits, activation_bits: 2, 4, 8 or 16.
    granularity: a weight scale per "row" (a unit's gate) or per "tensor" (a gate's whole matrix).
    clipping: "mmse" (least squared error) or "max" (nothing is cut).
    skip: which recurrent layers keep 16 bits in the recurrent path of their candidate (LSTM g,
        GRU n, LiGRU a): "none", "all", or "part", the first half, rounded up.
    delta_mode: what an element that fires sends: "exact" (the difference) or "power_of_two" (the
        signed power of two nearest to it).
    overrides: (weight bits, activation bits) of single paths by name. "LAYER.SOURCE" is a path of
        the model, which `skip` may still split; "LAYER.SOURCE.GATES" splits it, also after `skip`.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    granularity: str = "row"
    clipping: str = "mmse"
    skip: str = "none"
    delta_mode: str = EXACT
    overrides: Mapping[str, Bits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("weight bits", self.weight_bits, WIDTHS),
            ("activation bits", self.activation_bits, WIDTHS),
            ("granularity", self.granularity, GRANULARITIES),
            ("clipping", self.clipping, CLIPPINGS),
            ("skip", self.skip, SKIPS),
            ("delta mode", self.delta_mode, DELTA_MODES),
            *((f"weight bits of {name}", bits[0], WIDTHS) for name, bits in self._overrides()),
            *((f"activation bits of {name}", bits[1], WIDTHS) for name, bits in self._overrides()),
        ):
            if value not in allowed:
                rule = ", ".join(map(str, allowed))
                raise UserError(f"{what}: {value!r} is not possible, it must be one of {rule}")

    def _overrides(self) -> Iterator[tuple[str, Bits]]:
        yield from self.overrides.items()

    def check_paths(self, model: FloatModel) -> None:
        """Raise UserError for an override of a path that `model` does not have."""
        paths = [(layer, path) for layer in model.layers for path in layer.paths]
        for name in self.overrides:
            if not any(_named(name, layer, path) for layer, path in paths):
                names = [_name(layer, path) for layer, path in paths]
                layer, path = max(paths, key=lambda pair: len(pair[1].gates))
                example = f"{_name(layer, path)}.{path.gates[0]}"
                raise UserError(
                    f"path {name!r}: no such path; paths: {', '.join(names)}, and parts of them "
                    f"by their gates, like {example}"
                )

    def skips(self, model: FloatModel) -> frozenset[str]:
        """Names of the layers whose candidate is skipped."""
        recurrent = [layer.name for layer in model.layers if layer.cell.candidate]
        count = {"none": 0, "all": len(recurrent), "part": -(-len(recurrent) // 2)}[self.skip]
        return frozenset(recurrent[:count])

    def parts(self, layer: FloatLayer, path: FloatPath, *, skipped: bool) -> list[Part]:
        """The paths that this one of the model becomes; skipped: the layer is in `skips`."""
        whole: Bits = (self.weight_bits, self.activation_bits)
        own: list[Part] = []
        if skipped and path.source != "x" and layer.cell.candidate in path.gates:
            own.append(((layer.cell.candidate,), SKIPPED_BITS))
        for name, bits in self.overrides.items():
            gates = _named(name, layer, path)
            if name == _name(layer, path):
                whole = bits
            elif gates:
                own.append((gates, bits))
        parts: list[Part] = [(path.gates, whole)]
        for gates, bits in own:
            rest = [(tuple(g for g in fed if g not in gates), b) for fed, b in parts]
            parts = [*((fed, b) for fed, b in rest if fed), (gates, bits)]
        return parts


def _name(layer: FloatLayer, path: FloatPath) -> str:
    return f"{layer.name}.{layer.at(path)}"


def _named(name: str, layer: FloatLayer, path: FloatPath) -> tuple[str, ...]:
    """The gates of `path` that `name` stands for, in their order; none if it is another path."""
    own = _name(layer, path)
    if name == own:
        return path.gates
    prefix, dot, rest = name.rpartition(".")
    if not dot or prefix != own:
        return ()
    named: set[str] = set()
    while rest:  # no gate's name begins with another's of the same cell
        gate = next((g for g in path.gates if rest.startswith(g)), None)
        if gate is None or gate in named:
            return ()
        named.add(gate)
        rest = rest[len(gate) :]
    return tuple(g for g in path.gates if g in named)
