# SPDX-License-Identifier: Apache-2.0
"""How to quantize a model: bits for all paths, by a path's role, for single paths, and for skipped
candidates; and by which rules values are cut and rounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral

from ..arithmetic import GOLDEN_WIDTHS
from ..delta import DELTA_MODES, EXACT
from ..errors import UserError
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel, FloatPath
from .clipping import check_clipping

GRANULARITIES = ("row", "tensor")
INPUT_SCALES = ("auto", "none", "feature")
SKIPS = ("none", "all", "part")
RANGES = ("all", "median")
CODES = ("symmetric", "asymmetric", "auto")
ROUNDINGS = ("nearest", "gptq", "corrected", "auto")
FEW_BITS = 4
"""Up to here "auto" rounds weights by GPTQ and gives activations a zero point: the best on all
networks that docs/quantization.md measures."""
MOST_CORRECTED_BITS = 8
"""Of weights: beyond, the nearest codes are as good as any."""
ROLES = ("input", "first state", "output")
SKIPPED_BITS = (16, 16)
"""Weight and activation bits of a path that is skipped."""

Bits = tuple[int, int]
Part = tuple[tuple[str, ...], Bits]
"""Gates that one quantized path feeds, and its weight and activation bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How to quantize.

    Members
    -------
    weight_bits, activation_bits: 2..16; the hardware has 2, 4, 8 and 16.
    granularity: a weight scale per "row" (a unit's gate) or per "tensor" (a gate's whole matrix).
    clipping: where weights are cut, a rule of `clipping`.
    activation_clipping: where activations are, None: by the same rule.
    activation_range: the rule is for the values of "all" calibration sequences together, or it is
        the "median" of what the rule gives for each.
    activation_codes: "symmetric", "asymmetric" with a zero point, from the lowest to the highest
        value, or "auto": that up to 4 bits. 16-bit codes are always the words themselves.
    rounding: of weights, to the "nearest" code, to that with the product's mean "corrected" by the
        bias, by "gptq" where that lowers a path's error, or "auto": "gptq" up to 4 bits, the
        nearest above.
    skip: which recurrent layers keep 16 bits in the recurrent path of their candidate (LSTM g, GRU
        n, LiGRU a): "none", "all", or "part", the first half, rounded up; the two directions of a
        bidirectional layer count as one.
    delta_mode: what an element that fires sends: "exact" (the difference) or "power_of_two" (the
        signed power of two nearest to it).
    input_scale: a scale per input feature: "none", "feature", or "auto", where their ranges differ
        much and products lose less; see `input_ranges.balance_inputs`.
    roles: (weight bits, activation bits) by a path's role, see `roles_of`.
    overrides: (weight bits, activation bits) of single paths by name. "LAYER.SOURCE" is a path of
        the model, which `skip` may still split; "LAYER.SOURCE.GATES" splits it, also after `skip`.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    granularity: str = "row"
    clipping: str = "mmse"
    activation_clipping: str | None = None
    activation_range: str = "all"
    activation_codes: str = "auto"
    rounding: str = "auto"
    skip: str = "none"
    delta_mode: str = EXACT
    input_scale: str = "auto"
    roles: Mapping[str, Bits] = field(default_factory=dict)
    overrides: Mapping[str, Bits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bits("", (self.weight_bits, self.activation_bits))
        for name, bits in (*self.roles.items(), *self.overrides.items()):
            check_bits(f" of {name}", bits)
        check_clipping("clipping", self.clipping)
        check_clipping("activation clipping", self.activation_rule)
        for what, value, allowed in (
            ("granularity", self.granularity, GRANULARITIES),
            ("activation range", self.activation_range, RANGES),
            ("activation codes", self.activation_codes, CODES),
            ("rounding", self.rounding, ROUNDINGS),
            ("skip", self.skip, SKIPS),
            ("input scale", self.input_scale, INPUT_SCALES),
            ("delta mode", self.delta_mode, DELTA_MODES),
            *(("role", role, ROLES) for role in self.roles),
        ):
            if value not in allowed:
                rule = ", ".join(allowed)
                raise UserError(f"{what}: {value!r} is not possible, it must be one of {rule}")
        if self.activation_codes == "asymmetric" and self.activation_rule == "paper":
            raise UserError(
                "activation codes: 'asymmetric' is not possible with 'paper' clipping, which is "
                "symmetric; clip activations by mmse, max or percentile:P"
            )

    @property
    def activation_rule(self) -> str:
        """The clipping of activations."""
        return self.clipping if self.activation_clipping is None else self.activation_clipping

    def rounding_of(self, bits: int) -> str:
        """How weights of so many bits are rounded: all of `ROUNDINGS` but "auto"."""
        if self.rounding == "auto":
            return "gptq" if bits <= FEW_BITS else "nearest"
        return "nearest" if bits > MOST_CORRECTED_BITS else self.rounding

    def codes_of(self, bits: int) -> str:
        """Activation codes of so many bits: "symmetric" or "asymmetric"."""
        if self.activation_codes != "auto":
            return self.activation_codes
        few = bits <= FEW_BITS and self.activation_rule != "paper"
        return "asymmetric" if few else "symmetric"

    def for_model(self, model: FloatModel) -> "Scheme":
        """The same scheme for `model`, with the names of its paths in place of their roles.

        Raises UserError for an override of a path that `model` does not have.
        """
        self.check_paths(model)
        roles = roles_of(model) if self.roles else {}
        named = {name: self.roles[role] for name, role in roles.items() if role in self.roles}
        return replace(self, roles={}, overrides={**named, **self.overrides})

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
        levels: dict[tuple[int, ...], list[str]] = {}  # both directions read the same
        for n, layer in enumerate(model.layers):
            if layer.cell.candidate:
                levels.setdefault(graph.inputs_of(model.layers, n), []).append(layer.name)
        count = {"none": 0, "all": len(levels), "part": -(-len(levels) // 2)}[self.skip]
        return frozenset(name for level in [*levels.values()][:count] for name in level)

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


def check_bits(whose: str, bits: Bits) -> None:
    """Raise UserError unless (weight bits, activation bits) are widths that golden has."""
    for what, value in zip(("weight", "activation"), bits, strict=True):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or value not in GOLDEN_WIDTHS:
            raise UserError(
                f"{what} bits{whose}: {value!r} is not possible, it must be one of "
                f"{GOLDEN_WIDTHS[0]}..{GOLDEN_WIDTHS[-1]}"
            )


def roles_of(model: FloatModel) -> dict[str, str]:
    """By path name, the role of each path that has one.

    "input": the products with the frames. "first state": the recurrent products of the layers that
    take the frames, or, if they have none, as in an SRU, the first projection after them.
    "output": the linear layers after the last cell. The papers give these their own bits.
    """
    layers, roles = model.layers, {}
    cells = [n for n, layer in enumerate(layers) if layer.kind != "linear"]
    first = [n for n in range(len(layers)) if graph.FRAMES in graph.inputs_of(layers, n)]
    projections = {layer.h_from for layer in layers} - {""}
    state = [n for n in first if layers[n].cell.recurrent]
    after_cells = cells[-1] if cells else -1
    for n, layer in enumerate(layers):
        linear = layer.kind == "linear" and layer.name not in projections
        if linear and cells and not state and cells[0] < n < after_cells:
            state = [n]
        for path in layer.paths:
            if linear and n > after_cells:
                role = "output"
            elif n in first and path.source == "x":
                role = "input"
            elif n in state:
                role = "first state"
            else:
                continue
            roles[_name(layer, path)] = role
    return roles


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
