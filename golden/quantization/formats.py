# SPDX-License-Identifier: Apache-2.0
"""Which int16 formats a quantized network's words have, from what calibration saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..models import graph
from ..models.float_model import FloatLayer, FloatModel
from ..models.layers import BIAS_BITS
from .calibration import LayerStatistics, Statistics
from .cell_formats import least_c_exponent
from .exponents import exponent_for


@dataclass(frozen=True, slots=True)
class Formats:
    """Exponents e of one layer's words Q(e).(15-e).

    gates: "c" and "h", of the states; `exponents_of` has those of pre-activations from them.
    sources: of what its paths read, by source.
    """

    gates: Mapping[str, int]
    sources: Mapping[str, int]


def find_formats(model: FloatModel, statistics: Statistics) -> tuple[int, list[Formats]]:
    """The input frames' exponent, and the formats of each layer.

    Raises UserError where a value has no place in any, or what is read together has no common one.
    """
    layers = model.layers
    x_exponent = exponent_for(statistics[0].x, "input features")
    own = [_exponents(layer, seen) for layer, seen in zip(layers, statistics, strict=True)]
    for group in graph.together(layers, model.puts_out):
        needed = [x_exponent if n == graph.FRAMES else own[n]["h"] for n in group]
        _check_together(layers, group, needed)
        for n in group:
            if n == graph.FRAMES:
                x_exponent = max(needed)
            else:
                own[n]["h"] = max(needed)
                own[n]["c"] = max(needed) if layers[n].cell.c_like_h else own[n]["c"]
    formats = []
    for n, gates in enumerate(own):
        first = graph.inputs_of(layers, n)[0]
        x = x_exponent if first == graph.FRAMES else own[first]["h"]
        sources = {"x": x, "h": own[graph.h_source(layers, n)]["h"], "rh": gates["h"]}
        formats.append(Formats(gates, sources))
    return x_exponent, formats


def _exponents(layer: FloatLayer, seen: LayerStatistics) -> dict[str, int]:
    """The exponents of the formats "c" and "h", as the layer by itself needs them."""
    cell = layer.cell
    c = 0
    if seen.c_errors:  # c need not be covered: it may saturate
        c = min(seen.c_errors, key=lambda e: (seen.c_errors[e], e))
    elif cell.has_c:
        c = max(exponent_for(seen.c, f"{layer.name} cell state"), least_c_exponent(layer))
    largest = max(seen.h, seen.x * abs(layer.skip_scale))
    h = 0 if cell.bounded else exponent_for(largest, f"{layer.name} output")
    exponents = {"c": c, "h": h}
    for own, (gate, format) in zip(layer.bias, cell.formats.items(), strict=True):
        if format in exponents:  # its bias shares the state's format, with some bits on top
            beyond = float(np.abs(own).max(initial=0)) / 2.0 ** (BIAS_BITS - 16)
            needed = exponent_for(beyond, f"{layer.name} bias of {gate}")
            exponents[format] = max(exponents[format], needed)
    if cell.c_like_h:
        exponents["c"] = exponents["h"] = max(exponents["c"], exponents["h"])
    return exponents


def _check_together(
    layers: Sequence[FloatLayer], group: tuple[int, ...], needed: Sequence[int]
) -> None:
    """Raise UserError where a layer that holds its h within +-1 is read with one that does not."""
    widest = group[int(np.argmax(needed))]
    bounded = next((n for n in group if n != graph.FRAMES and layers[n].cell.bounded), None)
    if bounded is not None and max(needed) > 0:
        other = "the input" if widest == graph.FRAMES else layers[widest].name
        raise UserError(
            f"{layers[bounded].name} and {other} are read or put out together and so share a "
            f"format, but {layers[bounded].kind} ends at 1 and {other} needs 2**{max(needed)}; put "
            "a linear layer between"
        )
