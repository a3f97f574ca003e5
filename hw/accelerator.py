# SPDX-License-Identifier: Apache-2.0
"""The accelerator with its buses: AXI4-Stream frames and outputs, AXI4-Lite for everything else."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLite, AxiLiteSignature, AxiStreamSignature
from .config import AcceleratorConfig
from .core import OUTPUT_WORDS, Core
from .image import Image, memories
from .image_loader import ImageLoader
from .register_map import Window
from .registers import Registers


def windows(config: AcceleratorConfig) -> tuple[Window, ...]:
    """The image memories as windows of the register map."""
    return tuple(Window(name=m.name, depth=m.depth, width=m.width) for m in memories(config))


class Accelerator(wiring.Component):
    """The top of every design.

    Parameters
    ----------
    config: what is silicon
    image: the network that is there from the start; None for one that is loaded over s_axil

    Members
    -------
    s_axis: int16 elements of frames; tlast with a frame's last, tuser with a sequence's first
    m_axis: int16 outputs of the last layer; tlast with a frame's last
    s_axil: registers, thresholds, counters, states and the image (see `register_map`)
    """

    s_axis: Any
    m_axis: Any
    s_axil: Any

    def __init__(self, config: AcceleratorConfig, image: Image | None = None) -> None:
        self.config = config
        self.image = image
        super().__init__(
            {
                "s_axis": In(AxiStreamSignature(16 * config.input_elements, user=1)),
                "m_axis": Out(AxiStreamSignature(16 * config.output_elements)),
                "s_axil": In(AxiLiteSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        thresholds = [entry.threshold for entry in self.image.lists] if self.image else []
        m.submodules.bus = bus = AxiLite()
        m.submodules.registers = registers = Registers(
            thresholds=thresholds + [0] * (config.lists - len(thresholds)),
            state_words=max(config.states, 2),
            lanes=(1 << 14) - 1,
        )
        m.submodules.loader = loader = ImageLoader(windows(config))
        m.submodules.core = core = Core(config, self.image)
        wiring.connect(m, wiring.flipped(self.s_axil), bus.axil)
        wiring.connect(m, bus.bus, registers.bus)
        wiring.connect(m, registers.image, loader.image)

        m.d.comb += [
            core.i.valid.eq(self.s_axis.tvalid),
            Value.cast(core.i.payload.value).eq(self.s_axis.tdata),
            core.i.payload.last.eq(self.s_axis.tlast),
            core.i.payload.first.eq(self.s_axis.tuser),
            self.s_axis.tready.eq(core.i.ready),
            self.m_axis.tvalid.eq(core.o.valid),
            self.m_axis.tdata.eq(Value.cast(core.o.payload.value)),
            self.m_axis.tlast.eq(core.o.payload.last),
            core.o.ready.eq(self.m_axis.tready),
        ]

        # Frames that have begun and whose last output is not yet taken.
        open_frames, delivered = Signal(range(OUTPUT_WORDS + 16)), Signal()
        m.d.sync += [
            delivered.eq(self.m_axis.tvalid & self.m_axis.tready & self.m_axis.tlast),
            open_frames.eq(open_frames + core.frame - delivered),
        ]
        m.d.comb += [
            core.restart.eq(registers.new_sequence),
            core.set_threshold.eq(registers.set_threshold),
            core.state_addr.eq(registers.state.addr),
            registers.new_sequence_taken.eq(core.restart_taken),
            registers.state.data.eq(core.state_data),
            registers.state.ready.eq(1),
            registers.dense_macs.eq(core.dense_macs),
        ]
        # The counters are wide; what they count waits a cycle in front of them.
        m.d.sync += [
            registers.busy.eq((open_frames != 0) | core.frame),
            registers.step_done.eq(delivered),
            registers.beat.eq(core.beat),
            registers.macs_done.eq(core.macs),
            registers.frame_error.eq(core.frame_error),
            registers.list_events.eq(core.event << core.event_list),
        ]
        for memory in memories(config):
            source, target = loader.memory(memory.name), getattr(core, f"load_{memory.name}")
            m.d.comb += [
                target.en.eq(source.en),
                target.addr.eq(source.addr),
                target.data.eq(source.data),
            ]
        return m
