# SPDX-License-Identifier: Apache-2.0
"""A change detector: the encoders that find what changed in a source, and the lists it goes to."""

from typing import Any

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...image import Image
from ...parts.memory import MemoryWrite
from ...words import FEATURES, TOKENS
from ..events.event_lists import EventLists, Lists
from ..events.term_lists import TermLists
from ..events.words import ListReader
from .encoder import DeltaEncoder
from .slices import SlicedEncoder
from .tokens import TokenEncoder
from .words import Context, ThresholdWrite, element_word


class Detector(wiring.Component):
    """The change detector of a source: of the frames, or of the layers' outputs.

    LATENCY: as its encoder. THROUGHPUT: as many elements a cycle as the source gives.

    Parameters
    ----------
    config : AcceleratorConfig
        The accelerator.
    image : Image, optional
        Its thresholds and initial references; None leaves them 0, to be loaded.
    frames : bool
        For the frames; otherwise for the layers' outputs.
    index : int
        Which one it is, of those for the layers' outputs.
    in_flight : int
        Beats of several elements that still come after there is no more room.

    Members
    -------
    renew : in, 1 bit
        Forget all lists, as another network is loaded.
    start : in, 1 bit
        Begins a source's step.
    context : in, `Context`
        With start: of the step.
    i : in, `element_word` of the source
        Its elements, from the cycle after the start on.
    set_threshold : in, `ThresholdWrite`
        From the host; taken over at the next start.
    busy : out, 1 bit
        No other step may start yet.
    room : out, 1 bit
        More elements may be sent on their way; always, where there is one a beat.
    taken : out, 1 bit
        The list's bank in the step to come is not free yet.
    lists : in, `ListReader`
        The lists, for the fetch unit.
    load : in, `MemoryWrite`
        Writes the initial references; only where there are any.
    tokens : in, 1 bit
        With start: the frame is a token; only where it may be either.
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
        self._has_initial = bool(config.initial) and not frames
        references = config.input_references if frames else config.references
        initial = None
        if self._has_initial:
            every = image.contents.get("initial_references", []) if image else []
            initial = every[index * config.reference_span :][: config.references]
        kinds = config.input_kinds if frames else (FEATURES,)
        self._tokens: TokenEncoder | None = None
        if TOKENS in kinds:
            self._tokens = TokenEncoder(delta_bits=config.delta_bits, spread=config.spread)
        thresholds = [entry.threshold for entry in image.lists] if image else []
        options: dict[str, Any] = {
            "references": references,
            "code_bits": config.activation_bits,
            "shifts": config.encoder_shifts,
            "modes": config.delta_modes,
            "thresholds": thresholds + [0] * (config.lists - len(thresholds)),
            "initial": initial,
        }
        self._encoder: DeltaEncoder | SlicedEncoder | None = None
        if FEATURES not in kinds:
            pass
        elif self._slices == 1:
            self._encoder = DeltaEncoder(**options)
        else:
            self._encoder = SlicedEncoder(slices=self._slices, in_flight=in_flight, **options)
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
        load = {"load": In(MemoryWrite(references, config.activation_bits))}
        super().__init__(
            {
                "renew": In(1),
                "start": In(1),
                "context": In(Context),
                "i": In(element_word(self._slices)),
                "set_threshold": In(ThresholdWrite),
                "busy": Out(1),
                "room": Out(1),
                "taken": Out(1),
                "lists": In(ListReader(config.delta_bits, config.levels)),
                **(load if self._has_initial else {}),
                **({"tokens": In(1)} if len(kinds) > 1 else {}),
            }
        )

    renew: Signal
    start: Signal
    context: data.View
    i: data.View
    set_threshold: data.View
    busy: Signal
    room: Signal
    taken: Signal
    lists: Any
    load: Any
    tokens: Signal

    @property
    def recovery(self) -> int:
        """Least cycles from a source's last element to the first after the next start."""
        return max(each.recovery for each in (self._encoder, self._tokens) if each)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        encoder, tokens, lists = self._encoder, self._tokens, self._lists
        renewed: Any = ResetInserter(self.renew)
        m.submodules.lists = renewed(lists)
        m.d.comb += [self.taken.eq(lists.writer.taken), self.room.eq(1)]
        wiring.connect(m, wiring.flipped(self.lists), lists.reader)
        if tokens is not None:
            m.submodules.tokens = tokens
        if encoder is not None:
            m.submodules.encoder = encoder if self._slices == 1 else renewed(encoder)
            m.d.comb += encoder.set_threshold.eq(self.set_threshold)
            if isinstance(encoder, SlicedEncoder):
                m.d.comb += self.room.eq(encoder.room)
            if self._has_initial:
                wiring.connect(m, wiring.flipped(self.load), encoder.load)
        if encoder is not None and tokens is not None:
            self._choose(m, encoder, tokens)
            return m
        only: Any = tokens or encoder
        m.d.comb += [
            only.start.eq(self.start),
            only.context.eq(self.context),
            only.i.eq(self.i),
            self.busy.eq(only.busy),
        ]
        wiring.connect(m, only.events, lists.writer)
        return m

    def _choose(self, m: Module, encoder: Any, tokens: TokenEncoder) -> None:
        """Both: each frame goes to the one whose it is."""
        mine, writer = Signal(), self._lists.writer  # with a start, and until the next
        held = Signal()
        m.d.comb += mine.eq(Mux(self.start, self.tokens, held))
        m.d.sync += held.eq(mine)
        for each, chosen in ((encoder, ~mine), (tokens, mine)):
            m.d.comb += [
                each.start.eq(self.start & chosen),
                each.context.eq(self.context),
                each.i.eq(self.i),
                each.i.valid.eq(self.i.valid & chosen),
            ]
        m.d.comb += self.busy.eq(encoder.busy | tokens.busy)
        for name in ("open", "key", "base", "push", "event", "close"):
            wanted = [Value.cast(getattr(each.events, name)) for each in (tokens, encoder)]
            m.d.comb += Value.cast(getattr(writer, name)).eq(Mux(mine, *wanted))
