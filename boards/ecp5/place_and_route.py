# SPDX-License-Identifier: Apache-2.0
"""Place and route with nextpnr-ecp5, and ecppack for the bitstream.

Two ways to run:

- with a pin file (LPF): a board's design, down to a bitstream;
- out of context (no LPF): a design whose ports are no pins, for its area and clock alone. nextpnr
  then inserts no IO buffers and promotes no globals (`--out-of-context`), and cannot write a
  bitstream. Its clock is an ideal one in the timing model either way, so the Fmax is comparable:
  a design of 635 LUTs gave 130.8 MHz out of context and 131.5 with its 116 ports as pins. Only
  register to register paths count in Fmax: register a design's inputs and outputs to measure it.

Timing that is not met is a result, not an error (`Timing.met`): the caller decides.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ..tools.process import (
    Progress,
    digest,
    failed,
    fresh_folder,
    moved,
    run_tool,
    silent,
    stage_watcher,
)
from ..tools.toolchain import require
from .synthesis import Netlist
from .timing import Timing, parse_report

DEVICES = ("12k", "25k", "45k", "85k", "um5g-45k", "um5g-85k")
SPEEDS = (6, 7, 8)

_STAGES = (
    ("Packing constants", "placing: packing"),
    ("Creating initial analytic placement", "placing: initial placement"),
    ("Running main analytical placer", "placing: analytical placement"),
    ("Running simulated annealing", "placing: refining the placement"),
    ("Routing globals", "routing: clocks"),
    ("Routing..", "routing: signals"),
    ("Program finished normally", "routing: done"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A placed and routed design; ``bitstream`` is None out of context."""

    timing: Timing
    log: Path
    bitstream: Path | None
    cached: bool = False


def _layout(folder: Path, *, cached: bool) -> Layout:
    bitstream = folder / "design.bit"
    return Layout(
        timing=parse_report(json.loads((folder / "report.json").read_text("utf-8"))),
        log=folder / "nextpnr.log",
        bitstream=bitstream if bitstream.exists() else None,
        cached=cached,
    )


def place_and_route(
    netlist: Netlist,
    *,
    device: str,
    package: str,
    speed: int,
    freq_mhz: float,
    workdir: Path,
    lpf: str | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> Layout:
    """Place and route ``netlist``; the result is kept below ``workdir``.

    Parameters
    ----------
    device, package, speed
        The part: one of `DEVICES`, such as ``"CABGA381"``, one of `SPEEDS`.
    freq_mhz
        Target for clocks that no constraint reaches. Placement and routing optimise for it.
    lpf
        Pin constraints. None: out of context.
    seed
        Placement seed. Another seed moves Fmax by some 5 %.

    Raises
    ------
    UserError
        No nextpnr, or it failed (most often: the design does not fit); the line names the log.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, not {device!r}")
    if speed not in SPEEDS:
        raise ValueError(f"speed must be one of {SPEEDS}, not {speed!r}")
    if not (math.isfinite(freq_mhz) and freq_mhz > 0):
        raise ValueError(f"freq_mhz must be a positive number, not {freq_mhz!r}")
    nextpnr, ecppack = require("nextpnr-ecp5"), require("ecppack")
    text = netlist.path.read_text("utf-8")
    options = ["--seed", str(seed), "--freq", str(freq_mhz), "--timing-allow-fail"]
    options += [f"--{device}", "--package", package, "--speed", str(speed)]
    options += ["--json", "netlist.json", "--top", netlist.top, "--report", "report.json"]
    if lpf is None:
        options += ["--out-of-context"]
    else:
        options += ["--lpf", "design.lpf", "--textcfg", "design.config"]
    final = workdir / f"layout-{digest(text, lpf or '', [options, nextpnr.version])}"
    if (final / "report.json").exists():
        return _layout(final, cached=True)

    with fresh_folder(final) as folder:
        (folder / "netlist.json").write_text(text, "utf-8")
        if lpf is not None:
            (folder / "design.lpf").write_text(lpf, "utf-8")
        code = run_tool(
            [*nextpnr.command, *options],
            log=folder / "nextpnr.log",
            environment=nextpnr.environment,
            on_line=stage_watcher(_STAGES, progress),
            cwd=folder,
        )
        if code != 0 or not (folder / "report.json").exists():
            log = folder / "nextpnr.log"
            raise failed("nextpnr-ecp5", code, log, shown=moved(final, log.name))
        (folder / "netlist.json").unlink()
        if lpf is not None:
            progress("bitstream: packing")
            pack = ["--compress", "--input", "design.config", "--bit", "design.bit"]
            code = run_tool(
                [*ecppack.command, *pack],
                log=folder / "ecppack.log",
                environment=ecppack.environment,
                on_line=lambda line: None,
                cwd=folder,
            )
            if code != 0 or not (folder / "design.bit").exists():
                log = folder / "ecppack.log"
                raise failed("ecppack", code, log, shown=moved(final, log.name))
    return _layout(final, cached=False)
