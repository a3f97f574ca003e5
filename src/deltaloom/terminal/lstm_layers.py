# SPDX-License-Identifier: Apache-2.0
"""The layers of an integer-only LSTM network, or of its float original, as verbs print them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import printable
from .console import stdout
from .tables import print_table

if TYPE_CHECKING:
    from ..golden.integer_lstm.float_network import FloatNetwork
    from ..golden.integer_lstm.network import IntegerNetwork


def print_lstm_layers(network: "IntegerNetwork | FloatNetwork") -> None:
    """A table, a line a layer; of integers with their scales and zero points."""
    from rich.markup import escape
    from rich.table import Table

    from ..golden.integer_lstm.network import IntegerNetwork
    from ..golden.reports.lstm_sections import cell_format, scale_text

    integers = isinstance(network, IntegerNetwork)
    scaled = ("input\nscale, zero", "output\nscale, zero", "cell state\nformat")
    table = Table("layer", "variant")
    for heading in ("inputs", "outputs", *(scaled if integers else ())):
        table.add_column(heading, justify="right")
    if isinstance(network, IntegerNetwork):
        for layer in network.layers:
            numbers = (f"{layer.inputs:,}", f"{layer.outputs:,}")
            scales = (scale_text(layer.x), scale_text(layer.y), cell_format(layer))
            table.add_row(escape(layer.name), layer.variant, *numbers, *scales)
    else:
        for each in network.layers:
            numbers = (f"{each.inputs:,}", f"{each.outputs:,}")
            table.add_row(escape(each.name), each.variant, *numbers)
    print_table(table)


def plain_lstm_layers(network: "IntegerNetwork | FloatNetwork") -> list[dict[str, Any]]:
    """The same as plain data."""
    from dataclasses import asdict

    from ..golden.integer_lstm.network import IntegerNetwork

    names = ("name", "variant", "inputs", "outputs")
    plain = [{name: getattr(layer, name) for name in names} for layer in network.layers]
    if isinstance(network, IntegerNetwork):
        for found, layer in zip(plain, network.layers, strict=True):
            found |= {"input": asdict(layer.x), "output": asdict(layer.y)}
            found["cell_log2"] = getattr(layer, "cell_log2", None)
    return plain


def print_lstm_files(
    network: "IntegerNetwork", frames: int, file: Path, tflite: Path | None
) -> None:
    """What was calibrated and written, and what the user should know of it."""
    from rich.markup import escape

    console = stdout()
    for note in network.notes:
        console.print(escape(printable(note)), soft_wrap=True)
    console.print(f"Calibrated on {frames:,} frames, each sequence from its first state.")
    console.print(f"{network.size_bits / 8000:,.1f} kB -> {escape(str(file))}", soft_wrap=True)
    if tflite is not None:
        thresholds = any(path.threshold for _, path in network.paths())
        without = ", without its delta thresholds" if thresholds else ""
        console.print(f"for LiteRT{without} -> {escape(str(tflite))}", soft_wrap=True)
