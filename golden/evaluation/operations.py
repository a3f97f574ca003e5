# SPDX-License-Identifier: Apache-2.0
"""Operations that deltas leave out: as measured, and as Rezk et al. count them."""

from collections.abc import Mapping

from ..models.network import Layer, Network, Path, path_name

PUBLISHED_DENSITY = 0.97
"""What Rezk et al. charge for skipped paths and elementwise operations: 3 % of them eliminated."""
DENSE_STEPS = 2
"""The first steps of a sequence, which they count as dense."""
ELEMENTWISE: Mapping[str, int] = {
    "lstm": 3,  # f * c', i * g, o * tanh(c)
    "lstm_cifg": 3,
    "lstm_peephole": 6,  # and v * c three times
    "gru": 3,  # r * n_h, (1 - z) * n, z * h'
    "gru_before": 3,
    "ligru": 2,  # (1 - z) * a, z * h'
    "sru": 7,  # v_f * c', v_r * c', f * c', (1 - f) * p_u, r * c, (1 - r) * skip, and the skip's
    "sru4": 6,
    "sru0": 5,
    "linear": 0,
}
"""Multiplications per unit and step outside the matrix-vector products, by cell."""


def eliminated(network: Network, events: Mapping[str, int], steps: int) -> float:
    """Percent of all multiply-accumulates of `steps` dense steps that these events leave out.

    100 * (1 - sum(events * rows) / sum(steps * columns * rows)) over paths, as measured; the first
    step of a sequence counts too.
    """
    done = sum(events[name] * path.rows for name, path in network.paths())
    return 100 * (1 - done / (steps * network.macs))


def eliminated_in_path(path: Path, events: int, steps: int) -> float:
    """The same for one path."""
    return 100 * (1 - events / (steps * path.columns))


def eliminated_as_published(
    network: Network,
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
    done = operations = 0.0
    for layer in network.layers:
        elementwise = ELEMENTWISE[layer.kind] * layer.units
        operations += elementwise
        done += PUBLISHED_DENSITY * elementwise
        for n, path in enumerate(layer.paths):
            name, macs = path_name(layer, n), path.rows * path.columns
            sent = events[name] - first[name] + first_steps * path.columns
            density = sent / (steps * path.columns)
            operations += macs
            done += macs * (PUBLISHED_DENSITY if is_skipped(layer, path) else density)
    return 100 * (1 - done / operations)


def is_skipped(layer: Layer, path: Path) -> bool:
    """Whether the path is a layer's skipped one: of 16/16 bits, beside a narrower one of its
    source that feeds the other gates.
    """

    def bits(path: Path) -> tuple[int, int]:
        return path.weight_bits, path.quantizer.bits

    others = [bits(p) for p in layer.paths if p.source in ("h", "rh") and p is not path]
    recurrent = path.source in ("h", "rh")
    return recurrent and bits(path) == (16, 16) and any(other < (16, 16) for other in others)
