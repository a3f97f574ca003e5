# SPDX-License-Identifier: Apache-2.0
"""From a network or a core to a board's report and bitstream.

Amaranth's platform gives RTLIL and constraints, the board's family runs the tools. These are run
from here and not by Amaranth's build scripts, so that caching, progress and reports are the same
for boards and for benchmarks out of context.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from amaranth.lib import wiring

from ...golden.errors import UserError
from ...golden.evaluation.networks import AnyNetwork
from ...hw.accelerator import Accelerator
from ...hw.compiler.compile import compile_network
from ...hw.compiler.fit import derive_config
from ...hw.config import AcceleratorConfig
from ...hw.image import Image
from ..board import Board, Device
from ..family.memory import Memory
from ..registry import BOARDS, find_board
from ..tools.process import Progress, silent
from ..tools.toolchain import require
from ..uart.line import bit_period
from .design import BoardDesign, number_of
from .families import family_of
from .report import BuildReport
from .sdram_pads import AHEAD_NS, RESOURCE
from .top import BoardTop

TOP = "top"

CLOCK_TOLERANCE = 1e-3
"""By which part an SDRAM's clock may differ from the one that its cycles are for."""

_LINE = re.compile(
    r"^(?:module \\(?P<module>\S+)"
    r"|  memory width (?P<width>\d+) size (?P<depth>\d+) \\(?P<memory>\S+)"
    r'|    parameter \\MEMID "\\\\(?P<port>[^"]+)"'
    r"|    parameter \\CLK_ENABLE (?P<clocked>\S+)"
    r"|  cell (?P<cell>\S+))"
)


def check_rates(board: Board, *, clock_mhz: float, baud: int) -> None:
    """UserError when the board cannot make the clock, or the clock is too slow for the baud."""
    output_mhz = family_of(board).clock_mhz(board, clock_mhz)
    try:
        bit_period(output_mhz * 1e6, baud)
    except ValueError as error:
        raise UserError(str(error)) from None


def clock_of(board: Board, clock_mhz: float | None) -> float:
    """The accelerator's clock in MHz, as the board's PLL makes it; None: the board's own."""
    return family_of(board).clock_mhz(board, clock_mhz or board.clock_mhz)


def check_memory(config: AcceleratorConfig, board: Board, clock_mhz: float | None) -> None:
    """UserError where the weights are in an SDRAM that the board does not have, or whose times are
    for another clock than the board's."""
    if config.sdram is None:
        return
    if config.weight_memory != board.sdram:
        raise UserError(
            f"weight_memory: {config.weight_memory} is not possible, {board.name} has "
            f"{board.sdram or 'no SDRAM that designs use'}"
        )
    clock = clock_of(board, clock_mhz)
    if abs(config.memory_clock_mhz - clock) > CLOCK_TOLERANCE * clock:
        raise UserError(
            f"memory_clock_mhz: {config.memory_clock_mhz:g} is not possible, it must be the "
            f"board's clock, {clock:g}"
        )


def check_line(board: Board, baud: int) -> None:
    """UserError when what is at the other end of the board's serial line is too slow."""
    most = board.serial.most_baud
    if not 0 < baud <= most:
        raise UserError(f"baud: {baud} is not possible, it must be 1 to {most} on {board.name}")


def check_tools(board: Board, *, synth_only: bool = False) -> None:
    """UserError when a program that the build runs is missing."""
    for tool in family_of(board).tools(synth_only=synth_only):
        require(tool)


def memories_in(rtlil: str) -> list[Memory]:
    """Every memory of a design in RTLIL, called module.name, with its read ports counted."""
    shapes: dict[str, tuple[int, int]] = {}
    reads: Counter[str] = Counter()
    unclocked: set[str] = set()
    module = cell = port = ""
    for line in rtlil.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["module"]:
            module = match["module"]
        elif match["memory"]:
            name = f"{module}.{match['memory']}"
            shapes[name] = (int(match["depth"]), int(match["width"]))
        elif match["cell"]:
            cell = match["cell"]
        elif cell == "$memrd_v2" and match["port"]:
            port = f"{module}.{match['port']}"
            reads[port] += 1
        elif cell == "$memrd_v2" and match["clocked"] == "0":
            unclocked.add(port)
    return [
        Memory(
            name=name,
            depth=depth,
            width=width,
            read_ports=max(reads[name], 1),
            asynchronous=name in unclocked,
        )
        for name, (depth, width) in shapes.items()
    ]


def _label_weights(memories: Sequence[Memory], config: AcceleratorConfig) -> list[Memory]:
    """The design's memories, with the weights' banks as one, called so and known by their bits."""
    if config.sdram:
        return list(memories)
    weights = Memory(
        name="weights",
        depth=config.weight_words,
        width=config.word_bits,
        bits=config.weight_bits[-1],
    )
    return [weights, *(memory for memory in memories if ".store.bank_" not in memory.name)]


def _others(board: Board) -> dict[str, Device]:
    """What else could be built for, by name: the same series first, smaller ones first."""
    same = [other for other in BOARDS.values() if other.family == board.family]
    same.sort(key=lambda other: (other.series != board.series, other.device.brams))
    return {other.name: other.device for other in same}


def board_core(config: AcceleratorConfig, image: Image, board: Board) -> Accelerator:
    """The accelerator with its weights where the board's family has them."""
    return Accelerator(config, image, store=family_of(board).store(config))


def first_network(config: AcceleratorConfig, image: Image, board: Board) -> int:
    """The number of the network that is there when the bitstream is loaded.

    0: none is, whole; weights are in an SDRAM, or in memories that a bitstream does not fill.
    """
    return number_of(image) if family_of(board).keeps_weights and not config.sdram else 0


def prepare(
    core: wiring.Component,
    board: Board,
    *,
    clock_mhz: float,
    baud: int,
    numbers: tuple[int, int] = (0, 0),
) -> tuple[str, str]:
    """RTLIL and constraints of ``core`` on ``board``; the top module is `TOP`.

    ``numbers``, of the design and of its network, are what the board tells a host.
    """
    family = family_of(board)
    ahead = AHEAD_NS if RESOURCE in core.signature.members else None
    pll = family.pll(board, clock_mhz, ahead_ns=ahead)
    top = BoardTop(core, board=board, pll=pll, baud=baud, numbers=numbers, window=family.window)
    # source positions would change the digest with every checkout
    files = board.platform().build(top, name=TOP, do_build=False, emit_src=False).files
    both = (files[f"{TOP}.il"], files[f"{TOP}{family.constraints}"])
    rtlil, pins = (text if isinstance(text, str) else text.decode() for text in both)
    return rtlil, pins


def build_design(
    core: wiring.Component,
    *,
    board: Board,
    workdir: Path,
    config: AcceleratorConfig | None = None,
    clock_mhz: float | None = None,
    baud: int | None = None,
    numbers: tuple[int, int] = (0, 0),
    seed: int = 1,
    synth_only: bool = False,
    cycles_per_step: float | None = None,
    progress: Progress = silent,
) -> BuildReport:
    """Build ``core``, a component with the accelerator's ports, for ``board``.

    Parameters
    ----------
    workdir
        Where results are kept; the same build again costs next to nothing.
    config
        The core's, for better advice where its weights do not fit.
    clock_mhz, baud
        None: the board's own.
    numbers
        Of the design and of its network, which the board tells a host.
    synth_only
        Area only: no place and route, no bitstream.
    cycles_per_step
        Clock cycles of a frame, for the report's latency.

    Raises
    ------
    UserError
        It does not fit, the clock cannot be made, or a tool is missing or failed. A clock that
        place and route did not reach is no error: see the report's `timing_met`.
    """
    clock_mhz = board.clock_mhz if clock_mhz is None else clock_mhz
    baud = board.baud if baud is None else baud
    family = family_of(board)
    check_rates(board, clock_mhz=clock_mhz, baud=baud)
    check_tools(board, synth_only=synth_only)
    progress("elaborating the design")
    rtlil, constraints = prepare(core, board, clock_mhz=clock_mhz, baud=baud, numbers=numbers)
    memories = memories_in(rtlil)
    if config is not None:
        memories = _label_weights(memories, config)
    family.fit(memories, board=board, others=_others(board))
    netlist = family.synthesize(rtlil, top=TOP, workdir=workdir, progress=progress)
    report = BuildReport.of(
        board.name,
        board.device.name,
        netlist.resources(board.device),
        clock_mhz=clock_mhz,
        cycles_per_step=cycles_per_step,
    )
    _check_netlist(report)
    if synth_only:
        return report
    placed = family.place_and_route(
        netlist,
        board=board,
        constraints=constraints,
        clock_mhz=clock_mhz,
        seed=seed,
        workdir=workdir,
        progress=progress,
    )
    return report.placed(placed)


def _check_netlist(report: BuildReport) -> None:
    """UserError when synthesis came to more than the device has."""
    for what, usage in (
        ("LUTs", report.luts),
        ("flip-flops", report.ffs),
        ("block RAMs", report.brams),
        ("multipliers", report.dsps),
        ("SPRAMs", report.sprams),
    ):
        if usage.used > usage.available:
            raise UserError(
                f"the design takes {usage.used} {what}, {report.board} has {usage.available} "
                f"({usage.used - usage.available} too few): "
                "use a narrower weight word (word_bits) or a larger board"
            )


def build(
    network: AnyNetwork,
    board: str | Board,
    *,
    workdir: Path,
    config: AcceleratorConfig | None = None,
    clock_mhz: float | None = None,
    baud: int | None = None,
    seed: int = 1,
    synth_only: bool = False,
    cycles_per_step: float | None = None,
    progress: Progress = silent,
) -> BuildReport:
    """Build the accelerator of ``network``, with its image in the bitstream, for ``board``.

    Weights that the family's bitstream cannot hold are left out, and the network's number is 0, so
    that a host loads it.

    ``config`` None derives the smallest one; everything else is as for `build_design`. The folder
    also gets what a host must know, see `design`.
    """
    target = find_board(board) if isinstance(board, str) else board
    check_rates(target, clock_mhz=clock_mhz or target.clock_mhz, baud=baud or target.baud)
    check_line(target, baud or target.baud)
    check_tools(target, synth_only=synth_only)
    config = config or derive_config(network)
    check_memory(config, target, clock_mhz)
    image = compile_network(network, config)
    design = BoardDesign.of(network, config, target, clock_mhz=clock_mhz, baud=baud)
    design.save(workdir, network)
    return build_design(
        board_core(config, image, target),
        board=target,
        workdir=workdir,
        config=config,
        clock_mhz=clock_mhz,
        baud=baud,
        numbers=(design.number, first_network(config, image, target)),
        seed=seed,
        synth_only=synth_only,
        cycles_per_step=cycles_per_step,
        progress=progress,
    )
