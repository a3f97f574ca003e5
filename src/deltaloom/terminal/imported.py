# SPDX-License-Identifier: Apache-2.0
"""What an import found, as tables and as plain data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import printable
from .console import stdout
from .tables import print_table

if TYPE_CHECKING:
    from ..golden.importers.checkpoint import Imported
    from ..golden.models.float_model import FloatModel

MOST_NODES = 12
"""Nodes of a part that are listed."""


def print_summary(found: "Imported", file: Path, sides: Sequence[Path]) -> None:
    """What became of a checkpoint: nodes, layers, notes, and the files written."""
    from rich.markup import escape

    model = found.model
    console = stdout()
    print_where(found.where)
    print_layers(model)
    for note in found.notes:
        console.print(escape(printable(note)), soft_wrap=True)
    for side in sides:
        console.print(f"what comes {side.stem} the network -> {escape(str(side))}", soft_wrap=True)
    if not found.where and any(layer.kind == "linear" for layer in model.layers[:-1]):
        console.print(
            "A checkpoint does not tell what follows a linear layer; no activation is assumed.",
            soft_wrap=True,
        )
    if any(layer.kind.startswith("sru") for layer in model.layers):
        one = not any(layer.backward for layer in model.layers)
        console.print(
            "A checkpoint of sru does not tell a bidirectional layer from one of twice the units; "
            f"{'one direction is' if one else 'both directions are'} assumed, and no activation "
            "of c.",
            soft_wrap=True,
        )
    console.print(f"{model.parameters:,} parameters -> {escape(str(file))}", soft_wrap=True)


def print_layers(model: "FloatModel") -> None:
    """A line a layer."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("layer", "cell")
    for heading in ("inputs", "units", "parameters"):
        table.add_column(heading, justify="right")
    for layer in model.layers:
        inputs = f"{layer.inputs:,}{' tokens' * layer.tokens}"
        numbers = (layer.units, layer.parameters)
        table.add_row(escape(layer.name), layer.kind, inputs, *(f"{n:,}" for n in numbers))
    print_table(table)


def print_where(where: Sequence[tuple[str, str]]) -> None:
    """The graph's nodes, and which part each went to; only how many of a long part. Nothing where
    all are the network's.
    """
    if all(part == "network" for _, part in where):
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("part", "nodes")
    for part in dict.fromkeys(("before", "network", "after", *(place for _, place in where))):
        nodes = [printable(node) for node, place in where if place == part]
        if nodes:
            listed = ", ".join(nodes[:MOST_NODES])
            more = f" and {len(nodes) - MOST_NODES} more" if len(nodes) > MOST_NODES else ""
            table.add_row(part, escape(listed + more))
    print_table(table)


def plain_summary(found: "Imported", file: Path, sides: Sequence[Path]) -> dict[str, Any]:
    """The same as plain data, with all nodes."""
    return {
        "output": file,
        "parameters": found.model.parameters,
        "layers": plain_layers(found.model),
        "nodes": plain_where(found.where),
        "notes": list(found.notes),
        "sides": {side.stem: side for side in sides},
    }


def plain_layers(model: "FloatModel") -> list[dict[str, Any]]:
    """Layer by layer."""
    names = ("name", "kind", "inputs", "tokens", "units", "parameters")
    return [{name: getattr(layer, name) for name in names} for layer in model.layers]


def plain_where(where: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The graph's nodes by part."""
    parts = dict.fromkeys(part for _, part in where)
    return {part: [node for node, place in where if place == part] for part in parts}
