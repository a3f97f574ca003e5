# SPDX-License-Identifier: Apache-2.0
"""A generated design beside the SDRAM that its weights are in, as one Verilog module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...golden.errors import UserError
from ...hw.datapath.fetch.sdram_words import word_beats, word_burst
from ...hw.sdram_chips import BLOCK_RAM, CHIPS, SdramChip
from .chip import PORTS, beat_lines, parameters

BESIDE = "deltaloom_beside_sdram"
"""The module that has both."""

PIN = "sdram_"
"""How the design's pins to the chip begin."""


def chip_of(facts: Mapping[str, Any]) -> SdramChip | None:
    """The SDRAM of a design with this manifest; None: it has none."""
    name = facts.get("config", {}).get("weight_memory", BLOCK_RAM)
    if name != BLOCK_RAM and name not in CHIPS:
        raise UserError(
            f"weight_memory: {name!r} is unknown, this version knows {', '.join(CHIPS)}; "
            "generate the design again"
        )
    return CHIPS.get(name)


def beside(facts: Mapping[str, Any], chip: SdramChip) -> str:
    """The Verilog of `BESIDE`: the design's ports but those to the chip, and both inside."""
    ports = facts["ports"]
    inner = [port for port in ports if port["name"].startswith(PIN)]
    outer = [port for port in ports if not port["name"].startswith(PIN)]
    config = facts["config"]
    beats = word_beats(chip, config["word_bits"])
    values = parameters(
        chip,
        clock_mhz=config["memory_clock_mhz"],
        burst=word_burst(beats),
        words=config["weight_words"] * beats,
    )
    heads = ["input clk", "input rst"]
    heads += [f"{port['direction']} {_range(port)}{port['name']}" for port in outer]
    wires = "".join(f"  wire {_range(port)}{port['name']};\n" for port in inner)
    dut = ", ".join(f".{name}({name})" for name in ("clk", "rst", *(p["name"] for p in ports)))
    chip_ports = ", ".join(f".{name}({PIN}{name})" for name in PORTS)
    given = ", ".join(f".{name}({value})" for name, value in values.items())
    return (
        f"`timescale 1ns / 1ps\nmodule {BESIDE} (\n  "
        + ",\n  ".join(heads)
        + f"\n);\n{wires}  {facts['top']} dut ({dut});\n"
        + f"  sdram_pads #({given}) chip (.clk(clk), {chip_ports}, .errors());\nendmodule\n"
    )


def _range(port: Mapping[str, Any]) -> str:
    return f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""


def chip_file(weights: Path, facts: Mapping[str, Any], chip: SdramChip) -> str:
    """A memory file of weight words as the chip's own, for `+sdram`."""
    words: Sequence[int] = [int(line, 16) for line in weights.read_text("utf-8").split()]
    return beat_lines(words, chip, facts["config"]["word_bits"])
