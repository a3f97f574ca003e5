# SPDX-License-Identifier: Apache-2.0
"""Builds a board's design as a program, with Verilator, and starts it."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...boards.flow.build import board_core, first_network
from ...boards.flow.design import FACTS, NETWORK, BoardDesign
from ...boards.registry import find_board
from ...boards.tools import toolchain
from ...boards.tools.process import digest, fresh_folder, moved
from ...golden.errors import UserError
from ...golden.evaluation.networks import AnyNetwork
from ...hw.bus.axi import flat_ports
from ...hw.compiler.compile import compile_network
from ...hw.verilog import to_verilog
from ..memory.chip import SOURCE
from .top import SimulatedTop

CLOCKS_PER_BIT = 8
"""The fewest that the receiver takes."""
TOP = "top"
TOOLS = ("verilator", "g++", "make", "perl")
_CLOCKS = "clocks_per_bit"
_HARNESS = Path(__file__).with_name("main.cpp")


def build_board(
    folder: Path,
    *,
    clocks_per_bit: int = CLOCKS_PER_BIT,
    progress: Callable[[str], None] = lambda stage: None,
) -> Path:
    """The program of the design that `deltaloom build` left in `folder`, built there once.

    Parameters
    ----------
    clocks_per_bit: of the serial line; a board's own is the clock divided by the baud rate.

    Raises UserError where the folder holds no design, or a tool is missing or fails.
    """
    design, network = BoardDesign.load(folder), BoardDesign.network(folder)
    tools = [toolchain.require(name) for name in TOOLS]
    name = digest("board", [tool.version for tool in tools], clocks_per_bit, _inputs(folder))
    built = folder / "simulated" / name
    if not built.is_dir():
        progress("simulated board: writing its Verilog")
        source = _verilog(design, network, clocks_per_bit)
        progress("simulated board: compiling it")
        _compile(source, clocks_per_bit, tools, built)
    return built / "obj" / "simulate"


def _inputs(folder: Path) -> list[str]:
    """All that the program is made of: the build, and our own code, which is read in no time."""
    root = Path(__file__).parent.parent.parent
    files = [folder / FACTS, folder / NETWORK, _HARNESS]
    for package in ("hw", "boards", "sim/board", "sim/memory"):
        files += sorted((root / package).rglob("*.py"))
    files.append(SOURCE)
    return [hashlib.blake2b(file.read_bytes()).hexdigest() for file in files]


def _verilog(design: BoardDesign, network: AnyNetwork, clocks_per_bit: int) -> str:
    """The board's top level with the network in it."""
    image = compile_network(network, design.config)
    board = find_board(design.board)
    core = board_core(design.config, image, board)
    numbers = design.number, first_network(design.config, image, board)
    top = SimulatedTop(
        core,
        board=board,
        clock_mhz=design.clock_mhz,
        clocks_per_bit=clocks_per_bit,
        numbers=numbers,
    )
    text = to_verilog(top, TOP, flat_ports(top))
    return text + SOURCE.read_text("utf-8") if design.config.sdram else text


def _compile(source: str, clocks_per_bit: int, tools: list[toolchain.Tool], built: Path) -> None:
    """The program, in a folder of its own; UserError where a tool fails."""
    with fresh_folder(built) as place:
        (place / f"{TOP}.v").write_text(source, "utf-8")
        (place / _HARNESS.name).write_bytes(_HARNESS.read_bytes())
        (place / _CLOCKS).write_text(str(clocks_per_bit), "ascii")
        command = [
            *(*tools[0].command, "--cc", "--exe", "--build", "-O3", "-Wno-fatal", "-Wno-lint"),
            *("-Wno-style", "--x-assign", "fast", "--x-initial", "fast", "-CFLAGS", "-O1"),
            *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_GLOBAL=-O1", "--top-module", TOP, "--Mdir", "obj"),
            *(f"{TOP}.v", _HARNESS.name, "-o", "simulate"),
        ]
        log = place / "build.log"
        with log.open("w", encoding="utf-8") as out:
            done = subprocess.run(
                command,
                cwd=place,
                env=toolchain.environment(*tools),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise UserError(
                f"verilator cannot build the simulated board (exit code {done.returncode}); "
                f"see {moved(built, log.name)}"
            )


@dataclass(frozen=True, slots=True)
class Figures:
    """What a simulated board counted: clock cycles; bytes each way, and how many were damaged."""

    cycles: int
    to_board: int
    from_board: int
    damaged: int


class SimulatedBoard:
    """A running program of `build_board`.

    Parameters
    ----------
    program: the file.
    noise: chance, 0 to 1, that a byte on the line is lost, doubled, swapped or changed.
    seed: of the noise.

    Attributes
    ----------
    port: the pseudo-terminal's name, which is opened as a serial port.
    """

    def __init__(self, program: Path, *, noise: float = 0.0, seed: int = 1) -> None:
        if not 0 <= noise < 1:
            raise UserError(f"noise: {noise!r} is not possible, it must be 0 to below 1")
        self._process = subprocess.Popen(
            [str(program.resolve()), str(_clocks(program)), str(noise), str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = self._line().strip()
        if not self.port:
            self._process.wait()
            raise UserError("the simulated board did not start: it got no pseudo-terminal")

    def _line(self) -> str:
        if self._process.stdout is None:  # pragma: no cover: PIPE was asked for
            raise RuntimeError("the child has no output stream")
        return self._process.stdout.readline()

    @property
    def process(self) -> int:
        """The program's process id."""
        return self._process.pid

    def wait(self) -> None:
        """Until it ends by itself."""
        self._process.wait()

    def close(self) -> Figures | None:
        """End it; its figures, None where it had ended before."""
        if self._process.poll() is None:
            self._process.terminate()
        text = self._line()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return Figures(**json.loads(text)) if text.strip() else None

    def __enter__(self) -> "SimulatedBoard":
        return self

    def __exit__(self, *exception: Any) -> None:
        if not self._process.stdout or not self._process.stdout.closed:
            self.close()


def _clocks(program: Path) -> int:
    """Clocks of a bit, as the program was built for."""
    return int((program.parent.parent / _CLOCKS).read_text("ascii"))
