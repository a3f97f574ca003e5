# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of an accelerator: runs a `Job` inside the simulator and writes its `Outcome`.

Streams and registers are driven by cocotbext-axi. The bench does not fail on a mismatch: it stops
there and says where it was.
"""

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.simtime import convert
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from ..hw.bus.register_map import (
    CONTROL_NEW_SEQUENCE,
    ID_VALUE,
    REGISTER,
    STATUS_BUSY,
    VERSION_VALUE,
)
from .job import Job, Mismatch, Outcome, Progress, batches
from .names import PLUSARG

INPUTS = (
    *(f"s_axis_{name}" for name in ("tdata", "tvalid", "tlast", "tuser")),
    "m_axis_tready",
    *(f"s_axil_{name}" for name in ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid")),
    *(f"s_axil_{name}" for name in ("bready", "araddr", "arprot", "arvalid", "rready")),
)
"""All inputs but clock and reset."""
PERIOD = 10
"""Clock period in ns."""
COUNTERS = ("STEPS", "CYCLES", "BUSY", "MACS_DONE", "MACS_DENSE", "FRAME_ERRORS")
TUSER_FIRST, TUSER_END = 1, 2
"""Marks of a sequence's first word, and of its last frame."""
UNMAPPED = 0x40
"""The address behind the last counter."""
SETTLE = 64
"""Cycles in which output that nobody asked for would show itself."""


class Stop(Exception):
    """Ends the run at the first mismatch."""

    def __init__(self, mismatch: Mismatch) -> None:
        super().__init__(str(mismatch))
        self.mismatch = mismatch


class Bench:
    """The design under test with its drivers."""

    def __init__(self, dut: Any, job: Job, progress: Progress) -> None:
        self.dut, self.job, self.progress = dut, job, progress
        self.outcome = Outcome()
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst, byte_lanes=1
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst, byte_lanes=1
        )
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        for port, chance, seed in (
            (self.source, job.stimulus.idle, job.stimulus.seed),
            (self.sink, job.stimulus.backpressure, job.stimulus.seed + 1),
        ):
            if chance > 0:
                port.set_pause_generator(_pauses(chance, seed))

    async def run(self) -> Outcome:
        """The whole job; stops at the first mismatch."""
        try:
            await self._prepare()
            await self._interrupted()
            self._axil_pauses(False)
            if self.job.stimulus.new_sequence == "tuser":
                for n in range(len(self.job.frames)):
                    self._send(n, marked=True)
            for n in range(len(self.job.frames)):
                if self.job.stimulus.new_sequence == "register":
                    await self._idle()
                    await self._write(REGISTER["CONTROL"].address, [CONTROL_NEW_SEQUENCE])
                    self._send(n, marked=False)
                await self._receive(n)
            await self._finish()
        except Stop as stop:
            self.outcome.mismatch = stop.mismatch
        return self.outcome

    def _axil_pauses(self, wanted: bool) -> None:
        """Let the channels of AXI-Lite rest at random, too; not while frames run, it costs time."""
        write, read = self.axil.write_if, self.axil.read_if
        for n, (channel, chance) in enumerate(
            (
                (write.aw_channel, self.job.stimulus.idle),
                (write.w_channel, self.job.stimulus.idle),
                (read.ar_channel, self.job.stimulus.idle),
                (write.b_channel, self.job.stimulus.backpressure),
                (read.r_channel, self.job.stimulus.backpressure),
            )
        ):
            if wanted and chance > 0:
                channel.set_pause_generator(_pauses(chance, self.job.stimulus.seed + 2 + n))
            else:
                channel.clear_pause_generator()
                channel.pause = False

    async def _prepare(self) -> None:
        """Reset; then what a host does before the first frame."""
        await self._reset()
        self._axil_pauses(True)
        if await self._read(REGISTER["ID"].address, 2) != [ID_VALUE, VERSION_VALUE]:
            raise Stop(Mismatch(what="register", where="ID or VERSION"))
        await self._refusals()
        for address, values in batches(self.job.image):
            await self._write(address, values)
        # Reads meanwhile: the two directions of the bus must not disturb each other.
        writer = cocotb.start_soon(self._set_thresholds())
        for _ in range(4):
            if await self._read(REGISTER["ID"].address) != [ID_VALUE]:
                raise Stop(Mismatch(what="register", where="ID (while writing)"))
        await writer
        for n, threshold in self.job.thresholds.items():
            if await self._read(REGISTER["THRESHOLD"].at(n)) != [threshold]:
                raise Stop(Mismatch(what="register", where=f"THRESHOLD of list {n}"))

    async def _refusals(self) -> None:
        """What the map does not have must be answered with an error, and change nothing."""
        threshold = REGISTER["THRESHOLD"].address
        before = await self._read(threshold)
        for address, data in (
            (threshold + 1, b"\xff"),  # a part of a word
            (threshold, b"\xff\xff\xff\xff"),  # out of range
            (REGISTER["ID"].address, bytes(4)),
            (REGISTER["STATE"].address, bytes(4)),
            (UNMAPPED, bytes(4)),
        ):
            answer = await self._answered(self.axil.write(address, data), address, 1)
            if answer.resp != AxiResp.SLVERR:
                raise Stop(Mismatch(what="register", where=f"{address:#08x} (write accepted)"))
        for address in (REGISTER["CONTROL"].address, REGISTER["IMAGE"].address, UNMAPPED):
            answer = await self._answered(self.axil.read(address, 4), address, 1)
            if answer.resp != AxiResp.SLVERR:
                raise Stop(Mismatch(what="register", where=f"{address:#08x} (read accepted)"))
        if await self._read(threshold) != before:
            raise Stop(Mismatch(what="register", where="THRESHOLD (changed by a refused write)"))

    async def _set_thresholds(self) -> None:
        for n, threshold in self.job.thresholds.items():
            await self._write(REGISTER["THRESHOLD"].at(n), [threshold])

    async def _reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def _interrupted(self) -> None:
        """A first attempt that a reset ends in the middle; its outputs are nobody's."""
        words = self.job.stimulus.reset_after
        if words is None:
            return
        inputs = self.job.frames[0].shape[1]
        self._send(0, marked=True, steps=-(-words // inputs))
        taken = 0
        for _ in range(self.job.patience):
            await RisingEdge(self.dut.clk)
            taken += bool(self.dut.s_axis_tvalid.value and self.dut.s_axis_tready.value)
            if taken == words:
                break
        else:
            raise Stop(Mismatch(what="stall", sequence=0, step=taken // inputs))
        await self._reset()
        self.source.clear()
        self.sink.clear()
        await self._set_thresholds()

    def _send(self, n: int, *, marked: bool, steps: int | None = None) -> None:
        """Queue a sequence's frames. marked: tuser tells that it is a new one."""
        for step, frame in enumerate(self.job.frames[n][:steps]):
            end = TUSER_END * (step == len(self.job.frames[n]) - 1)
            tuser = [TUSER_FIRST * (marked and step == 0) | end] + [end] * (len(frame) - 1)
            self.source.send_nowait(AxiStreamFrame([int(w) & 0xFFFF for w in frame], tuser=tuser))

    async def _receive(self, n: int) -> None:
        """Compare a sequence's outputs as they come."""
        outcome = self.outcome
        for step, expected in enumerate(self.job.outputs[n]):
            try:
                frame = await with_timeout(self.sink.recv(), self.job.patience * PERIOD, "ns")
            except SimTimeoutError:
                raise Stop(Mismatch(what="stall", sequence=n, step=step)) from None
            outcome.frame_ends.append(round(convert(frame.sim_time_end, "step", to="ns") / PERIOD))
            got = np.array(frame.tdata, np.uint16).astype(np.int16).astype(np.int64)
            both = min(len(got), len(expected))
            wrong = np.flatnonzero(got[:both] != expected[:both])
            if len(wrong):
                at = int(wrong[0])
                outcome.words += at
                raise Stop(_word("output", n, step, at, got, expected))
            outcome.words += both
            if len(got) != len(expected):
                raise Stop(
                    Mismatch(
                        what="frame length",
                        sequence=n,
                        step=step,
                        got=len(got),
                        expected=len(expected),
                    )
                )
            self.progress.write(len(outcome.frame_ends))

    async def _finish(self) -> None:
        """After the last output: nothing more comes, then states and counters."""
        await ClockCycles(self.dut.clk, SETTLE)
        if not self.sink.empty() or self.sink.active:
            raise Stop(Mismatch(what="surplus output"))
        self._axil_pauses(True)
        await self._idle()
        for name in COUNTERS:
            register = REGISTER[name]
            words = await self._read(register.address, register.words)
            self.outcome.counters[name] = sum(w << (32 * n) for n, w in enumerate(words))
        if self.job.lists:
            self.outcome.events = await self._read(REGISTER["EVENTS"].address, self.job.lists)
        for layer, state in zip(self.job.layers, self.job.states, strict=True):
            words = await self._read(REGISTER["STATE"].at(layer.base), len(state.h))
            packed = np.array(words, np.uint32)
            c = (packed >> 16).astype(np.uint16).astype(np.int16).astype(np.int64)
            h = packed.astype(np.uint16).astype(np.int16).astype(np.int64)
            for name, got, expected in (("c", c, state.c), ("h", h, state.h)):
                wrong = np.flatnonzero(got != expected)
                if len(wrong) and (layer.has_c if name == "c" else layer.has_h):
                    last = len(self.job.frames) - 1
                    step = len(self.job.frames[last]) - 1
                    raise Stop(
                        _word(f"state {name}", last, step, int(wrong[0]), got, expected, layer.name)
                    )
            self.outcome.states += len(h)

    async def _idle(self) -> None:
        """Wait until STATUS says that no frame is under way."""
        for _ in range(self.job.patience // 16):
            (status,) = await self._read(REGISTER["STATUS"].address)
            if not status & STATUS_BUSY:
                return
            await ClockCycles(self.dut.clk, 16)
        raise Stop(Mismatch(what="register", where="STATUS (busy for ever)"))

    async def _write(self, address: int, values: list[int]) -> None:
        data = b"".join(value.to_bytes(4, "little") for value in values)
        answer = await self._answered(self.axil.write(address, data), address, len(values))
        if answer.resp != AxiResp.OKAY:
            where = f"{address:#08x} (write refused)"
            raise Stop(Mismatch(what="register", where=where))

    async def _read(self, address: int, words: int = 1) -> list[int]:
        answer = await self._answered(self.axil.read(address, 4 * words), address, words)
        if answer.resp != AxiResp.OKAY:
            raise Stop(Mismatch(what="register", where=f"{address:#08x} (read refused)"))
        data = answer.data
        return [int.from_bytes(data[n : n + 4], "little") for n in range(0, len(data), 4)]

    async def _answered(self, access: Any, address: int, words: int) -> Any:
        """The answer to an access; a bus that hangs is a mismatch too."""
        try:
            return await with_timeout(access, (self.job.patience + 64 * words) * PERIOD, "ns")
        except SimTimeoutError:
            raise Stop(Mismatch(what="register", where=f"{address:#08x} (no answer)")) from None


def _word(
    what: str,
    sequence: int,
    step: int,
    index: int,
    got: np.ndarray,
    expected: np.ndarray,
    where: str = "",
) -> Mismatch:
    return Mismatch(
        what=what,
        where=where,
        sequence=sequence,
        step=step,
        index=index,
        got=int(got[index]),
        expected=int(expected[index]),
    )


def _pauses(chance: float, seed: int) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < chance


@cocotb.test()
async def accelerator(dut: Any) -> None:
    """Run the job that the plusarg names."""
    folder = Path(str(cocotb.plusargs[PLUSARG]))
    # The drivers read their inputs from the first cycle on: no X may be left there by then.
    dut.rst.value = 1
    for name in INPUTS:
        getattr(dut, name).value = 0
    Clock(dut.clk, PERIOD, "ns").start()
    await ClockCycles(dut.clk, 4)
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    progress = Progress(folder)
    outcome = await Bench(dut, Job.load(folder), progress).run()
    progress.write(len(outcome.frame_ends), last=True)
    outcome.save(folder)
