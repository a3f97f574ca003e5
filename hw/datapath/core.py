# SPDX-License-Identifier: Apache-2.0
"""The datapath: frames in, outputs out, and everything between, in the order of the data."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..cells.catalogue import reads
from ..config import AcceleratorConfig
from ..image import Image, core_memories
from ..parts.memory import MemoryWrite, block_ram, connect_write, load_ports
from ..parts.queue import Credits, Queue
from ..parts.widths import Widen
from ..words import FEATURES, LIST_BITS, network_record
from .detect.detector import Detector
from .detect.frames import FrameInput
from .detect.words import ThresholdWrite, frame_word
from .fetch.fetch import Fetch
from .fetch.mixed_store import MixedStore
from .fetch.sdram_store import SdramStore
from .fetch.sdram_words import SdramPins
from .fetch.sequencer import Sequencer
from .fetch.weight_store import BlockRamStore
from .lanes.array import MacArray
from .rows.accumulate import Accumulate
from .rows.layer_table import LayerTable
from .statistics.norm import NormUnit
from .units.outputs import Outputs
from .units.unit import CellUnit, unit_latency
from .units.words import output_word

PASSES_AHEAD = 8
"""Passes that the fetch unit may be ahead of the accumulators."""


def drain_queue_words(config: AcceleratorConfig) -> int:
    """D-words that the queue behind the drain holds."""
    return max(16, 6 * config.group_words(config.digit_bits))


class Core(wiring.Component):
    """The accelerator without its bus.

    Parameters
    ----------
    config : AcceleratorConfig
        What is built.
    image : Image, optional
        What the memories hold after configuration; None leaves them empty, to be loaded.
    store : optional
        Where the weights live, with the ports of `BlockRamStore`; None is what `config` says.

    Members
    -------
    i : in, stream of `frame_word(input_elements)`
        The input frames.
    o : out, stream of `output_word(output_elements)`
        The outputs.
    sweep : in, range(sweeps)
        Which one the frames belong to; it changes only while the core is empty.
    restart : in, 1 bit
        The next frame starts a sequence.
    restart_taken : out, 1 bit
        Pulses when it has.
    set_threshold : in, `ThresholdWrite`
        From the host.
    load_NAME : in, `MemoryWrite`, for each of `core_memories`
        Writes it while no frame is under way; `loads` has these ports by the memories' names.
    load_ready : out, 1 bit
        There is room for weights; some that are on their way may still come when it has fallen.
    sdram : out, `SdramPins`, where the weights are in an SDRAM
    state_addr : in, range(states)
        A word of the state memory, for the host.
    state_data : out, 32 bits
        That word a cycle later: c in the upper half, h in the lower one.
    frame : out, 1 bit
        Pulses when a frame starts.
    dense_macs : out, 32 bits
        With frame: the multiply-accumulates that it would take without deltas.
    frame_error : out, 1 bit
        Pulses once per frame of the wrong size.
    beat : out, 1 bit
        The MAC array is at work.
    macs : out, 14 bits
        Products that the events used in this cycle stand for.
    event : out, 1 bit
        An event is used for the first time in its step.
    event_list : out, 5 bits
        With event: its list.
    """

    def __init__(
        self, config: AcceleratorConfig, image: Image | None = None, *, store: Any = None
    ) -> None:
        self._config = config
        self._store = store
        self._image = image
        self._contents = image.contents if image else {}
        of_core = core_memories(config)
        super().__init__(
            {
                "i": In(stream.Signature(frame_word(config.input_elements))),
                "o": Out(stream.Signature(output_word(config.output_elements))),
                "sweep": In(range(max(config.sweeps, 2))),
                "restart": In(1),
                "restart_taken": Out(1),
                "set_threshold": In(ThresholdWrite),
                **{
                    f"load_{memory.name}": In(MemoryWrite(memory.depth, memory.width))
                    for memory in of_core
                },
                "load_ready": Out(1),
                **({"sdram": Out(SdramPins(config.sdram))} if config.sdram else {}),
                "state_addr": In(range(max(config.states, 2))),
                "state_data": Out(32),
                "frame": Out(1),
                "dense_macs": Out(32),
                "frame_error": Out(1),
                "beat": Out(1),
                "macs": Out(14),
                "event": Out(1),
                "event_list": Out(LIST_BITS),
            }
        )
        self.loads = load_ports(self, [memory.name for memory in of_core])

    i: stream.Interface
    o: stream.Interface
    sweep: Signal
    restart: Signal
    restart_taken: Signal
    set_threshold: data.View
    loads: dict[str, Any]
    load_ready: Signal
    sdram: Any
    state_addr: Signal
    state_data: Signal
    frame: Signal
    dense_macs: Signal
    frame_error: Signal
    beat: Signal
    macs: Signal
    event: Signal
    event_list: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, contents = self._config, self._contents

        # Frames -> change detectors, and a step of the program for each.
        record = self._network_record(m)
        frames, input_detectors = self._frames(m, record)
        m.submodules.sequencer = sequencer = Sequencer(
            depth=config.program, init=contents.get("program", []), slots=config.slots
        )
        wiring.connect(m, frames.o, sequencer.i)
        m.d.comb += sequencer.start.eq(record.program)

        # Passes and event lists -> weights -> MAC array.
        store: Any = self._store or self._own_store()
        m.submodules.store = store
        m.submodules.fetch = fetch = self._fetch(store)
        m.submodules.array = array = self._array()
        state_detectors = self._state_detectors(m)
        detectors = [*input_detectors, *state_detectors]
        for lists, detector in zip(fetch.lists, detectors, strict=True):
            wiring.connect(m, lists, detector.lists)
        wiring.connect(m, fetch.store, store.store)
        if config.sdram and not self._store:
            wiring.connect(m, store.pins, wiring.flipped(self.sdram))
        m.d.comb += [
            self.load_ready.eq(store.load_ready),
            array.valid.eq(fetch.valid),
            Value.cast(array.weights).eq(fetch.weights),
            array.tag.eq(fetch.tag),
            self.beat.eq(fetch.valid),
            self.macs.eq(fetch.macs),
            self.event.eq(fetch.event),
            self.event_list.eq(fetch.event_list),
        ]

        # Sums -> accumulators -> cells.
        m.submodules.accumulate = accumulate = Accumulate(
            config, init=contents.get("rows", []), initial=contents.get("initial_sums", [])
        )
        m.submodules.cells = cells = self._cells(gap=state_detectors[0].recovery)
        self._passes(m, sequencer, fetch, accumulate)
        self._sums(m, array, fetch, accumulate)
        if reads(config.cells, "norm"):
            self._normalise(m, accumulate, cells)
        else:
            wiring.connect(m, accumulate.o, cells.i)
        m.d.comb += [cells.host_addr.eq(self.state_addr), self.state_data.eq(cells.host_data)]

        # Cells -> change detectors, and the outputs: as the layer has it.
        m.submodules.layers = table = LayerTable(
            layers=config.layers, encoders=config.encoders, init=contents.get("layers", [])
        )
        m.submodules.outputs = outputs = Outputs(config)
        wiring.connect(m, outputs.o, wiring.flipped(self.o))
        m.d.comb += [
            table.layer.eq(accumulate.layer),
            table.step.eq(accumulate.step),
            table.start.eq(accumulate.layer_start),
            accumulate.layer_ready.eq(table.ready),
            accumulate.context.eq(table.context),
            outputs.i.valid.eq(cells.o.valid & table.output),
            outputs.i.payload.eq(cells.o.payload),
            outputs.take.eq(accumulate.output_take),
            outputs.units.eq(accumulate.output_units),
            accumulate.output_room.eq(outputs.room),
        ]
        self._states(m, table, cells, state_detectors)

        loaded = {
            "weights": store.load,
            "rows": accumulate.load,
            "program": sequencer.load,
            "layers": table.load,
        }
        if reads(config.cells, "vectors"):
            loaded["vectors"] = cells.load_vectors
        if reads(config.cells, "constants"):
            loaded["constants"] = cells.load_constants
        if config.initial:
            loaded["initial_states"] = cells.load_initial
            loaded["initial_sums"] = accumulate.load_initial
        for name, load in loaded.items():
            wiring.connect(m, wiring.flipped(self.loads[name]), load)
        return m

    def _own_store(self) -> BlockRamStore | SdramStore | MixedStore:
        config = self._config
        depth, word_bits = config.weight_words, config.word_bits
        init = self._contents.get("weights", [])
        if config.sdram is None:
            return BlockRamStore(depth=depth, word_bits=word_bits, init=init)
        clock_mhz = config.memory_clock_mhz
        far = SdramStore(config.sdram, clock_mhz=clock_mhz, depth=depth, word_bits=word_bits)
        words = config.near_words
        if not words:
            return far
        near = BlockRamStore(depth=words, word_bits=word_bits, init=init[:words])
        return MixedStore(near=near, far=far, depth=depth, word_bits=word_bits)

    def _fetch(self, store: Any) -> Fetch:
        config = self._config
        return Fetch(
            sources=config.input_encoders + config.encoders,
            delta_bits=config.delta_bits,
            group_words=config.group_words(config.digit_bits),
            queue_words=drain_queue_words(config),
            address_bits=store.address_bits,
            word_bits=config.word_bits,
            store_steady=store.STEADY,
            store_outstanding=store.outstanding,
            store_spacing=store.spacing,
            levels=config.levels,
            token_sources=0 if FEATURES in config.input_kinds else config.input_encoders,
        )

    def _array(self) -> MacArray:
        config = self._config
        return MacArray(
            lanes=config.lanes,
            weight_bits=config.weight_bits,
            delta_bits=config.delta_bits,
            drain_rows=config.drain_rows,
            lane_kind=config.lane_kind,
            lane_bits=config.lane_bits,
            sum_bits=config.sum_bits,
        )

    def _cells(self, *, gap: int) -> CellUnit:
        config, contents = self._config, self._contents
        return CellUnit(
            config.unit_word,
            cells=config.cells,
            state_depth=max(config.states, 2),
            gap=gap,
            width=config.cell_units,
            vectors=contents.get("vectors", []),
            initial=contents.get("initial_states", []) if config.initial else None,
            layers=config.layers,
            turn_units=config.turn_units,
            constants=contents.get("constants", []),
        )

    def _normalise(self, m: Module, accumulate: Accumulate, cells: CellUnit) -> None:
        """The layer normalisation between the accumulators and the cells."""
        contents = self._contents
        m.submodules.norm = norm = NormUnit(
            self._config,
            values=contents.get("norm_values", []),
            gates=contents.get("norm_gates", []),
        )
        wiring.connect(m, accumulate.o, norm.i)
        wiring.connect(m, norm.o, cells.i)
        m.d.comb += norm.done.eq(cells.o.valid & cells.o.payload.end)
        if reads(self._config.cells, "norm_c"):
            m.d.comb += [
                cells.seen_state.eq(norm.c_state),
                cells.seen_first.eq(norm.c_first),
                Value.cast(norm.c).eq(Value.cast(cells.seen_c)),
            ]
        for name in ("norm_values", "norm_gates"):
            wiring.connect(m, wiring.flipped(self.loads[name]), getattr(norm, f"load_{name}"))

    def _passes(
        self, m: Module, sequencer: Sequencer, fetch: Fetch, accumulate: Accumulate
    ) -> None:
        """The passes to the fetch unit, and to the accumulators, each once for all its rounds.

        The fetch unit is no more than PASSES_AHEAD passes ahead of the accumulators; and it begins
        no more rounds besides than there are D-words.
        """
        m.submodules.ahead = ahead = Credits(total=PASSES_AHEAD, need=1)
        depth = PASSES_AHEAD + drain_queue_words(self._config) + 4
        m.submodules.begun = begun = Queue(
            fetch.begun.payload.shape(), depth=depth, pass_through=True
        )
        m.d.comb += [
            fetch.i.valid.eq(sequencer.fetch.valid & ahead.room),
            fetch.i.payload.eq(sequencer.fetch.payload),
            sequencer.fetch.ready.eq(fetch.i.ready & ahead.room),
            ahead.take.eq(sequencer.fetch.valid & sequencer.fetch.ready),
            ahead.amount.eq(1),
            ahead.give.eq(sequencer.rows.valid & sequencer.rows.ready),
            begun.i.valid.eq(fetch.begun.valid),
            begun.i.payload.eq(fetch.begun.payload),
            accumulate.i.valid.eq(sequencer.rows.valid & begun.o.valid),
            accumulate.i.payload.eq(sequencer.rows.payload),
            accumulate.round.eq(begun.o.payload),
            sequencer.rows.ready.eq(accumulate.i.ready & begun.o.valid & ~begun.o.payload.more),
            begun.o.ready.eq(accumulate.i.ready & sequencer.rows.valid),
        ]
        if len(self._config.weight_bits) == 1:
            # One weight width: a constant 0 lets synthesis remove the logic of digits.
            m.d.comb += fetch.i.payload["pass"].digits_log2.eq(0)

    def _sums(self, m: Module, array: MacArray, fetch: Fetch, accumulate: Accumulate) -> None:
        """Drained D-words, which the array does not hold back, to the accumulators."""
        config = self._config
        m.submodules.drained = drained = Queue(
            array.o.payload.shape(),
            depth=drain_queue_words(config),
            buffered=True,
            pass_through=True,
        )
        m.d.comb += [
            drained.i.valid.eq(array.o.valid),
            drained.i.payload.eq(array.o.payload),
            fetch.drained.eq(drained.o.valid & drained.o.ready),
        ]
        if config.cell_units == 1:
            wiring.connect(m, drained.o, accumulate.sums)
            return
        m.submodules.widen = widen = Widen(
            drained.o.payload.shape(), accumulate.sums.payload.shape(), count=config.cell_units
        )
        wiring.connect(m, drained.o, widen.i)
        wiring.connect(m, widen.o, accumulate.sums)

    def _renewed(self, component: wiring.Component) -> Any:
        """`component`, reset when another network is loaded: no list of the old one is left."""
        return ResetInserter(self.loads["network"].en)(component)

    def _detector(self, m: Module, n: int, *, frames: bool, in_flight: int = 0) -> Detector:
        """The nth change detector of the frames, or of the layers' outputs."""
        detector = Detector(self._config, self._image, frames=frames, index=n, in_flight=in_flight)
        m.submodules[f"{'input' if frames else 'state'}{n}"] = detector
        m.d.comb += [
            detector.renew.eq(self.loads["network"].en),
            detector.set_threshold.eq(self.set_threshold),
        ]
        return detector

    def _state_detectors(self, m: Module) -> list[Detector]:
        """Those of the layers' outputs."""
        config = self._config
        # A unit-word that begins to run takes its time, and so do those before it.
        in_flight = config.drain_rows + unit_latency(config.cells)
        detectors = [
            self._detector(m, n, frames=False, in_flight=in_flight) for n in range(config.encoders)
        ]
        if config.initial:
            load = self.loads["initial_references"]
            bits = config.reference_span.bit_length() - 1
            for n, detector in enumerate(detectors):
                connect_write(m, load, detector.load, where=load.addr[bits:] == n)
        return detectors

    def _frames(self, m: Module, record: Any) -> tuple[FrameInput, list[Detector]]:
        """Frames -> their change detectors."""
        config = self._config
        elements = config.input_elements
        frames = FrameInput(
            encoders=config.input_encoders,
            columns=config.input_references,
            sweeps=config.sweeps,
            elements=elements,
            input_kinds=config.input_kinds,
        )
        m.submodules.frames = self._renewed(frames)
        wiring.connect(m, wiring.flipped(self.i), frames.i)
        detectors = [self._detector(m, n, frames=True) for n in range(config.input_encoders)]
        m.d.comb += [
            frames.record.eq(record),
            frames.sweep.eq(self.sweep),
            frames.restart.eq(self.restart),
            self.restart_taken.eq(frames.restart_taken),
            frames.busy.eq(Cat(*(detector.busy for detector in detectors)).any()),
            self.frame.eq(frames.start),
            self.dense_macs.eq(record.macs),
            self.frame_error.eq(frames.frame_error),
        ]
        # Slices wait for their banks themselves, with what they have found.
        if elements == 1:
            m.d.comb += frames.free.eq(~Cat(*(detector.taken for detector in detectors)).any())
        else:
            m.d.comb += frames.free.eq(1)
            m.d.comb += frames.room.eq(Cat(*(detector.room for detector in detectors)).all())
        for n, detector in enumerate(detectors):
            m.d.comb += [
                detector.start.eq(frames.start),
                detector.context.eq(frames.context[n]),
                detector.i.eq(frames.element),
            ]
            if config.spread:
                m.d.comb += detector.tokens.eq(record.tokens)
        return frames, detectors

    def _network_record(self, m: Module) -> Any:
        """The sweep's record. Like the memories, what was loaded outlives a reset."""
        init = self._contents.get("network", [0])
        layout = network_record(self._config.input_encoders, self._config.input_kinds)
        if self._config.sweeps == 1:
            start: Any = layout.from_bits(init[0])
            record: Any = Signal(layout, init=start, reset_less=True)
            with m.If(self.loads["network"].en):
                m.d.sync += Value.cast(record).eq(self.loads["network"].data)
            return record
        records = block_ram(layout.size, depth=self._config.sweeps, init=init)
        m.submodules.records = records
        write, read = records.write_port(), records.read_port()
        connect_write(m, self.loads["network"], write)
        m.d.comb += read.addr.eq(self.sweep)
        return data.View(layout, read.data)

    def _states(
        self, m: Module, table: LayerTable, cells: CellUnit, detectors: Sequence[Detector]
    ) -> None:
        """Cells -> change detectors, as the layer has it."""
        unit = cells.o.payload
        m.d.comb += table.busy.eq(Cat(*(detector.busy for detector in detectors)).any())
        for detector, context in zip(detectors, table.contexts, strict=True):
            m.d.comb += [
                detector.start.eq(table.begin),
                detector.context.eq(context),
                detector.i.valid.eq(cells.o.valid),
                detector.i.j.eq(unit.unit),
                detector.i.end.eq(unit.end),
            ]
            if self._config.cell_units == 1:
                m.d.comb += detector.i.value.eq(unit.h)
            else:
                m.d.comb += [detector.i.values.eq(unit.h), detector.i.mask.eq(unit.mask)]
        if self._config.cell_units > 1:
            m.d.comb += cells.stall.eq(~Cat(*(detector.room for detector in detectors)).all())
