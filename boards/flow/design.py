# SPDX-License-Identifier: Apache-2.0
"""What a build leaves in its folder for whoever talks to the board: `board.json` and the network.

The bitstream holds the network from the start; the same design takes others that fit it.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...golden.errors import UserError
from ...golden.models.network import Network
from ...golden.writing import replacing
from ...hw.compiler.compile import compile_plan
from ...hw.compiler.plan import Plan
from ...hw.config import AcceleratorConfig
from ...hw.generate import manifest
from ...hw.image import Image
from ..board import Board

FACTS, NETWORK = "board.json", "network.safetensors"
FORMAT = 1


def number_of(image: Image) -> int:
    """32 bits that tell a network in a design's memories from others; never 0, which is none."""
    number = 0
    for words in image.contents.values():
        for word in words:
            number = zlib.crc32(word.to_bytes(word.bit_length() // 8 + 1, "little"), number)
        number = zlib.crc32(b"end", number)
    return number or 1


def number_at_start(config: AcceleratorConfig, image: Image) -> int:
    """The number of the network that is in a bitstream's memories; 0 where its weights are in an
    SDRAM, which holds nothing before a host has loaded it."""
    return 0 if config.sdram else number_of(image)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardDesign:
    """A design for a board.

    Members
    -------
    board: its name.
    clock_mhz: the accelerator's clock.
    baud: bits a second of the serial line.
    manifest: what `generate` writes for the same network.
    """

    board: str
    clock_mhz: float
    baud: int
    manifest: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        network: Network,
        config: AcceleratorConfig,
        board: Board,
        *,
        clock_mhz: float | None = None,
        baud: int | None = None,
    ) -> "BoardDesign":
        """The design of a network's accelerator; None: the board's own rates."""
        plan = Plan.of(network, config)
        image = compile_plan(plan)
        return cls(
            board=board.name,
            clock_mhz=clock_mhz or board.clock_mhz,
            baud=baud or board.baud,
            manifest=json.loads(json.dumps(manifest(plan, image))),
        )

    @property
    def config(self) -> AcceleratorConfig:
        """What is built."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.manifest["config"].items()
        }
        return AcceleratorConfig(**plain)

    @property
    def number(self) -> int:
        """32 bits that tell designs apart, which the board tells: of all that is fixed in it."""
        fixed = {key: self.manifest[key] for key in ("config", "memories", "registers")}
        return zlib.crc32(json.dumps(fixed, sort_keys=True).encode())

    def save(self, folder: Path, network: Network) -> None:
        """Write it and the network into the build's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        network.save(folder / NETWORK)
        plain = {
            "format": FORMAT,
            "board": self.board,
            "clock_mhz": self.clock_mhz,
            "baud": self.baud,
            "design": self.number,
            "manifest": self.manifest,
        }
        with replacing(folder / FACTS) as temporary:
            temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "BoardDesign":
        """Read what `save` wrote; UserError where it is anything else."""
        file = folder / FACTS
        way_out = "name the folder of a `deltaloom build`"
        try:
            plain = json.loads(file.read_text("utf-8"))
            version = plain["format"]
            if version == FORMAT:
                return cls(**{name: plain[name] for name in cls.__slots__})
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}; {way_out}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: cannot be read ({error}); {way_out}") from error
        raise UserError(f"{file}: format {version!r} is unknown; build again")

    @staticmethod
    def network(folder: Path) -> Network:
        """The network that the bitstream holds."""
        return Network.load(folder / NETWORK)
