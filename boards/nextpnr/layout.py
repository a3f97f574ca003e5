# SPDX-License-Identifier: Apache-2.0
"""nextpnr and a family's packer, from a netlist to a bitstream, kept in a folder.

Timing that is not met is a result, not an error (`Timing.met`): the caller decides.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..family.netlist import SynthesizedDesign
from ..family.results import Placed, Resources, Usage
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
from ..tools.toolchain import Tool, require
from .timing import Timing, parse_report

_LOG = "nextpnr.log"
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

    def placed(self, **resources: Usage) -> Placed:
        """The same in words that hold for every family; resources: the fields of `Resources`."""
        clock = self.timing.slowest
        return Placed(
            resources=Resources(**resources),
            fmax_mhz=None if clock is None else self.timing.fmax_mhz[clock],
            critical_path=None if clock is None else self.timing.path(clock),
            bitstream=self.bitstream,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Packer:
    """What makes the bitstream: a tool, its arguments, and the file that it writes."""

    tool: str
    arguments: tuple[str, ...]
    output: str


def lay_out(
    design: SynthesizedDesign,
    *,
    placer: str,
    options: Sequence[str],
    freq_mhz: float,
    workdir: Path,
    files: Mapping[str, str],
    packer: Packer | None,
    seed: int = 1,
    progress: Progress = silent,
) -> Layout:
    """Place, route and pack ``design``; the result is kept below ``workdir``.

    Parameters
    ----------
    placer, options
        nextpnr's name as `require` knows it, and its options beside those that all have.
    freq_mhz
        Target for clocks that no constraint reaches. Placement and routing optimise for it.
    files
        What the options name: constraints.
    packer
        None: no bitstream.
    seed
        Placement seed. Another seed moves Fmax by some 5 %.

    Raises
    ------
    UserError
        A tool is missing, or it failed (most often: the design does not fit); the line names the
        log.
    """
    if not (math.isfinite(freq_mhz) and freq_mhz > 0):
        raise ValueError(f"freq_mhz must be a positive number, not {freq_mhz!r}")
    nextpnr = require(placer)
    pack = None if packer is None else require(packer.tool)
    text = design.path.read_text("utf-8")
    arguments = ["--seed", str(seed), "--freq", str(freq_mhz), "--timing-allow-fail"]
    arguments += ["--json", "netlist.json", "--top", design.top, "--report", "report.json"]
    arguments += options
    steps = [arguments, nextpnr.version]
    if packer is not None and pack is not None:
        steps += [packer.tool, list(packer.arguments), pack.version]
    final = workdir / f"layout-{digest(text, list(files.items()), steps)}"
    if (final / "report.json").exists():
        return _layout(final, packer, cached=True)

    with fresh_folder(final) as folder:
        for file, content in {"netlist.json": text, **files}.items():
            (folder / file).write_text(content, "utf-8")
        _run(
            placer,
            nextpnr,
            arguments,
            folder,
            final,
            "report.json",
            stage_watcher(_STAGES, progress),
        )
        (folder / "netlist.json").unlink()
        if packer is not None and pack is not None:
            progress("bitstream: packing")
            _run(
                packer.tool, pack, packer.arguments, folder, final, packer.output, lambda line: None
            )
    return _layout(final, packer, cached=False)


def _run(
    name: str,
    tool: Tool,
    arguments: Sequence[str],
    folder: Path,
    final: Path,
    result: str,
    on_line: Callable[[str], None],
) -> None:
    """Run a tool in its folder; UserError where it fails or leaves no ``result``."""
    log = _LOG if name.startswith("nextpnr") else f"{name}.log"
    code = run_tool(
        [*tool.command, *arguments],
        log=folder / log,
        environment=tool.environment,
        on_line=on_line,
        cwd=folder,
    )
    if code != 0 or not (folder / result).exists():
        raise failed(name, code, folder / log, shown=moved(final, log))


def _layout(folder: Path, packer: Packer | None, *, cached: bool) -> Layout:
    return Layout(
        timing=parse_report(json.loads((folder / "report.json").read_text("utf-8"))),
        log=folder / _LOG,
        bitstream=None if packer is None else folder / packer.output,
        cached=cached,
    )
