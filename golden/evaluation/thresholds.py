# SPDX-License-Identifier: Apache-2.0
"""Delta thresholds of a network's paths: all alike, by group, and the values worth trying."""

from collections.abc import Iterable, Mapping
from typing import cast

from ..errors import UserError
from ..integer_lstm.layers import IntegerLinear
from ..integer_lstm.network import IntegerNetwork
from ..models import graph
from ..models.network import path_name
from .networks import AnyNetwork, N, activation_bits

Thresholds = Mapping[str, int]
"""By path name, in activation codes."""

GROUPS = ("inputs", "recurrent", "output")
MOST_THRESHOLD = 255
"""Of 8-bit codes."""
CANDIDATES = (0, 8, 16, 32)
"""What Rezk et al. try for a group of paths with 8-bit codes."""
LADDER = (0, 2, 4, 6, 8, 12, 16, 24, 32, 48)
"""What the search by path tries for a path with 8-bit codes."""


def uniform_thresholds(network: N, threshold: int, *, keep_input: bool = False) -> N:
    """The network with this threshold in all paths, but the first layer's input if it is kept.

    Tokens have none.
    """
    kept = input_paths(network) if keep_input or network.tokens else ()
    chosen = {name: 0 if name in kept else threshold for name, _ in network.paths()}
    return cast(N, network.with_thresholds(chosen))


def scaled_thresholds(
    network: AnyNetwork, threshold: int, *, keep_input: bool = False
) -> dict[str, int]:
    """By path, this threshold in 8-bit codes as the same part of the path's own range.

    Tokens have none, nor has the first layer's input if it is kept.

    Raises UserError where it is none of 0..255.
    """
    if threshold not in range(MOST_THRESHOLD + 1):
        raise UserError(f"threshold: {threshold!r} is not possible, it must be 0..{MOST_THRESHOLD}")
    kept = input_paths(network) if keep_input else ()
    return {
        name: 0 if path.tokens or name in kept else scaled([threshold], activation_bits(path))[0]
        for name, path in network.paths()
    }


def input_paths(network: AnyNetwork) -> tuple[str, ...]:
    """Names of the paths that read the input frames."""
    if isinstance(network, IntegerNetwork):
        return (f"{network.layers[0].name}.x",)
    return tuple(
        path_name(layer, k)
        for n, layer in enumerate(network.layers)
        for k, path in enumerate(layer.paths)
        if path.source == "x" and graph.FRAMES in graph.inputs_of(network.layers, n)
    )


def groups_of(network: AnyNetwork) -> dict[str, tuple[str, ...]]:
    """The paths that share a threshold in Rezk et al., by group; only groups that have paths.

    "output": the input of linear layers whose outputs are the network's; "recurrent": what comes
    from a layer's own state; "inputs": the other inputs. The input frames are in no group.
    """
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    if isinstance(network, IntegerNetwork):
        return _integer_groups(network)
    last = graph.outputs_of(network.layers, network.puts_out)
    frames = input_paths(network)
    for n, layer in enumerate(network.layers):
        for k, path in enumerate(layer.paths):
            name = path_name(layer, k)
            if path.source != "x":
                groups["recurrent"].append(name)
            elif name not in frames:
                ends = layer.kind == "linear" and n in last
                groups["output" if ends else "inputs"].append(name)
    return {group: tuple(names) for group, names in groups.items() if names}


def _integer_groups(network: IntegerNetwork) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    last = network.layers[-1]
    for layer in network.layers:
        for source in layer.sources:
            own = "output" if layer is last and isinstance(layer, IntegerLinear) else "inputs"
            if (name := f"{layer.name}.{source}") not in input_paths(network):
                groups[own if source == "x" else "recurrent"].append(name)
    return {group: tuple(names) for group, names in groups.items() if names}


def scaled(values: Iterable[int], bits: int) -> tuple[int, ...]:
    """Thresholds for codes of `bits` bits that are the same part of the range as these of 8 bits.

    Rising and each once: 0, 8, 16, 32 become 0, 1, 2 at 4 bits and 0, 2048, 4096, 8192 at 16.
    """
    return tuple(sorted({int(value * 2.0 ** (bits - 8) + 0.5) for value in values}))
