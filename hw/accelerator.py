# SPDX-License-Identifier: Apache-2.0
"""The accelerator with its buses: AXI4-Stream frames and outputs, AXI4-Lite for everything else."""

from typing import Any

from amaranth.hdl import Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bus.axi import AxiLite, AxiLiteSignature, AxiStreamSignature
from .bus.image_loader import ImageLoader
from .bus.register_map import Window
from .bus.registers import Registers
from .bus.sequence_buffer import SequenceBuffer
from .bus.sequence_input import SequenceWord
from .config import AcceleratorConfig
from .datapath.core import Core
from .datapath.fetch.sdram_words import SdramPins
from .datapath.units.outputs import output_words
from .image import SWEEPS, WEIGHTS, Image, memories


def windows(config: AcceleratorConfig) -> tuple[Window, ...]:
    """The image memories as windows of the register map."""
    return tuple(
        Window(name=m.name, depth=m.depth, width=m.width)
        for m in memories(config)
        if m.name == WEIGHTS or not config.hardwired
    )


def signature_of(config: AcceleratorConfig) -> wiring.Signature:
    """The ports of an accelerator; see `Accelerator`."""
    return wiring.Signature(
        {
            "s_axis": In(AxiStreamSignature(16 * config.input_elements, user=2)),
            "m_axis": Out(AxiStreamSignature(16 * config.output_elements)),
            "s_axil": In(AxiLiteSignature()),
            **({"sdram": Out(SdramPins(config.sdram))} if config.sdram else {}),
        }
    )


class Accelerator(wiring.Component):
    """The top of every design.

    Parameters
    ----------
    config : AcceleratorConfig
        What is built.
    image : Image, optional
        The network that is there from the start; None for one that is loaded over s_axil.
    store : optional
        Where the weights live, see `Core`.

    Members
    -------
    s_axis : in, AXI4-Stream of 16 bits for each of `input_elements`
        int16 elements of frames; tlast with a frame's last, tuser[0] with a sequence's first,
        tuser[1] with any of a sequence's last frame, which only a sequence buffer needs.
    m_axis : out, AXI4-Stream of 16 bits for each of `output_elements`
        int16 outputs of the last layer; tlast with a frame's last.
    s_axil : in, AXI4-Lite
        Registers, thresholds, counters, states and the image (see `register_map`).
    sdram : out, `SdramPins`, where the weights are in an SDRAM; those of `image` are not there from
        the start, but are loaded over s_axil.
    """

    s_axis: Any
    m_axis: Any
    s_axil: Any
    sdram: Any

    def __init__(
        self, config: AcceleratorConfig, image: Image | None = None, *, store: Any = None
    ) -> None:
        if config.hardwired and image is None:
            raise ValueError("image must be there where config.hardwired is")
        self._store = store
        self.config = config
        self.image = image
        super().__init__(signature_of(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        thresholds = [entry.threshold for entry in self.image.lists] if self.image else []
        m.submodules.bus = bus = AxiLite()
        m.submodules.registers = registers = Registers(
            thresholds=thresholds + [0] * (config.lists - len(thresholds)),
            state_words=max(config.states, 2),
            lanes=(1 << 14) - 1,
            counted=config.counted,
        )
        m.submodules.loader = loader = ImageLoader(windows(config))
        m.submodules.core = core = Core(config, self.image, store=self._store)
        wiring.connect(m, wiring.flipped(self.s_axil), bus.axil)
        wiring.connect(m, bus.bus, registers.bus)
        wiring.connect(m, registers.image, loader.image)

        if config.sdram:
            wiring.connect(m, core.sdram, wiring.flipped(self.sdram))

        delivered = Signal()
        m.d.sync += delivered.eq(self.m_axis.tvalid & self.m_axis.tready & self.m_axis.tlast)
        if config.buffered:
            busy = self._buffered(m, registers, loader, core)
        else:
            busy = self._direct(m, registers, core, delivered)
        m.d.comb += [
            loader.hold.eq(~core.load_ready),
            core.set_threshold.eq(registers.set_threshold),
            core.state_addr.eq(registers.state.addr),
            registers.state.data.eq(core.state_data),
            registers.state.ready.eq(1),
            registers.dense_macs.eq(core.dense_macs),
        ]
        # The counters are wide; what they count waits a cycle in front of them.
        m.d.sync += [
            registers.busy.eq(busy),
            registers.step_done.eq(delivered),
            registers.beat.eq(core.beat),
            registers.macs_done.eq(core.macs),
            registers.list_events.eq(core.event << core.event_list),
        ]
        for name, load in core.loads.items():
            if name in loader.loads:
                wiring.connect(m, loader.loads[name], load)
        return m

    def _direct(self, m: Module, registers: Registers, core: Core, delivered: Value) -> Value:
        """Connect the streams to the core; whether there are frames on their way."""
        m.d.comb += [
            core.i.valid.eq(self.s_axis.tvalid & registers.ready),
            Value.cast(core.i.payload.value).eq(self.s_axis.tdata),
            core.i.payload.last.eq(self.s_axis.tlast),
            core.i.payload.first.eq(self.s_axis.tuser[0]),
            self.s_axis.tready.eq(core.i.ready & registers.ready),
            core.restart.eq(registers.new_sequence),
            registers.new_sequence_taken.eq(core.restart_taken),
        ]
        self._deliver(m, core.o)
        m.d.sync += registers.frame_error.eq(core.frame_error)
        # Frames that have begun and whose last output is not yet taken.
        open_frames = Signal(range(output_words(self.config) + 16))
        m.d.sync += open_frames.eq(open_frames + core.frame - delivered)
        return (open_frames != 0) | core.frame

    def _buffered(self, m: Module, registers: Registers, loader: ImageLoader, core: Core) -> Value:
        """The same with the sequence buffer between."""
        image = self.image.contents if self.image else {}
        m.submodules.sequence = buffer = SequenceBuffer(self.config, init=image.get(SWEEPS, []))
        word: Any = Signal(SequenceWord)
        if SWEEPS in loader.loads:
            wiring.connect(m, loader.loads[SWEEPS], buffer.load)
        wiring.connect(m, buffer.frames, core.i)
        wiring.connect(m, core.o, buffer.outputs)
        m.d.comb += [
            word.value.eq(self.s_axis.tdata),
            word.last.eq(self.s_axis.tlast),
            word.first.eq(self.s_axis.tuser[0]),
            word.end.eq(self.s_axis.tuser[1]),
            buffer.i.valid.eq(self.s_axis.tvalid & registers.ready),
            buffer.i.payload.eq(word),
            self.s_axis.tready.eq(buffer.i.ready & registers.ready),
            buffer.restart.eq(registers.new_sequence),
            registers.new_sequence_taken.eq(buffer.restart_taken),
            core.sweep.eq(buffer.sweep),
        ]
        self._deliver(m, buffer.o)
        m.d.sync += [
            registers.frame_error.eq(buffer.frame_error),
            registers.sequence_cut.eq(buffer.cut),
        ]
        return buffer.busy

    def _deliver(self, m: Module, outputs: Any) -> None:
        """Connect a stream of `OutputWord` to m_axis; AXI wants no valid word while rst is high."""
        m.d.comb += [
            self.m_axis.tvalid.eq(outputs.valid & ~ResetSignal(allow_reset_less=True)),
            self.m_axis.tdata.eq(Value.cast(outputs.payload.value)),
            self.m_axis.tlast.eq(outputs.payload.last),
            outputs.ready.eq(self.m_axis.tready),
        ]
