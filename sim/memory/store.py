# SPDX-License-Identifier: Apache-2.0
"""A weight store with its SDRAM beside it, where a design is simulated without its top level."""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring

from ...hw.config import AcceleratorConfig
from ...hw.datapath.fetch.mixed_store import MixedStore
from ...hw.datapath.fetch.sdram_store import SdramStore
from ...hw.datapath.fetch.sdram_words import word_beats, word_burst
from ...hw.datapath.fetch.weight_store import BlockRamStore
from ...hw.sdram_chips import SdramChip
from .chip import PORTS, parameters


def chip_instance(chip: SdramChip, config: AcceleratorConfig, pins: Any) -> Instance:
    """The chip on these pins, an instance of `sdram_pads`, in the domain `sync`."""
    beats = word_beats(chip, config.word_bits)
    values = parameters(
        chip,
        clock_mhz=config.memory_clock_mhz,
        burst=word_burst(beats),
        words=config.weight_words * beats,
    )
    return Instance(
        "sdram_pads",
        **{f"p_{name}": value for name, value in values.items()},
        **{f"{'o' if name == 'dq_i' else 'i'}_{name}": getattr(pins, name) for name in PORTS},
        i_clk=ClockSignal(),
    )


def store_with_chip(config: AcceleratorConfig, chip: SdramChip) -> Any:
    """The store of a configuration, block RAM included, with the chip in the place of its pins."""
    far = StoreWithChip(config, chip)
    words, word_bits = config.near_words, config.word_bits
    if not words:
        return far
    near = BlockRamStore(depth=words, word_bits=word_bits, init=[])
    return MixedStore(near=near, far=far, depth=config.weight_words, word_bits=word_bits)


def chip_beside(core: Any) -> Instance:
    """The chip of an `Accelerator` whose weights are in one."""
    return chip_instance(core.config.sdram, core.config, core.sdram)


class StoreWithChip(wiring.Component):
    """The store of a configuration with an SDRAM, and the chip, an instance of `sdram_pads`.

    Members
    -------
    store, load, load_ready : as of `SdramStore`
    """

    STEADY = False

    store: Any
    load: Any
    load_ready: Signal

    def __init__(self, config: AcceleratorConfig, chip: SdramChip) -> None:
        depth, word_bits = config.weight_words, config.word_bits
        clock_mhz = config.memory_clock_mhz
        self._inner = SdramStore(chip, clock_mhz=clock_mhz, depth=depth, word_bits=word_bits)
        self.address_bits = self._inner.address_bits
        self.outstanding, self.spacing = self._inner.outstanding, self._inner.spacing
        self._chip, self._config = chip, config
        ports = dict(self._inner.signature.members.items())
        super().__init__({name: ports[name] for name in ("store", "load", "load_ready")})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = inner = self._inner
        for name in ("store", "load"):
            wiring.connect(m, getattr(inner, name), wiring.flipped(getattr(self, name)))
        m.d.comb += self.load_ready.eq(inner.load_ready)
        m.submodules.chip = chip_instance(self._chip, self._config, inner.pins)
        return m
