# SPDX-License-Identifier: Apache-2.0
"""An accelerator on a board, real or simulated: its registers, its image, its frames."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..boards.flow.design import HARDWIRED, BoardDesign, hardwired_number, number_of
from ..golden.arithmetic import Ints
from ..golden.cells import State
from ..golden.errors import UserError
from ..golden.evaluation.networks import AnyNetwork, thresholds_of
from ..hw.accelerator import windows
from ..hw.bus.register_map import (
    CONTROL_CLEAR_COUNTERS,
    ID_VALUE,
    REGISTER,
    STATUS_BUSY,
    place_windows,
)
from ..hw.compiler.compile import compile_plan
from ..hw.compiler.plan import Plan
from ..sim.job import batches
from ..sim.states import Place, state_places
from .device import LinkedDevice
from .driver import Counters
from .link import LinkError

IDLE_WITHIN = 10.0
"""Seconds until a frame that does not end counts as stuck."""
_COUNTERS = {
    "steps": "STEPS",
    "cycles": "CYCLES",
    "busy": "BUSY",
    "macs_done": "MACS_DONE",
    "macs_dense": "MACS_DENSE",
    "frame_errors": "FRAME_ERRORS",
    "sequence_cuts": "SEQUENCE_CUTS",
}


class BoardDriver:
    """Drives the accelerator of a build.

    Parameters
    ----------
    connect: opens the line and the link.
    design: what was built.
    network: what is to run; it is loaded where the board has another.
    progress: called with what is being done.

    Raises LinkError where nobody answers, or the board has another design.
    """

    def __init__(
        self,
        connect: Callable[[], LinkedDevice],
        design: BoardDesign,
        network: AnyNetwork,
        progress: Callable[[str], None] = lambda stage: None,
    ) -> None:
        self._connect, self._design, self._progress = connect, design, progress
        self._network: AnyNetwork
        self._adopt(network)
        self._device = self._opened()

    @property
    def network(self) -> AnyNetwork:
        return self._network

    @property
    def device(self) -> LinkedDevice:
        """The registers and streams."""
        return self._device

    def load(self, network: AnyNetwork) -> None:
        self._adopt(network)
        self._write_image(self._device)

    def set_thresholds(self, thresholds: Mapping[str, int]) -> None:
        network: AnyNetwork = self._network.with_thresholds(dict(thresholds))
        own = thresholds_of(network)
        for first, *others in self._lists:
            for name in others:
                if own[name] != own[first]:
                    raise UserError(
                        f"threshold of {name!r}: {own[name]} is not possible, it must be that of "
                        f"{first!r}, {own[first]}: they share their events"
                    )
        self._network = network
        self._write_thresholds(self._device)

    def feed(self, frame: Ints, *, first: bool, end: bool) -> None:
        self._device.feed(frame, first=first, end=end)

    def outputs(self) -> Ints:
        return self._device.outputs(self._network.outputs)

    def ready(self) -> int:
        return self._device.waiting()

    def state(self) -> dict[str, State]:
        self._idle(self._device)
        states = {}
        for name, (c, h) in state_places(self._network, self._image.state_bases).items():
            words = {place: self._state_words(place) for place in {c, h}}  # often one place
            states[name] = State(words[c][1], words[h][0])
        return states

    def _state_words(self, place: Place) -> tuple[Ints, Ints]:
        """h and c of a layer's units."""
        at = REGISTER["STATE"].at(place.base)
        words = self._device.read(at, place.units) if place.units else []
        packed = np.array(words, np.uint32)
        h, c = ((packed >> shift).astype(np.uint16).astype(np.int16) for shift in (0, 16))
        return h.astype(np.int64), c.astype(np.int64)

    def counters(self) -> Counters:
        self._idle(self._device)
        if not self._design.config.counted:
            return Counters(steps=0, macs_done=0, macs_dense=0, events={})
        found: dict[str, Any] = {}
        for name, register in _COUNTERS.items():
            entry = REGISTER[register]
            words = self._device.read(entry.address, entry.words)
            found[name] = sum(word << 32 * n for n, word in enumerate(words))
        lists = self._image.lists
        events = self._device.read(REGISTER["EVENTS"].at(0), len(lists))
        found["events"] = {entry.path: n for entry, n in zip(lists, events, strict=True)}
        return Counters(**found)

    def clear_counters(self) -> None:
        self._device.write([(REGISTER["CONTROL"].address, [CONTROL_CLEAR_COUNTERS])])

    def reconnect(self) -> None:
        self._device.close()
        self._device = self._opened()

    def close(self) -> None:
        self._device.close()

    def _adopt(self, network: AnyNetwork) -> None:
        """What the network is on this design; UserError where it does not fit."""
        plan = Plan.of(network, self._design.config)
        image = compile_plan(plan)
        wired = self._design.manifest.get(HARDWIRED)
        if wired is not None and wired != hardwired_number(image):
            raise UserError(
                "network: the design has another one in its logic, all but the weights; build this "
                "one for the board, or build without --hardwired"
            )
        self._image = image
        self._lists = [list(dict.fromkeys(use.name for use in users)) for users in plan.lists]
        self._number = number_of(self._image)
        self._network = network

    def _opened(self) -> LinkedDevice:
        """The board, with the network in it."""
        device = self._connect()
        try:
            if device.design != self._design.number:
                raise LinkError(
                    f"the board holds design {device.design:#010x}, the build is "
                    f"{self._design.number:#010x}: load the build's bitstream, or name its folder"
                )
            if device.read(REGISTER["ID"].address) != [ID_VALUE]:
                raise LinkError("the board's accelerator does not know its own name; reset it")
            if device.network == self._number:
                self._write_thresholds(device)
            else:
                self._write_image(device)
        except BaseException:
            device.close()
            raise
        return device

    def _write_image(self, device: LinkedDevice) -> None:
        """Fill the memories; the board's sum of all writes must be right."""
        self._idle(device)
        self._progress("loading the network")
        config = self._design.config
        writes = [
            write
            for place in place_windows(windows(config))
            for write in place.encode(self._image.contents[place.window.name])
        ]
        device.name(0)
        device.write(batches(writes))
        device.name(self._number)
        self._write_thresholds(device)

    def _write_thresholds(self, device: LinkedDevice) -> None:
        own = thresholds_of(self._network)
        values = [own[entry.path] for entry in self._image.lists]
        device.write([(REGISTER["THRESHOLD"].at(0), values)])

    def _idle(self, device: LinkedDevice) -> None:
        """Until no frame is under way."""
        end = time.monotonic() + IDLE_WITHIN
        while device.read(REGISTER["STATUS"].address)[0] & STATUS_BUSY:
            if time.monotonic() > end:
                raise LinkError(
                    f"a frame has been under way for {IDLE_WITHIN:g} s; reconnect, and feed whole "
                    "frames and whole sequences"
                )
