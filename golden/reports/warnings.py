# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a network's numbers, one line each, with the option that mends it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..arithmetic import Ints, Reals
from ..evaluation.networks import AnyNetwork
from ..evaluation.saturation import LayerSaturation, Saturation
from ..integer_lstm.layers import IntegerLstm
from ..integer_lstm.network import IntegerNetwork
from ..models import graph
from ..models.network import Network, path_name
from .paths import PathReport

__all__ = ["warnings_of"]

LEAST_SQNR = 25.0
"""Of a path's products, dB: below, they are what the network's error comes from."""
MOST_SATURATED = 0.5
"""Percent of a feature's words, or of a layer's outputs."""
ALWAYS = 99.0
"""Percent of the steps in which a unit is at an end: it says the same in all of them."""
MOST_NAMES = 4
FARTHER = "quantize with --data that reach as far"
ENDS = "the file's ranges end there"
"""Of a network that was imported as it is: there is nothing to quantize."""


def warnings_of(
    network: AnyNetwork, found: Saturation, reports: Sequence[PathReport] = ()
) -> tuple[str, ...]:
    """Of a network.

    found: what saturates when it runs over some data. reports: of its paths, where the float model
    is at hand.
    """
    if isinstance(network, IntegerNetwork):
        return _of_integers(network, found, reports)
    return (
        *_of_products(network, reports),
        *_of_features(network, found),
        *_of_layers(found, FARTHER),
    )


def _of_integers(
    network: IntegerNetwork, found: Saturation, reports: Sequence[PathReport]
) -> tuple[str, ...]:
    """Of an integer-only LSTM, whose bits are what they are."""
    mirrored, own = _mirrored(network, found), network.calibrated
    mend = "; quantize with --corrected where LiteRT's bits are not needed" * own
    lines = [
        f"{name}: {_percent(layer.h)} of what is projected saturates, as LiteRT mirrors its range"
        f"{mend}"
        for name, layer in mirrored.items()
    ]
    few = [
        f"{report.name} {report.product_sqnr:.1f} dB"
        for report in reports
        if report.product_sqnr < LEAST_SQNR and report.name.removesuffix(".m") not in mirrored
    ]
    if few:
        lines.append(
            f"products of {_some(few)}: an SQNR below {LEAST_SQNR:g} dB; integer-only LSTMs have "
            "8 bits alone, try --scheme 16-bit"
        )
    small = np.flatnonzero((found.reach > 0) & (found.reach < network.x.scale))
    if small.size:
        name = next(network.paths())[0]
        mend = ", or quantize with another scheme and --input-scale feature" * own
        lines.append(
            f"input features {_numbers(small)}: less than one code of {name} on this data; scale "
            f"the features alike{mend}"
        )
    over = np.flatnonzero(found.features > MOST_SATURATED)
    if over.size:
        low, high = network.x.real(np.array([-128, 127]))
        lines.append(
            f"input features {_numbers(over)}: {_percent(found.features[over])} of their words "
            f"saturate at {low:.3g} and {high:.3g}; {FARTHER if own else ENDS}"
        )
    others = tuple(layer for layer in found.layers if layer.name not in mirrored)
    return (*lines, *_of_layers(replace(found, layers=others), FARTHER if own else ENDS))


def _mirrored(network: IntegerNetwork, found: Saturation) -> dict[str, LayerSaturation]:
    """By name, layers whose projection reads what LiteRT's mirrored range cuts."""
    names = {
        layer.name
        for layer in network.layers
        if isinstance(layer, IntegerLstm) and layer.m is not None and not layer.corrected
    }
    return {
        layer.name: layer
        for layer in found.layers
        if layer.name in names and layer.h.mean() > MOST_SATURATED
    }


def _of_products(network: Network, reports: Iterable[PathReport]) -> Iterable[str]:
    """Paths of few dB, those together that one option mends."""
    mends: dict[str, list[str]] = {}
    frames = _frame_paths(network)
    for report in reports:
        if not report.product_sqnr < LEAST_SQNR:
            continue
        if report.name in frames and network.input_scale is None and report.activation_bits >= 8:
            mend = "try --input-scale feature, or more activation bits"
        elif report.activation_sqnr < report.weight_sqnr:
            mend = f"its activations are the cause: try --path {report.name}=W/A with more bits A"
        else:
            mend = f"its weights are the cause: try --path {report.name}=W/A with more bits W"
            mend += ", or --method gptq" * (report.rounded == 0)
        mends.setdefault(mend, []).append(f"{report.name} {report.product_sqnr:.1f} dB")
    for mend, names in mends.items():
        yield f"products of {_some(names)}: an SQNR below {LEAST_SQNR:g} dB; {mend}"


def _of_features(network: Network, found: Saturation) -> Iterable[str]:
    """Features that hardly reach a code, and those that leave the words' format."""
    mend = "quantize with --input-scale feature"
    if network.input_scale is not None:
        mend = "quantize with data in which they move, or more activation bits"
    small: dict[tuple[int, ...], list[str]] = {}
    for name, scale in _frame_paths(network).items():
        lost = np.flatnonzero((found.reach > 0) & (found.reach < scale))
        if lost.size:
            small.setdefault(tuple(lost.tolist()), []).append(name)
    for features, names in small.items():
        what = f"input features {_numbers(features)}: less than one code of {_some(names)}"
        yield f"{what} on this data; {mend}"
    over = np.flatnonzero(found.features > MOST_SATURATED)
    if over.size:
        end = 2.0**network.x_exponent
        yield (
            f"input features {_numbers(over)}: {_percent(found.features[over])} of their words "
            f"saturate at {end:g}{' times their scale' * (network.input_scale is not None)}; "
            f"{FARTHER}"
        )


def _of_layers(found: Saturation, mend: str) -> Iterable[str]:
    """Units that stand at an end, and layers that are often there; mend: what to do."""
    scaled = mend + ", or scale the model down" * (mend == FARTHER)
    for layer in found.layers:
        for what, share in (("c", layer.c), ("h", layer.h)):
            stuck = np.flatnonzero(share > ALWAYS)
            if stuck.size:
                yield (
                    f"{layer.name}: {what} of units {_numbers(stuck)} saturates in all steps; "
                    f"{scaled}"
                )
        if layer.h.mean() > MOST_SATURATED:
            yield (f"{layer.name}: {_percent(layer.h)} of the outputs saturate; {mend}")


def _frame_paths(network: Network) -> dict[str, float]:
    """Of each path that reads frames alone, the real value of a code."""
    return {
        path_name(layer, k): path.quantizer.scale
        for n, layer in enumerate(network.layers)
        if graph.inputs_of(network.layers, n) == (graph.FRAMES,)
        for k, path in enumerate(layer.paths)
        if path.source == "x"
    }


def _percent(shares: Reals) -> str:
    return f"{shares.mean():.2g} %"


def _numbers(numbers: Iterable[int] | Ints) -> str:
    return _some([f"{number}" for number in numbers])


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
