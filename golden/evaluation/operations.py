# SPDX-License-Identifier: Apache-2.0
"""Operations that deltas leave out: as measured, and as Rezk et al. count them."""

from collections.abc import Mapping

from ..integer_lstm.network import IntegerNetwork
from ..models.network import Layer, Path, path_name
from .networks import AnyNetwork, AnyPath

PUBLISHED_DENSITY = 0.97
"""What Rezk et al. charge for skipped paths and elementwise operations: 3 % of them eliminated."""
DENSE_STEPS = 2
"""The first steps of a sequence, which they count as dense."""


def eliminated(network: AnyNetwork, events: Mapping[str, int], steps: int) -> float:
    """Percent of all multiply-accumulates of `steps` dense steps that these events leave out.

    100 * (1 - sum(events * rows) / sum(steps * columns * rows)) over paths, as measured; the first
    step of a sequence counts too.
    """
    done = sum(events[name] * path.rows for name, path in network.paths())
    return 100 * (1 - done / (steps * network.macs))


def eliminated_in_path(path: AnyPath, events: int, steps: int) -> float:
    """The same for one path."""
    return 100 * (1 - events / (steps * path.most_events))


def eliminated_as_published(
    network: AnyNetwork,
    events: Mapping[str, int],
    first: Mapping[str, int],
    steps: int,
    first_steps: int,
) -> float:
    """Percent of all operations that Rezk et al. would call eliminated.

    100 - sum over matrices of share * density, where the share is of the multiply-accumulates and
    elementwise multiplications of a dense step. A matrix's density is the percent of its elements
    that are sent, with a sequence's first two steps taken as dense; that of a skipped path, and of
    the elementwise operations, is 97. The two directions of a bidirectional layer are two layers
    with matrices of their own here, where the authors count the input's once.

    Parameters
    ----------
    network: whose operations these are.
    events: by path name, of all sequences.
    first: of these, those in the first two steps of the sequences.
    steps: of all sequences.
    first_steps: of these, those that are among a sequence's first two.
    """
    elementwise, skipped = _besides(network)
    operations: float = elementwise
    done = PUBLISHED_DENSITY * elementwise
    for name, path in network.paths():
        macs = path.rows * path.most_events
        sent = events[name] - first[name] + first_steps * path.most_events
        density = sent / (steps * path.most_events)
        operations += macs
        done += macs * (PUBLISHED_DENSITY if name in skipped else density)
    return 100 * (1 - done / operations)


def _besides(network: AnyNetwork) -> tuple[int, set[str]]:
    """Elementwise multiplications of a step, and the names of the skipped paths."""
    if isinstance(network, IntegerNetwork):
        return sum(layer.elementwise for layer in network.layers), set()
    skipped = {
        path_name(layer, n)
        for layer in network.layers
        for n, path in enumerate(layer.paths)
        if is_skipped(layer, path)
    }
    return sum(layer.cell.products * layer.units for layer in network.layers), skipped


def is_skipped(layer: Layer, path: Path) -> bool:
    """Whether the path is a layer's skipped one: of 16/16 bits, beside a narrower one of its
    source that feeds the other gates.
    """

    def bits(path: Path) -> tuple[int, int]:
        return path.weight_bits, path.quantizer.bits

    others = [bits(p) for p in layer.paths if p.source in ("h", "rh") and p is not path]
    recurrent = path.source in ("h", "rh")
    return recurrent and bits(path) == (16, 16) and any(other < (16, 16) for other in others)
