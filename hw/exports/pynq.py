# SPDX-License-Identifier: Apache-2.0
"""A driver for PYNQ: frames and outputs through an AXI DMA, registers by MMIO."""

from collections.abc import Mapping
from string import Template
from typing import Any

from ..bus.register_map import ID_VALUE

DRIVER = Template('''\
"""$name on a Zynq board with PYNQ, as ${name}_dma.v behind an AXI DMA (simple mode):

    from pynq import Overlay, allocate
    overlay = Overlay("$name.bit")
    $name = Accelerator(overlay.axi_dma_0, overlay.${name}_dma_0.mmio, allocate)
    outputs = $name.predict(features)  # [frames, $inputs] in, [frames, $outputs] out

Both streams of the DMA have the wrapper's width: $in_bits bits in, $out_bits out.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MANIFEST = json.loads((HERE / "manifest.json").read_text())
REGISTERS = {register["name"]: register for register in MANIFEST["registers"]}
INPUTS, OUTPUTS = MANIFEST["inputs"], MANIFEST["outputs"]
IN_WORDS = -(-INPUTS * 16 // $in_bits) * $in_bits // 16  # int16 of a frame, padding included
OUT_WORDS = -(-OUTPUTS * 16 // $out_bits) * $out_bits // 16
MOST_BYTES = (1 << 14) - 1  # of a transfer, with the DMA's default of 14 bits for its length


def field(register, name):
    """The bits of a register's field."""
    found = next(each for each in REGISTERS[register]["fields"] if each["name"] == name)
    return (1 << found["bits"]) - 1 << found["low"]


class Accelerator:
    """dma: has sendchannel and recvchannel; mmio: read(offset) and write(offset, value);
    allocate: pynq.allocate; most_bytes: of one transfer, by the width of the DMA's length."""

    def __init__(self, dma, mmio, allocate, most_bytes=MOST_BYTES):
        self.dma, self.mmio, self.allocate = dma, mmio, allocate
        self.frames = most_bytes // (2 * max(IN_WORDS, OUT_WORDS))
        found = mmio.read(REGISTERS["ID"]["address"])
        if found != $identity:
            raise RuntimeError(f"there is no accelerator here: ID is {found:#x}, not $identity_hex")

    def load(self, folder=HERE):
        """Write the image, for a design made with --no-bake, from the folder's .hex files."""
        for memory in MANIFEST["memories"]:
            lines = (Path(folder) / f"{memory['name']}.hex").read_text().split()
            for n, line in enumerate(lines):
                word, address = int(line, 16), memory["base"] + n * memory["stride"]
                for part in range(-(-memory["width"] // 32)):
                    self.mmio.write(address + 4 * part, word >> 32 * part & 0xFFFFFFFF)
        for n, entry in enumerate(MANIFEST["lists"]):
            self.mmio.write(REGISTERS["THRESHOLD"]["address"] + 4 * n, entry["threshold"])

    def new_sequence(self):
        """The next frame starts from the initial states."""
        self.mmio.write(REGISTERS["CONTROL"]["address"], field("CONTROL", "NEW_SEQUENCE"))

    def counter(self, name):
        """A counter of 64 bits, such as "CYCLES" or "STEPS"."""
        address = REGISTERS[name]["address"]
        low = self.mmio.read(address)  # this one first: it keeps the other
        return self.mmio.read(address + 4) << 32 | low

    def predict(self, features, new=True):
        """Outputs [frames, $outputs] of features [frames, $inputs], as real values.

        new: they start a sequence; otherwise they go on with the last one."""
        if MANIFEST["tokens"] is not None:
            words = np.asarray(features).reshape(-1, 1)
        elif MANIFEST["x_exponent"] is None:
            raise ValueError("this network's words are integer codes: use run()")
        else:
            scale = 1.0 if MANIFEST["input_scale"] is None else np.array(MANIFEST["input_scale"])
            exact = np.asarray(features, np.float64) / scale * 2.0 ** (15 - MANIFEST["x_exponent"])
            words = np.clip(np.floor(exact + 0.5), -32768, 32767)
        return self.run(words, new) * 2.0 ** (MANIFEST["y_exponent"] - 15)

    def run(self, words, new=True):
        """Output words, int16 [frames, $outputs], of frames' words [frames, $inputs]."""
        words = np.asarray(words).astype(np.int16)
        if words.ndim != 2 or words.shape[1] != INPUTS or not len(words):
            raise ValueError(f"frames are {words.shape}, not (frames, {INPUTS})")
        most, held = self.frames, MANIFEST["sequence_frames"]  # that the sequence buffer holds
        if held is not None:
            most = min(most, held)
            if len(words) > most:
                found = f"a sequence of {len(words)} frames"
                raise ValueError(f"{found} is one packet, of {most} at most")
        if new:
            self.new_sequence()
        parts = [self._packet(words[n : n + most]) for n in range(0, len(words), most)]
        return np.concatenate(parts)

    def _packet(self, words):
        """One transfer there and one back."""
        sent = self.allocate(shape=(len(words), IN_WORDS), dtype=np.int16)
        got = self.allocate(shape=(len(words), OUT_WORDS), dtype=np.int16)
        try:
            sent[:] = 0
            sent[:, :INPUTS] = words
            self.dma.recvchannel.transfer(got)
            self.dma.sendchannel.transfer(sent)
            self.dma.sendchannel.wait()
            self.dma.recvchannel.wait()
            return np.array(got[:, :OUTPUTS])
        finally:
            sent.freebuffer()
            got.freebuffer()
''')


def pynq_driver(manifest: Mapping[str, Any]) -> str:
    """The text of NAME_pynq.py, which reads manifest.json beside it."""
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    return DRIVER.substitute(
        name=manifest["top"],
        inputs=manifest["inputs"],
        outputs=manifest["outputs"],
        in_bits=widths["s_axis_tdata"],
        out_bits=widths["m_axis_tdata"],
        identity=ID_VALUE,
        identity_hex=f"{ID_VALUE:#x}",
    )
