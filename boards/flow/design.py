# SPDX-License-Identifier: Apache-2.0
"""What a build leaves in its folder for whoever talks to the board: `board.json` and the network.

The bitstream holds the network from the start where its weights are in block RAM; otherwise a host
loads it. The same design takes others that fit it, unless it is hardwired.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...golden.errors import UserError
from ...golden.evaluation.networks import AnyNetwork, load_network
from ...golden.writing import replacing
from ...hw.compiler.compile import compile_plan
from ...hw.compiler.plan import Plan
from ...hw.config import AcceleratorConfig
from ...hw.generate import manifest
from ...hw.image import WEIGHTS, Image
from ..board import Board

FACTS, NETWORK = "board.json", "network.safetensors"
FORMAT = 1
HARDWIRED = "hardwired"
"""Of a manifest: `hardwired_number` of a design's network."""


def number_of(image: Image) -> int:
    """32 bits that tell a network in a design's memories from others; never 0, which is none."""
    number = 0
    for words in image.contents.values():
        for word in words:
            number = zlib.crc32(word.to_bytes(word.bit_length() // 8 + 1, "little"), number)
        number = zlib.crc32(b"end", number)
    return number or 1


def hardwired_number(image: Image) -> int:
    """The same for what a hardwired accelerator cannot load."""
    kept = {name: words for name, words in image.contents.items() if name != WEIGHTS}
    return number_of(replace(image, contents=kept))


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
        network: AnyNetwork,
        config: AcceleratorConfig,
        board: Board,
        *,
        clock_mhz: float | None = None,
        baud: int | None = None,
    ) -> "BoardDesign":
        """The design of a network's accelerator; None: the board's own rates."""
        plan = Plan.of(network, config)
        image = compile_plan(plan)
        known = manifest(plan, image)
        if config.hardwired:
            known[HARDWIRED] = hardwired_number(image)
        return cls(
            board=board.name,
            clock_mhz=clock_mhz or board.clock_mhz,
            baud=baud or board.baud,
            manifest=json.loads(json.dumps(known)),
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
        fixed |= {key: self.manifest[key] for key in (HARDWIRED,) if key in self.manifest}
        return zlib.crc32(json.dumps(fixed, sort_keys=True).encode())

    def save(self, folder: Path, network: AnyNetwork) -> None:
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
                found = cls(**{name: plain[name] for name in cls.__slots__})
                found._check(plain["design"])
                return found
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}; {way_out}") from error
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            UserError,
        ) as error:
            raise UserError(f"{file}: cannot be read ({error}); {way_out}") from error
        raise UserError(f"{file}: format {version!r} is unknown; build again")

    def _check(self, number: object) -> None:
        """Raise ValueError or TypeError for what `save` does not write; number: the file's."""
        if not isinstance(self.board, str):
            raise TypeError(f"board: {self.board!r} is no name")
        for name, value in (("clock_mhz", self.clock_mhz), ("baud", self.baud)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
                raise ValueError(f"{name}: {value!r} is not possible, it must be above 0")
        if not isinstance(self.config, AcceleratorConfig) or self.number != number:
            raise ValueError(f"design: {number!r} is not the number of what it is in the file")

    @staticmethod
    def network(folder: Path) -> AnyNetwork:
        """The network that it was built for."""
        return load_network(folder / NETWORK)
