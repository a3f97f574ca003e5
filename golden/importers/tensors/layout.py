# SPDX-License-Identifier: Apache-2.0
"""What a layer's tensors are called and how they are ordered: `layouts` has one for each kind."""

import re
from dataclasses import dataclass
from functools import cached_property

from ...cells.norm import EPSILON

__all__ = ["NORM_KIND", "Idle", "Layout", "Norm", "Tensor"]

NORM_KIND = "layer_norm"
"""Of a layer that is a norm: gains and offsets, and a matrix of 1, which is not stored."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a layer, rows gate by gate: [gates * units, columns], or [gates * units].

    name: what follows the module's prefix; "{n}" stands for the layer's number in the module.
    gates: the cell's gates in the order of the rows; of a vector, names of `Cell.vectors`.
    source: of weights, the path that they make: "x" or "h"; "rh" is h after the reset gate.
    after_reset: gates among `gates` whose rows read "rh" and not `source`.
    rows: of biases, how many there are along a first axis.
    negated: names among `gates` of a vector whose stored rows have the other sign.
    """

    name: str
    gates: tuple[str, ...]
    source: str = ""
    after_reset: tuple[str, ...] = ()
    rows: int = 1
    negated: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.name).replace(r"\{n\}", r"(?P<n>0|[1-9][0-9]{0,9})"))

    def number(self, leaf: str) -> int | None:
        """Layer number in `leaf`, the end of a tensor's name; None where it is another's."""
        match = self.pattern.fullmatch(leaf)
        return None if match is None else int(match.groupdict().get("n", 0))

    def source_of(self, gate: str) -> str:
        return "rh" if gate in self.after_reset else self.source


@dataclass(frozen=True)
class Norm:
    """BatchNorm1d over the product of the input with the rows of `gates`; `name` as in `Tensor`."""

    name: str
    gates: tuple[str, ...]

    PARTS = ("weight", "bias", "running_mean", "running_var")
    EPSILON = 1e-5

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(Tensor(f"{self.name}.{part}", self.gates) for part in self.PARTS)


@dataclass(frozen=True)
class Idle:
    """A tensor that changes nothing while all its elements are `value`; None: whatever they are."""

    name: str
    what: str
    value: float | None = None


@dataclass(frozen=True)
class Layout:
    """One kind of layer as one framework stores it.

    kind: its entry in `CELLS`. family: layouts of one family share tensor names; which of them a
    layer is follows from which tensors there are and from their shapes.
    gains, offsets: of layer normalization, as vectors: all gains are needed; the offsets that there
    are, or several of one vector, are added up. epsilon: of its norms.
    weights: all needed, none of a layer that is a norm. biases: all or none; the layer's bias is
    their sum over the gates that each covers. vectors: all or none, then zeros. norms: all or
    none, then without BatchNorm.
    skip_scale, projection, norm: names of what `sru` reads; of the norm, a module's. h_projection:
    of [units, units] before "h" and the output: the matrix of an LSTM's projection.
    reverse: what the names of a backward direction's tensors end in. shares: both directions, if
    there are two, have these tensors, and how many there are is not in the names.
    several: other layers may have such names, so that a tensor is a sign of it only beside two of
    its weights.
    columns_first: matrices are [columns, rows]. interleaved: rows unit by unit, not gate by gate.
    """

    title: str
    kind: str
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...] = ()
    vectors: tuple[Tensor, ...] = ()
    gains: tuple[Tensor, ...] = ()
    offsets: tuple[Tensor, ...] = ()
    epsilon: float = EPSILON
    norms: tuple[Norm, ...] = ()
    idle: tuple[Idle, ...] = ()
    skip_scale: str = ""
    projection: str = ""
    norm: str = ""
    h_projection: str = ""
    reverse: str = ""
    shares: bool = False
    several: bool = False
    family: str = ""
    columns_first: bool = False
    interleaved: bool = False
    separator: str = "."

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        norms = [tensor for norm in self.norms for tensor in norm.tensors]
        own = (*self.weights, *self.biases, *self.vectors, *self.gains, *self.offsets)
        return (*own, *norms)

    @cached_property
    def normed(self) -> tuple[Tensor, ...]:
        """Tensors of norms of either kind."""
        batch = (tensor for norm in self.norms for tensor in norm.tensors)
        return (*self.gains, *self.offsets, *batch)

    @cached_property
    def others(self) -> tuple[Tensor, ...]:
        """Tensors without rows of gates, as far as their names go."""
        names = [idle.name for idle in self.idle] + [
            self.skip_scale,
            self.projection,
            self.h_projection,
            *((f"{self.norm}.weight", f"{self.norm}.bias") if self.norm else ()),
        ]
        return tuple(Tensor(name, ()) for name in names if name)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(tensor.name for tensor in self.tensors + self.others)

    @property
    def numbered(self) -> bool:
        """Whether one module holds several layers."""
        return any("{n}" in weights.name for weights in self.weights)

    def place(self, name: str) -> tuple[str, int, str] | None:
        """Prefix of the module, layer's number and `Tensor.name` of a tensor called `name`."""
        parts = name.split(self.separator)
        for k in range(self.separator == "/", len(parts)):  # Keras's names have a layer's first
            leaf = self.separator.join(parts[k:])
            for tensor in self.tensors + self.others:
                number = tensor.number(leaf)
                if number is not None:
                    return self.separator.join(parts[:k]), number, tensor.name
        return None

    def split(self, name: str) -> tuple[str, bool | None]:
        """A tensor's name without what tells its direction, and whether that is backward.

        None: the name does not tell, so it is forward or the only one.
        """
        if self.reverse and name.endswith(self.reverse):
            return name.removesuffix(self.reverse), True
        half = _SCRIPTED_HALF.fullmatch(name) if self.separator == "." else None
        if half is not None:
            return f"{half['before']}{half['rest']}", half["direction"] == "1"
        *modules, layer, leaf = ["", *name.split("/")]
        half = _KERAS_HALF.fullmatch(layer) if self.separator == "/" else None
        if half is None:
            return name, None
        wrapper = "/".join(filter(None, modules)) or half["layer"]
        return f"{wrapper}/{leaf}", half["direction"] == "backward"

    def beside(self, plain: str, name: str) -> str:
        """The full name of a tensor that is called `plain` by `split`, in the direction of `name`.

        Both are of one module.
        """
        half = _SCRIPTED_HALF.fullmatch(name) if self.separator == "." else None
        if half is None:
            return plain
        before = half["before"]
        return f"{before}directions.{half['direction']}.{plain.removeprefix(before)}"

    def rule(self, tensor: Tensor, units: str | int, h: str | int = "") -> str:
        """The expected shape in words or numbers: "[4*units, inputs]", "[12, 3]".

        h: columns of what reads the output, if they are not the units.
        """
        count = len(tensor.gates) // tensor.rows
        rows = (
            units if count == 1 else count * units if isinstance(units, int) else f"{count}*units"
        )
        if not tensor.source:
            return f"[{tensor.rows}, {rows}]" if tensor.rows > 1 else f"[{rows}]"
        columns = "inputs" if tensor.source == "x" else h or units
        return f"[{columns}, {rows}]" if self.columns_first else f"[{rows}, {columns}]"


_SCRIPTED_HALF = re.compile(r"(?P<before>(.*\.)?)directions\.(?P<direction>[01])\.(?P<rest>.+)")
"""What PyTorch's custom_lstms.py calls the cells of a layer's two directions."""
_KERAS_HALF = re.compile(r"(?P<direction>forward|backward)_(?P<layer>.+)")
"""What Keras's Bidirectional calls its two layers."""
