# SPDX-License-Identifier: Apache-2.0
"""Builds a design for a simulator, once, and runs the bench in it, in processes of their own."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ..boards.tools import toolchain
from ..boards.tools.process import digest, fresh_folder, moved
from ..golden.errors import UserError
from ..golden.processes import end, start
from .job import INTERVAL, Job, Outcome, Progress
from .names import TOP

TOOLS = {
    "icarus": ("iverilog", "vvp"),
    "verilator": ("verilator", "g++", "make", "perl"),
}
SIMULATORS = tuple(TOOLS)
PYTHON_TOOLS = {"cocotb": "cocotb", "cocotbext.axi": "cocotbext-axi"}
LOG_LINES = 5
"""Last lines of a log that an error quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """A design that is built for a simulator.

    Members
    -------
    simulator: which.
    folder: what was built.
    workdir: for its runs.
    waves: whether it can write waveforms.
    environment: of the simulator's process.
    top: the top module.
    """

    simulator: str
    folder: Path
    workdir: Path
    waves: bool
    environment: Mapping[str, str]
    top: str = TOP


def build(
    sources: Sequence[Path], simulator: str, workdir: Path, *, waves: bool, top: str = TOP
) -> Design:
    """Build the Verilog, unless the same was built in `workdir` before.

    Parameters
    ----------
    sources: the design's files.
    simulator: one of `SIMULATORS`.
    workdir: folder of builds and runs.
    waves: build it so that it can write waveforms.
    top: the top module.

    Raises UserError for a tool that is missing and for a design that does not build.
    """
    tools = [toolchain.require(name) for name in TOOLS[simulator]]
    for module, package in PYTHON_TOOLS.items():
        if not _importable(module):
            raise UserError(
                f"{package} is needed and is not installed; "
                "install it with: pip install 'deltaloom[sim]'"
            )
    _check_libpython()
    environment = _environment(tools)
    workdir = workdir.resolve()
    name = digest(
        simulator,
        [tool.version for tool in tools],
        sys.version,
        waves,
        top,
        *(source.read_text("utf-8") for source in sources),
    )
    built = workdir / "build" / f"{simulator}-{name}"
    if not built.is_dir():
        with fresh_folder(built) as folder, _without_spaces(folder) as place:
            log = place / "build.log"
            files = [str(source.resolve()) for source in sources]
            if place != folder:
                files = [str(shutil.copy(source, place)) for source in sources]
            arguments = {
                "simulator": simulator,
                "sources": files,
                "folder": str(place),
                "waves": waves,
                "top": top,
            }
            if _launch("build", arguments, environment, log):
                raise UserError(
                    f"{simulator} cannot build {sources[0]}: {_tail(log)}; "
                    f"see {moved(built, 'build.log')}"
                )
    return Design(
        simulator=simulator,
        folder=built,
        workdir=workdir,
        waves=waves,
        environment=environment,
        top=top,
    )


@contextmanager
def _without_spaces(folder: Path) -> Iterator[Path]:
    """The folder, or one whose contents move there at the end: GNU make takes no path with spaces.

    Raises UserError where temporary files have such a path, too.
    """
    if not re.search(r"\s", str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="deltaloom-") as name:
        if re.search(r"\s", name):
            raise UserError(
                f"{folder}: simulators cannot be built in a folder with spaces, nor in {name}; "
                "set TMPDIR to a folder without, or name another place"
            )
        try:
            yield Path(name)
        finally:
            shutil.copytree(name, folder, dirs_exist_ok=True)


def run(
    design: Design, job: Job, progress: Callable[[int], None], plusargs: Sequence[str] = ()
) -> tuple[Outcome, Path, Path | None]:
    """Run the bench; its outcome, the log, and the waveform if there is one.

    Parameters
    ----------
    progress: called with the number of frames done, now and then.
    plusargs: for the simulator, besides those of the bench.

    Raises UserError where the bench ended in any other way than by its own report.
    """
    folder = _new_folder(design.workdir / "runs")
    log = folder / "run.log"
    waves = folder / ("waves.fst" if design.simulator == "icarus" else "waves.vcd")
    job.save(folder)
    reader = Progress(folder)
    code = _launch(
        "run",
        {
            "simulator": design.simulator,
            "build": str(design.folder),
            "folder": str(folder),
            "seed": job.stimulus.seed,
            "waves": str(waves) if design.waves else "",
            "top": design.top,
            "plusargs": list(plusargs),
        },
        design.environment,
        log,
        lambda: progress(reader.read()),
    )
    ran, failed = _tests(folder / "results.xml")
    if code or ran != 1 or failed or not (folder / "outcome.json").is_file():
        raise UserError(
            f"{design.simulator}: the bench ended without a result (exit code {code}, {ran} tests, "
            f"{failed} failed): {_tail(log)}; see {log}"
        )
    return Outcome.load(folder), log, waves if design.waves else None


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _check_libpython() -> None:
    """cocotb loads Python into the simulator; Debian's python3 comes without the library."""
    from find_libpython import find_libpython  # cocotb's own search; it comes with cocotb

    if "LIBPYTHON_LOC" not in os.environ and find_libpython() is None:
        raise UserError(
            "Python's shared library is needed and was not found; install it with: "
            f"apt-get install libpython3.{sys.version_info.minor}"
        )


def _environment(tools: Sequence[toolchain.Tool]) -> dict[str, str]:
    """What the simulator's process sees: the tools, and none of the settings of another run."""
    unwanted = re.compile(r"COCOTB_|PYTEST_|GPI_|SIM_CMD_|(WAVES|GUI|TOPLEVEL\w*|MAKEFLAGS)$")
    ours = toolchain.environment(*tools)
    wanted = {name for tool in tools for name in tool.environment}
    return {n: v for n, v in ours.items() if n in wanted or not unwanted.match(n)}


def _launch(
    step: str,
    arguments: Mapping[str, object],
    environment: Mapping[str, str],
    log: Path,
    poll: Callable[[], object] | None = None,
) -> int:
    """Run `launch` in a process of its own; its exit code. Everything it prints is in the log."""
    command = [sys.executable, "-m", "deltaloom.sim.launch", step, json.dumps(arguments)]
    interrupts: list[int] = []
    with (
        log.open("w", encoding="utf-8") as out,
        _collected(interrupts),  # one that comes while the child starts would leave it behind
        start(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as child,
    ):
        try:
            while True:
                if interrupts:
                    raise KeyboardInterrupt
                try:
                    code = child.wait(INTERVAL)
                except subprocess.TimeoutExpired:
                    if poll:
                        poll()
                    continue
                if poll:
                    poll()
                return code
        except BaseException:
            end(child)
            raise


@contextmanager
def _collected(interrupts: list[int]) -> Iterator[None]:
    """Puts SIGINT into a list instead of raising; only the main thread can, and need, do that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tests(results: Path) -> tuple[int, int]:
    """(tests that ran, tests that failed) of a JUnit file; no file: none ran."""
    try:
        cases = ElementTree.parse(results).getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError):
        return 0, 0
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    return len(cases), len(failed)


def _new_folder(parent: Path) -> Path:
    """The next free numbered folder: runs never overwrite each other's logs."""
    parent.mkdir(parents=True, exist_ok=True)
    n = len(list(parent.iterdir()))
    while True:
        folder = parent / f"{n:04d}"
        try:
            folder.mkdir()
        except FileExistsError:
            n += 1
            continue
        return folder


def _tail(log: Path) -> str:
    """The last lines of a log as one line."""
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines()]
    return " | ".join([line for line in lines if line][-LOG_LINES:]) or "it printed nothing"
