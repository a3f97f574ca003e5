# SPDX-License-Identifier: Apache-2.0
"""Writes a design: Verilog, the image's memory files, and a manifest that drivers read."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..golden import storage
from ..golden.models.network import Network
from .accelerator import Accelerator, windows
from .bus.axi import flat_ports
from .bus.register_map import memory_map, register_map
from .compiler.compile import compile_plan
from .compiler.fit import derive_config
from .compiler.plan import Plan
from .config import AcceleratorConfig
from .image import Image, memories
from .verilog import to_verilog

TOP = "deltaloom"

MANIFEST_FORMAT = 1
"""Version of `manifest.json`, its field "format".

It rises when a field goes or changes its meaning, so that a reader can refuse what it would
misunderstand; a new field does not change it. A file without the field is of format 1.
"""


@dataclass(frozen=True, slots=True)
class Design:
    """Where a design was written.

    Members
    -------
    verilog, manifest: files
    memories: one file for each of the image's memories, in their order
    """

    verilog: Path
    manifest: Path
    memories: tuple[Path, ...]


def generate(
    network: Network,
    folder: Path,
    *,
    config: AcceleratorConfig | None = None,
    baked: bool = True,
) -> Design:
    """Write `deltaloom.v`, `manifest.json` and one `NAME.hex` per memory into `folder`.

    Parameters
    ----------
    config: None derives the smallest one
    baked: the Verilog's memories hold the image from the start; otherwise they are empty and the
        image is loaded over the bus
    """
    config = config or derive_config(network)
    plan = Plan.of(network, config)
    image = compile_plan(plan)
    top = Accelerator(config, image if baked else None)
    text = to_verilog(top, TOP, flat_ports(top))
    folder.mkdir(parents=True, exist_ok=True)
    design = Design(
        folder / f"{TOP}.v",
        folder / "manifest.json",
        tuple(folder / f"{memory.name}.hex" for memory in memories(config)),
    )
    for memory, file in zip(memories(config), design.memories, strict=True):
        _write(file, "".join(hex_lines(image.contents[memory.name], memory.width)))
    _write(design.verilog, text)
    _write(design.manifest, json.dumps(manifest(plan, image, top), indent=2) + "\n")
    return design


def manifest(plan: Plan, image: Image, top: Accelerator) -> dict[str, Any]:
    """Everything about a design that a driver or a testbench must know, as plain data."""
    network, config = plan.network, plan.config
    return {
        "format": MANIFEST_FORMAT,
        "generator": f"deltaloom {__version__}",
        "top": TOP,
        "config": asdict(config),
        "word_bits": config.word_bits,
        "ports": [
            {"name": name, "width": len(signal), "direction": direction.value}
            for name, (signal, direction) in flat_ports(top).items()
        ],
        "registers": register_map(),
        "memories": memory_map(windows(config)),
        "lists": [{"index": n, **asdict(entry)} for n, entry in enumerate(image.lists)],
        "layers": [
            {
                "name": layer.name,
                "cell": layer.kind,
                "units": layer.units,
                "state_base": base,
                "c_exponent": layer.c_exponent,
                "h_exponent": layer.h_exponent,
            }
            for layer, base in zip(network.layers, image.state_bases, strict=True)
        ],
        "sequence_frames": plan.sequence_frames,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "x_exponent": network.x_exponent,
        "input_scale": None if network.input_scale is None else network.input_scale.tolist(),
        "y_exponent": network.y_exponent,
        "labels": list(network.labels),
    }


def hex_lines(words: list[int], width: int) -> Iterator[str]:
    """Words as lines for $readmemh, lowest address first."""
    digits = (width + 3) // 4
    return (f"{word:0{digits}x}\n" for word in words)


def _write(file: Path, text: str) -> None:
    with storage.replacing(file) as temporary:
        temporary.write_text(text)
