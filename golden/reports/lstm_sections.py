# SPDX-License-Identifier: Apache-2.0
"""The section of a report about an integer-only LSTM network's layers: codes and scales."""

from ..integer_lstm.layers import Affine, IntegerLstm, Layer
from ..integer_lstm.network import IntegerNetwork
from .page import Section, Table

__all__ = ["cell_format", "lstm_layers_section", "scale_text"]


def lstm_layers_section(network: IntegerNetwork) -> Section:
    """What the codes of each layer stand for, and how the network was made."""
    headings = ("layer", "variant", "inputs", "outputs", "input\nscale, zero")
    table = Table(
        (*headings, "output\nscale, zero", "projected\nscale, zero", "cell state\nformat"),
        [_row(layer) for layer in network.layers],
    )
    note = (
        "A code stands for (code - zero point) times its scale; inputs, outputs and what is "
        f"projected are int8, cell states int16. {network.size_bits / 8000:,.1f} kB, 1000 bytes "
        "each, of integer parameters."
    )
    for line in network.notes:
        note += f" {line}."
    return Section("Codes and scales", [table], note)


def _row(layer: Layer) -> tuple[str, ...]:
    m = layer.m if isinstance(layer, IntegerLstm) else None
    return (
        layer.name,
        layer.variant,
        f"{layer.inputs:,}",
        f"{layer.outputs:,}",
        scale_text(layer.x),
        scale_text(layer.y),
        "" if m is None else scale_text(m),
        cell_format(layer),
    )


def scale_text(affine: Affine) -> str:
    """A scale and a zero point."""
    return f"{affine.scale:.4g}, {affine.zero_point}"


def cell_format(layer: Layer) -> str:
    """The format of an LSTM's c; empty of a linear layer."""
    log2 = layer.cell_log2 if isinstance(layer, IntegerLstm) else None
    return "" if log2 is None else f"Q{15 + log2}.{-log2}"
