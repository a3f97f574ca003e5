# SPDX-License-Identifier: Apache-2.0
"""The PYNQ driver of `asr` on a simulated board: AXI DMA and MMIO by cocotbext-axi's models.

In a design's folder: python dma_bench.py SEQUENCES EMPTY, where SEQUENCES are frames of the bench's
sequences, such as 4,3, and EMPTY is 1 for a design whose image is loaded first.
"""

import itertools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

HERE = Path.cwd()


class Buffer(np.ndarray):
    """As pynq.allocate gives it."""

    freed = 0

    def freebuffer(self):
        Buffer.freed += 1


def allocate(shape, dtype):
    return np.full(shape, -1, dtype).view(Buffer)


class Send:
    """The DMA's read channel: a buffer is a packet."""

    def __init__(self, source):
        self.source, self.packets = source, []

    def transfer(self, buffer):
        self.packets.append(len(buffer))
        resume(self.source.send)(buffer.tobytes())

    def wait(self):
        resume(self.source.wait)()


class Receive:
    """The write channel: tlast ends the transfer, which must fill the buffer."""

    def __init__(self, sink):
        self.sink, self.buffer = sink, None

    def transfer(self, buffer):
        self.buffer = buffer

    def wait(self):
        frame = resume(self.sink.recv)()
        assert len(frame.tdata) == self.buffer.nbytes, "a packet of the wrong length"
        self.buffer[:] = np.frombuffer(bytes(frame.tdata), np.int16).reshape(self.buffer.shape)


class Mmio:
    def __init__(self, bus):
        self.bus = bus

    def read(self, offset):
        return resume(self.bus.read_dword)(offset)

    def write(self, offset, value):
        resume(self.bus.write_dword)(offset, value)


def words(name, width, elements):
    """Frames of the bench, int16 [frames, width], from words of so many elements."""
    lines = (HERE / f"asr_tb_{name}.hex").read_text().split()
    values = [int(line, 16) >> 16 * n & 0xFFFF for line in lines for n in range(elements)]
    padded = -(-width // elements) * elements
    return np.array(values, np.uint16).view(np.int16).reshape(-1, padded)[:, :width]


def drive(board, sequences, empty):
    """What the driver does, in a thread of its own, as on a board."""
    from asr_pynq import INPUTS, MANIFEST, OUTPUTS, Accelerator

    ends = np.cumsum(sequences)[:-1]
    config = MANIFEST["config"]
    frames = np.split(words("in", INPUTS, config["input_elements"]), ends)
    wanted = np.split(words("out", OUTPUTS, config["output_elements"]), ends)
    asr = Accelerator(board.dma, board.mmio, allocate)
    if empty:
        asr.load()
    for sent, expected in zip(frames, wanted, strict=True):  # a packet a sequence
        np.testing.assert_array_equal(asr.run(sent), expected)
    assert board.dma.sendchannel.packets == sequences
    most = MANIFEST["sequence_frames"]
    buffered = most is not None
    if buffered:
        longer = np.resize(frames[0], (most + 1, INPUTS))
        refused(asr, longer, f"a sequence of {most + 1} frames is one packet, of {most} at most")
        small = Accelerator(board.dma, board.mmio, allocate, most_bytes=18)
        refused(small, frames[0], "of 3 at most")
    else:
        first, rest = asr.run(frames[0][:1]), asr.run(frames[0][1:], new=False)  # in two calls
        np.testing.assert_array_equal(np.concatenate([first, rest]), wanted[0])
        small = Accelerator(board.dma, board.mmio, allocate, most_bytes=10)
        np.testing.assert_array_equal(small.run(frames[0]), wanted[0])  # a packet a frame
        assert board.dma.sendchannel.packets[-sequences[0] :] == [1] * sequences[0]
    if MANIFEST["tokens"] is None:
        features = frames[-1] * 2.0 ** (MANIFEST["x_exponent"] - 15)
        outputs = wanted[-1] * 2.0 ** (MANIFEST["y_exponent"] - 15)
        np.testing.assert_array_equal(asr.predict(features), outputs)
    ran = sum(sequences) + sequences[-1] + (0 if buffered else 2 * sequences[0])
    assert asr.counter("STEPS") == ran
    assert board.mmio.read(0x38) == 0, "frames of the wrong length"
    assert Buffer.freed == 2 * len(board.dma.sendchannel.packets)
    for wrong in (frames[0][:, 1:], frames[0][0], frames[0][:0]):
        refused(asr, wrong, "frames are (")


def refused(asr, words, message):
    """These frames are, with a line that has the message, and nothing is sent."""
    before = len(asr.dma.sendchannel.packets)
    try:
        asr.run(words)
    except ValueError as error:
        assert message in str(error), error
    else:
        raise AssertionError(f"taken: {words.shape}, not refused by {message!r}")
    assert len(asr.dma.sendchannel.packets) == before


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def driver(dut):
    dut.aresetn.value = 0
    Clock(dut.clk, 10, "ns").start()
    clocked = (dut.clk, dut.aresetn, False)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *clocked)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *clocked)
    bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *clocked)
    source.set_pause_generator(itertools.cycle([0, 0, 0, 1, 1, 0, 1]))
    sink.set_pause_generator(itertools.cycle([1, 0, 0, 1, 1, 1, 0, 1]))
    await ClockCycles(dut.clk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.clk, 4)
    dma = SimpleNamespace(sendchannel=Send(source), recvchannel=Receive(sink))
    board = SimpleNamespace(dma=dma, mmio=Mmio(bus))
    sequences = [int(n) for n in os.environ["SEQUENCES"].split(",")]
    await bridge(drive)(board, sequences, os.environ["EMPTY"] == "1")


if __name__ == "__main__":
    from cocotb_tools.runner import get_results, get_runner

    runner = get_runner("icarus")
    options = {"hdl_toplevel": "asr_dma", "timescale": ("1ns", "1ps")}
    files = [HERE / "asr_dma.v", HERE / "asr.v"]
    runner.build(sources=files, build_dir=HERE / "dma", **options)
    paths = os.pathsep.join((str(HERE), str(Path(__file__).parent)))
    sys.path[:0] = paths.split(os.pathsep)
    results = runner.test(
        hdl_toplevel="asr_dma",
        test_module="dma_bench",
        test_dir=HERE,
        extra_env={"SEQUENCES": sys.argv[1], "EMPTY": sys.argv[2]},
    )
    ran, failed = get_results(results)
    print(f"{ran} ran, {failed} failed")
    sys.exit(min(failed, 1) if ran else 1)
