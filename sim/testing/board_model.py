# SPDX-License-Identifier: Apache-2.0
"""A board in Python, for tests of hosts: the link, the commands, and golden for an accelerator."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...boards.flow.design import BoardDesign, number_of
from ...boards.uart.protocol import FLAG_END, FLAG_FIRST, FLAG_LAST, MAX_WORDS, VERSION, sum_of
from ...golden.evaluation.networks import AnyNetwork, step_model
from ...hw.bus.register_map import (
    CONTROL_CLEAR_COUNTERS,
    ID_VALUE,
    IMAGE_SPACE,
    REGISTER,
)
from ...hw.compiler.compile import compile_network
from ..states import state_places
from .board_link import BoardLink

OKAY, SLVERR = 0, 2


class BoardModel:
    """What a board with this design does, frame by frame; a `Line` for hosts.

    Its image memories take what is written and forget it: a network that is loaded is recognised by
    the number that the host tells.

    Parameters
    ----------
    design: what was built.
    networks: those that a host may load; the first is there from the start.
    there, back: what happens to bytes on the line, each way.

    Attributes
    ----------
    broken: raised by the line when it is set; None: it works.
    writes: image words written.
    """

    def __init__(
        self,
        design: BoardDesign,
        networks: Sequence[AnyNetwork],
        *,
        there: Callable[[bytes], bytes] = bytes,
        back: Callable[[bytes], bytes] = bytes,
        window: int = 2048,
    ) -> None:
        self.broken: Exception | None = None
        self.writes = 0
        self.link = BoardLink(window=window)
        self._design = design
        self._known = {number_of(compile_network(n, design.config)): n for n in networks}
        self.number = next(iter(self._known))
        self._there, self._back = there, back
        self._sessions = 0
        self._begin()

    def _begin(self) -> None:
        """As after a reset: the memories stay."""
        self._commands, self._stream = bytearray(), bytearray()
        self._frame: list[int] = []
        self._sum = 0
        self._counted = dict.fromkeys(("STEPS", "MACS_DONE", "MACS_DENSE"), 0)
        self._events: dict[str, int] = {}
        self._thresholds: dict[int, int] = {}
        self._adopt()

    def _adopt(self) -> None:
        network = self._known.get(self.number)
        self._network = network
        self._model = None if network is None else step_model(network)

    # A line.

    def write(self, data: bytes) -> None:
        """Bytes from the host."""
        self._check()
        self.link.receive(self._there(data))
        if self.link.opened != self._sessions:
            self._sessions = self.link.opened
            self._begin()
        self._commands += self.link.take(1 << 16)
        while length := self._command():
            del self._commands[:length]
        self._flow()

    def read(self, seconds: float) -> bytes:
        """Bytes to the host; it never waits."""
        self._check()
        self._flow()
        return self._back(self.link.poll())

    def close(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _flow(self) -> None:
        some = bytes(self._stream[: self.link.room])
        self.link.send(some)
        del self._stream[: len(some)]

    # Commands.

    def _command(self) -> int:
        """Do the first command, if it is whole; its length, or 0."""
        data = bytes(self._commands)
        kind, length = data[:1], len(data)
        if kind == b"P":
            hello = struct.pack("<BII", VERSION, self._design.number, self.number)
            self._stream += b"p" + hello
            return 1
        if kind == b"C":
            self._stream += b"c" + struct.pack("<I", self._sum)
            self._sum = 0
            return 1
        if kind == b"N" and length >= 5:
            (self.number,) = struct.unpack_from("<I", data, 1)
            self._adopt()
            self._stream += b"w\0"
            return 5
        if kind in (b"W", b"R") and length >= 5:
            return self._registers(data, int.from_bytes(data[1:4], "little"), data[4])
        if kind == b"F" and length >= 3 and length >= 3 + 2 * data[1]:
            self._words(struct.unpack_from(f"<{data[1]}h", data, 3), data[2])
            return 3 + 2 * data[1]
        return 0

    def _registers(self, data: bytes, address: int, count: int) -> int:
        if data[:1] == b"R":
            values, responses = zip(
                *(self._read(address + 4 * n) for n in range(count)), strict=True
            )
            self._stream += b"r" + bytes([count]) + struct.pack(f"<{count}I", *values)
            self._stream += bytes([max(responses)])
            return 5
        if len(data) < 5 + 4 * count:
            return 0
        words = struct.unpack_from(f"<{count}I", data, 5)
        writes = [(address + 4 * n, word) for n, word in enumerate(words)]
        self._sum = sum_of(writes, self._sum)
        self._stream += b"w" + bytes([max(self._write(*write) for write in writes)])
        return 5 + 4 * count

    def _write(self, address: int, word: int) -> int:
        threshold, image = REGISTER["THRESHOLD"].address, REGISTER["IMAGE"].address
        lists = len(self._design.manifest["lists"])
        if address == REGISTER["CONTROL"].address:
            if word & CONTROL_CLEAR_COUNTERS:
                self._counted = dict.fromkeys(self._counted, 0)
                self._events.clear()
        elif threshold <= address < threshold + 4 * lists and word < 1 << 16:
            self._thresholds[(address - threshold) // 4] = word
        elif image <= address < image + 4 * IMAGE_SPACE:
            self.writes += 1
        else:
            return SLVERR
        return OKAY

    def _read(self, address: int) -> tuple[int, int]:
        for name, value in (("ID", ID_VALUE), ("STATUS", 0)):
            if address == REGISTER[name].address:
                return value, OKAY
        for name in ("STEPS", "CYCLES", "BUSY", "MACS_DONE", "MACS_DENSE"):
            first = REGISTER[name].address
            if address in (first, first + 4):
                return self._counted.get(name, 0) >> 8 * (address - first) & 0xFFFFFFFF, OKAY
        if address in (REGISTER["FRAME_ERRORS"].address, REGISTER["SEQUENCE_CUTS"].address):
            return 0, OKAY
        entries = self._design.manifest["lists"]
        place = (address - REGISTER["EVENTS"].address) // 4
        if 0 <= place < len(entries):
            return self._events.get(entries[place]["path"], 0), OKAY
        return self._state(address)

    def _state(self, address: int) -> tuple[int, int]:
        if self._network is None or self._model is None:
            return 0, SLVERR
        word = (address - REGISTER["STATE"].address) // 4
        bases = [entry["state_base"] for entry in self._design.manifest["layers"]]
        places = state_places(self._network, bases).values()
        found = [
            (int(codes[unit]) & 0xFFFF) << shift
            for both, state in zip(places, self._model.states, strict=True)
            for place, codes, shift in zip(both, (state.c, state.h), (16, 0), strict=True)
            if 0 <= (unit := word - place.base) < min(place.units, len(codes))
        ]
        return (sum(found), OKAY) if found else (0, SLVERR)

    def _words(self, words: tuple[int, ...], flags: int) -> None:
        if flags & FLAG_FIRST and self._model is not None:
            self._model.reset()
        self._frame += words
        assert not flags & ~(FLAG_FIRST | FLAG_LAST | FLAG_END)
        if not flags & FLAG_LAST:
            return
        frame, self._frame = self._frame, []
        if self._model is None or self._network is None:
            return
        names = [entry["path"] for entry in self._design.manifest["lists"]]
        thresholds = {names[n]: value for n, value in self._thresholds.items()}
        known: dict[str, Any] = dict(self._network.paths())
        self._model.network = self._network.with_thresholds(
            {name: value for name, value in thresholds.items() if name in known}
        )
        outputs = self._model.step(np.array(frame, np.int64)).tolist()
        self._counted["STEPS"] += 1
        self._counted["MACS_DENSE"] += self._network.macs
        for name, count in self._model.events.items():
            self._events[name] = self._events.get(name, 0) + count
            self._counted["MACS_DONE"] += count * known[name].rows
        for start in range(0, len(outputs), MAX_WORDS):
            part = outputs[start : start + MAX_WORDS]
            last = FLAG_LAST * (start + len(part) == len(outputs))
            self._stream += b"O" + bytes([len(part), last]) + struct.pack(f"<{len(part)}h", *part)
