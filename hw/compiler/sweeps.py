# SPDX-License-Identifier: Apache-2.0
"""How a network is run that cannot go frame by frame: its sweeps over a whole sequence.

A sweep runs a chain of layers over all frames, first to last or backward. What it puts out is kept
until the last sweep that reads it is through; a network whose layers are one forward chain is one
sweep, and needs no memory between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...golden.models.graph import FRAMES, inputs_of, outputs_of
from .networks import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """One sweep.

    Members
    -------
    index: of all sweeps, in their order
    layers: a chain of the network's layers, each of which reads just the one before; none for the
        last sweep of a network whose outputs must be put together, or turned round, from what is
        kept
    sources: layers, or FRAMES, whose outputs are its input, one after the other
    backward: from a sequence's last frame to its first
    """

    index: int
    layers: tuple[int, ...]
    sources: tuple[int, ...]
    backward: bool

    def tokens(self, network: Network) -> bool:
        """Whether its frames are tokens."""
        return bool(self.layers) and network.layers[self.layers[0]].tokens

    def inputs(self, network: Network) -> int:
        """Words of a frame that it takes."""
        return network.words_of(self.sources)

    @property
    def result(self) -> int:
        """The layer whose output the sweep puts out."""
        return self.layers[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Words of the record of a frame: `units` of them from `offset` on."""

    offset: int
    units: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameRecord:
    """What the sequence buffer keeps of a frame.

    Members
    -------
    stride: words in all
    spans: where each source's are, by layer or FRAMES; what goes straight out is not among them
    """

    stride: int
    spans: Mapping[int, Span]


def plan_sweeps(network: Network) -> tuple[Sweep, ...]:
    """The sweeps of a network, in their order."""
    chains: list[list[int]] = []
    for n, layer in enumerate(network.layers):
        follows = n > 0 and inputs_of(network.layers, n) == (n - 1,)
        if follows and layer.backward == network.layers[n - 1].backward and _only(network, n):
            chains[-1].append(n)
        else:
            chains.append([n])
    sweeps = [
        Sweep(
            index=index,
            layers=tuple(chain),
            sources=inputs_of(network.layers, chain[0]),
            backward=network.layers[chain[0]].backward,
        )
        for index, chain in enumerate(chains)
    ]
    last, results = sweeps[-1], outputs_of(network.layers, network.puts_out)
    if last.backward or results != (last.result,):
        sweeps.append(Sweep(index=len(sweeps), layers=(), sources=results, backward=False))
    return tuple(sweeps)


def _only(network: Network, n: int) -> bool:
    """Whether nothing but layer n reads the layer before it."""
    results = outputs_of(network.layers, network.puts_out)
    others = [inputs_of(network.layers, k) for k in range(len(network.layers)) if k != n]
    return not any(n - 1 in sources for sources in (*others, results))


def plan_record(network: Network, sweeps: Sequence[Sweep]) -> FrameRecord:
    """The record of a frame, in which what is no longer read makes room for what comes."""
    made = {FRAMES: -1} | {s.result: s.index for s in sweeps if s.layers}
    used = {source: s.index for s in sweeps for source in s.sources}
    spans: dict[int, Span] = {}
    for source, born in made.items():
        if source not in used:
            continue  # it goes straight out
        units = network.words_of([source])
        alive = sorted(
            (span.offset, span.offset + span.units)
            for other, span in spans.items()
            if used[other] >= born
        )
        offset = 0
        for start, end in alive:
            if offset + units <= start:
                break
            offset = max(offset, end)
        spans[source] = Span(offset=offset, units=units)
    stride = max(span.offset + span.units for span in spans.values())
    return FrameRecord(stride=stride, spans=spans)
