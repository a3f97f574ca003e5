# SPDX-License-Identifier: Apache-2.0
"""Simulates a mapped netlist in Icarus, from memories and registers that are all X."""

import contextlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...boards.asic.build import VERILOG, AsicBuild
from ...boards.asic.energy import Activity
from ...boards.asic.synthesis import TOP
from ...boards.tools.toolchain import require
from ...golden.arithmetic import Ints
from ...golden.errors import UserError
from ...golden.evaluation.networks import AnyNetwork
from ...golden.processes import end, start
from ...golden.writing import write_text
from .bench import BENCH, DUMP, RESULT, bench_files
from .known import NETLIST, simulated
from .toggles import count_toggles

PROGRAM = f"{BENCH}.vvp"


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRun:
    """What the simulation found.

    Members
    -------
    words: output words that were compared with golden's, all equal.
    activity: what switched from the first frame to the last word.
    """

    words: int
    activity: Activity


def check_tools() -> None:
    """UserError when a program that the simulation runs is missing."""
    for tool in ("iverilog", "vvp"):
        require(tool)


def simulate_gates(build: AsicBuild, network: AnyNetwork, frames: Sequence[Ints]) -> GateRun:
    """Load the network into the netlist, run frames through it, compare every word with golden.

    The bench and its words go into the build's folder.

    Parameters
    ----------
    frames: words [steps, inputs] of each sequence, int16 or an integer-only LSTM's codes.

    Raises
    ------
    UserError
        No Icarus, a cell model that it does not take, or a word that is not golden's.
    """
    sources = tuple(NETLIST if name == VERILOG else name for name in build.sources)
    files = bench_files(
        network,
        build.config,
        frames,
        top=TOP,
        scopes=list(build.netlist.paths.values()),
        macros=build.macro_paths,
        sources=sources,
    )
    files[NETLIST] = simulated(build.netlist, build.technology.library)
    for name, text in files.items():
        write_text(text, build.folder / name)
    build_bench(build.folder, sources)
    return run_bench(build.folder, frames=sum(map(len, frames)))


def build_bench(folder: Path, sources: Sequence[str]) -> None:
    """Compile the bench that lies in `folder` with its sources."""
    built = subprocess.run(
        [
            *require("iverilog").command,
            *("-g2005", "-gspecify", "-o", PROGRAM, f"{BENCH}.v"),
            *sources,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    log = folder / "iverilog.log"
    log.write_text(built.stdout + built.stderr, "utf-8")
    if built.returncode:
        reason = (built.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"iverilog cannot build the netlist: {reason}; see {log}")


def run_bench(folder: Path, *, frames: int) -> GateRun:
    """Run what `build_bench` compiled; frames: that the bench sends."""
    (folder / RESULT).unlink(missing_ok=True)
    dump = folder / DUMP
    with contextlib.suppress(OSError):
        dump.unlink()
    dump.symlink_to("/dev/stdout")  # counted while it is written: it may be gigabytes
    try:
        with start(
            [*require("vvp").command, "-n", PROGRAM, "+dump"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            if child.stdout is None:  # pragma: no cover: PIPE was asked for
                raise RuntimeError("the child has no output stream")
            try:
                toggles = count_toggles(child.stdout, f"{BENCH}.dut")
                child.wait()
            except BaseException:
                end(child)
                raise
    finally:
        dump.unlink()
    return _read(folder / RESULT, toggles, frames)


def _read(result: Path, toggles: dict[str, int], frames: int) -> GateRun:
    text = result.read_text("utf-8") if result.exists() else ""
    passed = re.search(r"^PASS (\d+)$", text, re.MULTILINE)
    cycles = re.search(r"^CYCLES (\d+)$", text, re.MULTILINE)
    if not (passed and cycles):
        raise UserError(
            "the netlist's simulation does not equal golden: "
            f"{text.removeprefix('FAIL ').strip() or 'it ended without a result'}; see {result}"
        )
    accesses = {
        macro: (int(reads), int(writes))
        for macro, reads, writes in re.findall(r"^MACRO (\S+) (\d+) (\d+)$", text, re.MULTILINE)
    }
    return GateRun(
        words=int(passed[1]),
        activity=Activity(frames=frames, cycles=int(cycles[1]), toggles=toggles, accesses=accesses),
    )
