# SPDX-License-Identifier: Apache-2.0
"""How frameworks name and order the tensors of the cells: what `checkpoint` can import.

To import another kind of layer, add an entry to `LAYOUTS` (and take it out of `refusal`).
"""

import re
from dataclasses import dataclass
from functools import cached_property

IFGO = ("i", "f", "g", "o")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a layer, rows gate by gate: [gates * units, columns], or [gates * units].

    name: what follows the module's prefix; "{n}" stands for the layer's number in the module.
    gates: the cell's gates in the order of the rows.
    source: of weights, the path that they make: "x" or "h".
    """

    name: str
    gates: tuple[str, ...]
    source: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.name).replace(r"\{n\}", r"(?P<n>0|[1-9][0-9]*)"))

    def number(self, leaf: str) -> int | None:
        """Layer number in `leaf`, the last part of a tensor's name; None where it is another's."""
        match = self.pattern.fullmatch(leaf)
        return None if match is None else int(match.groupdict().get("n", 0))

    def rule(self, units: str | int) -> str:
        """The expected shape in words or numbers: "[4*units, inputs]", "[12, 3]"."""
        count = len(self.gates)
        rows = (
            units if count == 1 else count * units if isinstance(units, int) else f"{count}*units"
        )
        columns = {"": "", "x": ", inputs", "h": f", {units}"}[self.source]
        return f"[{rows}{columns}]"


@dataclass(frozen=True)
class Layout:
    """One kind of layer as one framework stores it.

    kind: its entry in `CELLS`. weights: all needed. biases: all or none; the layer's bias is
    their sum over the gates that each covers.
    """

    title: str
    kind: str
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.weights + self.biases

    @property
    def names(self) -> tuple[str, ...]:
        """Layouts with the same names (nn.LSTM and nn.GRU) are told apart by shapes."""
        return tuple(t.name for t in self.tensors)

    @property
    def numbered(self) -> bool:
        """Whether one module holds several layers."""
        return "{n}" in self.weights[0].name


LAYOUTS = (
    Layout(
        "PyTorch nn.LSTM",
        "lstm",
        (Tensor("weight_ih_l{n}", IFGO, "x"), Tensor("weight_hh_l{n}", IFGO, "h")),
        (Tensor("bias_ih_l{n}", IFGO), Tensor("bias_hh_l{n}", IFGO)),
    ),
    Layout(
        "PyTorch nn.LSTMCell",
        "lstm",
        (Tensor("weight_ih", IFGO, "x"), Tensor("weight_hh", IFGO, "h")),
        (Tensor("bias_ih", IFGO), Tensor("bias_hh", IFGO)),
    ),
    Layout(
        "PyTorch nn.Linear", "linear", (Tensor("weight", ("y",), "x"),), (Tensor("bias", ("y",)),)
    ),
)

SUPPORTED = "supported: " + ", ".join(layout.title for layout in LAYOUTS)

_REFUSED = (
    (r"(weight|bias)_\w+_reverse", "the backward half of a bidirectional layer"),
    (r"weight_hr(_l\d+)?", "the projection of an LSTM with proj_size"),
    (r"running_mean|running_var|num_batches_tracked", "BatchNorm"),
    (r"weight_[gv]|original[01]", "weight normalization: take it off before saving"),
    (r"in_proj_(weight|bias)", "attention"),
)


def refusal(name: str, shape: tuple[int, ...]) -> str | None:
    """What a tensor belongs to that cannot be imported, or None where nothing is known about it."""
    *modules, leaf = name.split(".")
    for pattern, what in _REFUSED:
        if re.fullmatch(pattern, leaf):
            return what
    if leaf == "weight" and any("emb" in module.lower() for module in modules):
        return "an embedding"
    if leaf == "weight" and len(shape) >= 3:
        return "a convolution"
    if leaf == "weight" and len(shape) == 1:
        return "LayerNorm or BatchNorm"
    return None


def other_cell(rows: int, columns: int) -> str | None:
    """Which PyTorch cell a recurrent weight [rows, columns] belongs to that is not supported."""
    return {3: "an nn.GRU", 1: "an nn.RNN"}.get(rows // columns) if rows % columns == 0 else None
