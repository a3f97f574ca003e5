# SPDX-License-Identifier: Apache-2.0
"""A change detector: the encoders that find what changed in a source, and the lists it goes to."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ...config import AcceleratorConfig
from ...image import Image
from ..events.event_lists import EventLists, Lists
from ..events.term_lists import TermLists
from .encoder import DeltaEncoder
from .slices import Encoders

FROM_SOURCE = ("start", "context", "i", "set_threshold", "busy")
TO_FETCH = ("query", "closed", "count", "release", "release_key", "r_en", "r_addr", "r_data")
BETWEEN = ("open", "key", "base", "push", "event", "close")


class Detector(wiring.Component):
    """One of those for the frames, or for the layers' outputs: as many elements a cycle as come.

    Parameters
    ----------
    image: its thresholds and initial references; None leaves them 0, to be loaded
    frames: for the frames; index: which one it is, of those for the layers' outputs
    in_flight: elements of a slice that still come after there is no more room

    Members
    -------
    renew: forget all lists, as another network is loaded
    taken: the list's bank in the step to come is not free yet
    The others are those of `DeltaEncoder` or `Encoders`, and of `EventLists` or `TermLists`.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        image: Image | None,
        *,
        frames: bool,
        index: int = 0,
        in_flight: int = 0,
    ) -> None:
        self._slices = config.input_elements if frames else config.cell_units
        self._encoder: Any
        initial = None
        if config.initial and not frames:
            every = image.contents.get("initial_references", []) if image else []
            initial = every[index * config.reference_span :][: config.references]
        thresholds = [entry.threshold for entry in image.lists] if image else []
        options: dict[str, Any] = {
            "references": config.input_references if frames else config.references,
            "code_bits": config.activation_bits,
            "shifts": config.quantizer_shifts,
            "modes": config.delta_modes,
            "thresholds": thresholds + [0] * (config.lists - len(thresholds)),
            "initial": initial,
        }
        if self._slices == 1:
            self._encoder = DeltaEncoder(**options)
        else:
            self._encoder = Encoders(slices=self._slices, in_flight=in_flight, **options)
        sizes: dict[str, Any] = {
            "depth": config.input_events if frames else config.events,
            "delta_bits": config.delta_bits,
            "lists": config.lists,
        }
        self._lists: Lists
        if config.levels:
            self._lists = TermLists(digits=config.delta_digits, levels=config.levels, **sizes)
        else:
            self._lists = EventLists(**sizes)

        def some(component: wiring.Component, *names: str) -> dict[str, Any]:
            members = component.signature.members
            return {name: members[name] for name in names if name in members}

        self._from_source = some(self._encoder, *FROM_SOURCE, "room", "load")
        self._to_fetch = some(self._lists, "taken", *TO_FETCH, "r_level")
        super().__init__({"renew": In(1), **self._from_source, **self._to_fetch})

    renew: Signal
    start: Signal
    context: data.View
    i: data.View
    set_threshold: data.View
    busy: Signal
    room: Signal
    load: Any
    taken: Signal
    query: data.View
    closed: Signal
    count: Signal
    release: Signal
    release_key: data.View
    r_en: Signal
    r_addr: Signal
    r_level: Signal
    r_data: data.View

    @property
    def recovery(self) -> int:
        """As the encoder's."""
        cycles: int = self._encoder.recovery
        return cycles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        encoder, lists = self._encoder, self._lists
        renewed = ResetInserter(self.renew)
        m.submodules.lists = renewed(lists)
        m.submodules.encoder = encoder if self._slices == 1 else renewed(encoder)
        m.d.comb += [getattr(lists, name).eq(getattr(encoder, name)) for name in BETWEEN]
        if self._slices > 1:  # they wait for a bank themselves
            m.d.comb += encoder.taken.eq(lists.taken)
        for part, members in ((encoder, self._from_source), (lists, self._to_fetch)):
            for name, member in members.items():
                inner, outer = getattr(part, name), getattr(self, name)
                if name == "load":
                    wiring.connect(m, wiring.flipped(outer), inner)
                else:
                    m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        return m
