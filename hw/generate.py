# SPDX-License-Identifier: Apache-2.0
"""Writes a design: Verilog, the image's memory files, and a manifest that drivers read."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..golden.errors import UserError
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.writing import replacing_folder
from .accelerator import Accelerator, signature_of, windows
from .bus.axi import flat_ports
from .bus.register_map import memory_map, register_map
from .compiler.compile import compile_plan
from .compiler.fit import derive_config
from .compiler.integer_lstm import Lowered
from .compiler.networks import AnyNetwork
from .compiler.plan import Plan
from .config import AcceleratorConfig
from .exports.files import export_files
from .image import Image, memories
from .verilog import KEYWORDS, to_verilog

MANIFEST = "manifest.json"
TOP = "deltaloom"
"""The top module's name where none is given."""

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
    network: AnyNetwork,
    folder: Path,
    *,
    config: AcceleratorConfig | None = None,
    baked: bool = True,
    name: str = TOP,
    more: Mapping[str, str] | None = None,
    integration: bool = False,
) -> Design:
    """Write `NAME.v`, `manifest.json` and one .hex file per memory into `folder`.

    Parameters
    ----------
    config: None derives the smallest one
    baked: the Verilog's memories hold the image from the start; otherwise they are empty and the
        image is loaded over the bus
    name: of the top module; all others are called NAME.PART, so that designs of different names
        go into one project
    more: texts to write beside these, by file name
    integration: also write what other people's systems take, see `exports.files`

    The folder's files change all at once, see `golden.writing.replacing_folder`.

    Raises UserError for a name that is no Verilog identifier, and a hardwired design without image.
    """
    check_name(name)
    config = config or derive_config(network)
    if config.hardwired and not baked:
        raise UserError("baked: False is not possible with hardwired, which has the network in it")
    plan = Plan.of(network, config)
    image = compile_plan(plan)
    contents = image.contents
    hexes = {
        f"{memory.name}.hex": "".join(hex_lines(contents[memory.name], memory.width))
        for memory in memories(config)
    }
    files = dict(hexes)
    verilog = f"{name}.v"
    told = manifest(plan, image, name)
    more = dict(more or {})
    if integration:
        more |= export_files(told, more)
    if more:
        files |= more
        told["more_files"] = sorted(more)
    facts = json.dumps(told, indent=2) + "\n"
    top = Accelerator(config, image if baked else None)
    text = to_verilog(top, name, flat_ports(top))
    with replacing_folder(folder, former_files(folder)) as temporary:
        for file, content in {**files, verilog: text, MANIFEST: facts}.items():
            (temporary / file).write_text(content, "utf-8")
    return Design(folder / verilog, folder / MANIFEST, tuple(folder / file for file in hexes))


def former_files(folder: Path) -> set[str]:
    """Names of what `generate` wrote into this folder before; none where that is not clear."""
    try:
        facts = json.loads((folder / MANIFEST).read_text("utf-8"))
        names = {f"{memory['name']}.hex" for memory in facts["memories"]}
        return {MANIFEST, f"{facts['top']}.v", *names, *facts.get("more_files", ())}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def check_name(name: str) -> None:
    """Raise UserError unless a Verilog module can have this name without escaping it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in KEYWORDS:
        raise UserError(
            f"name: {name!r} is not possible for a Verilog module, it must be letters, digits and "
            "underscores, no digit first, and no keyword"
        )


def manifest(plan: Plan, image: Image, name: str = TOP) -> dict[str, Any]:
    """Everything about a design that a driver or a testbench must know, as plain data."""
    network, config = plan.network, plan.config
    return {
        "format": MANIFEST_FORMAT,
        "generator": f"deltaloom {__version__}",
        "top": name,
        "config": asdict(config),
        "word_bits": config.word_bits,
        "ports": [
            {"name": name, "width": len(signal), "direction": direction.value}
            for name, (signal, direction) in flat_ports(signature_of(config).create()).items()
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
                "h_exponent": getattr(layer, "h_exponent", None),
            }
            for layer, base in zip(network.layers, image.state_bases, strict=True)
        ],
        "states": max(config.states, 2),
        "sequence_frames": plan.sequence_frames,
        "inputs": network.frame_words,
        "tokens": network.inputs if network.tokens else None,
        "outputs": network.outputs,
        **_words(network.original if isinstance(network, Lowered) else network),
    }


def _words(network: Any) -> dict[str, Any]:
    """What the words of the streams stand for.

    Of an integer-only LSTM they are codes, (code - zero_point) * scale, and have no exponents.
    """
    integer = isinstance(network, IntegerNetwork)
    affine = {"x": asdict(network.x), "y": asdict(network.y)} if integer else {}
    scale = None if integer else network.input_scale
    return {
        "x_exponent": None if integer else network.x_exponent,
        "input_scale": None if scale is None else scale.tolist(),
        "y_exponent": None if integer else network.y_exponent,
        **affine,
        "labels": list(network.labels),
    }


def hex_lines(words: list[int], width: int) -> Iterator[str]:
    """Words as lines for $readmemh, lowest address first."""
    digits = (width + 3) // 4
    return (f"{word:0{digits}x}\n" for word in words)
