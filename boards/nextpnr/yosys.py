# SPDX-License-Identifier: Apache-2.0
"""Yosys for any family: scripts in, a JSON netlist and its cell counts out, kept in a folder."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..family.netlist import SynthesizedDesign
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

RELAX = (
    "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i r:CLK_POLARITY=1 %i "
    "r:TRANSPARENCY_MASK=1'0 %i"
)
"""Our memories never depend on a word that is read while it is written (parts/memory.py), which
Amaranth's RTLIL cannot say: without this, yosys builds a bypass around each block RAM."""

STAGES = (
    ("Executing HIERARCHY pass", "synthesis: reading the design"),
    ("Executing MEMORY_LIBMAP pass", "synthesis: mapping memories"),
    ("Executing SIMPLEMAP pass", "synthesis: mapping flip-flops"),
    ("Executing ABC9 pass", "synthesis: mapping LUTs (abc9)"),
    ("Executing ABC pass", "synthesis: mapping LUTs (abc)"),
    ("Executing AUTONAME pass", "synthesis: naming cells"),
    ("Executing JSON backend", "synthesis: writing the netlist"),
)


Design = TypeVar("Design", bound=SynthesizedDesign)


def reading(name: str, top: str) -> list[str]:
    """The lines that read the source `name`; `RELAX` where it is RTLIL, which is ours."""
    if not name.endswith(".il"):
        return [f"read_verilog -sv {name}"]
    return [f"read_rtlil {name}", f"hierarchy -top {top}", RELAX]


def run_yosys(
    kind: type[Design],
    source: str | Path,
    *,
    top: str,
    workdir: Path,
    scripts: Callable[[str], Mapping[str, str]],
    files: Mapping[str, str] | None = None,
    improve: Callable[[dict[str, Any]], object] | None = None,
    improvements: str = "",
    progress: Progress = silent,
) -> Design:
    """Synthesize module ``top``; the result is kept below ``workdir``.

    Parameters
    ----------
    kind
        The family's `SynthesizedDesign`.
    source
        RTLIL text, or a file: RTLIL (``.il``) or Verilog.
    scripts
        From the source's name in its folder: scripts by the mapper's name, each but for its last
        line, which writes the netlist. The next one is tried where one fails in its mapper.
    files
        What the scripts read besides.
    improve, improvements
        Changes the netlist's top module (JSON) in place; a name for what it does.

    Raises
    ------
    UserError
        No Yosys, or it failed with every script; the line names the log.
    """
    tool = require("pyosys")
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    name = "design.v" if isinstance(source, Path) and source.suffix != ".il" else "design.il"
    written = {
        mapper: f"{script}\nwrite_json netlist.json\n" for mapper, script in scripts(name).items()
    }
    extra = dict(files or {})
    recipe = [top, list(written.items()), tool.version, improvements, list(extra.items())]
    first = workdir / f"synth-{digest(text, recipe)}"
    if (first / "done.json").exists():
        done = json.loads((first / "done.json").read_text("utf-8"))
        return kind(
            path=first / "netlist.json",
            log=first / done["log"],
            top=top,
            mapper=done["mapper"],
            cells=done["cells"],
            cached=True,
        )

    with fresh_folder(first) as folder:
        for file, content in {name: text, **extra}.items():
            (folder / file).write_text(content, "utf-8")
        *_, last = written
        for mapper, script in written.items():
            log = folder / f"yosys-{mapper}.log"
            (folder / f"{mapper}.ys").write_text(script, "utf-8")
            code = run_tool(
                [*tool.command, f"{mapper}.ys"],
                log=log,
                environment=tool.environment,
                on_line=stage_watcher(STAGES, progress),
                cwd=folder,
            )
            # a mapper that aborts has been seen to leave exit code 0 or no netlist: check both
            if code == 0 and (folder / "netlist.json").exists():
                break
            came = "Executing ABC" in log.read_text("utf-8", errors="replace")
            if mapper == last or not came:  # before the mapper: another one changes nothing
                raise failed("yosys", code, log, shown=moved(first, log.name))
            progress(f"synthesis: {mapper} failed, trying the next mapper")
        if improve is not None:
            progress("synthesis: improving the netlist")
        cells = _finish(folder / "netlist.json", top, improve)
        done = {"mapper": mapper, "log": log.name, "cells": cells}
        (folder / "done.json").write_text(json.dumps(done), "utf-8")
    return kind(
        path=first / "netlist.json", log=first / log.name, top=top, mapper=mapper, cells=cells
    )


def _finish(
    path: Path, top: str, improve: Callable[[dict[str, Any]], object] | None
) -> dict[str, int]:
    """Improve the netlist that Yosys has written; its cells by type."""
    design = json.loads(path.read_text("utf-8"))
    module = design["modules"][top]
    if improve is not None:
        improve(module)
        path.write_text(json.dumps(design), "utf-8")
    counts = Counter(cell["type"] for cell in module["cells"].values())
    return {k: n for k, n in sorted(counts.items()) if not k.startswith("$")}  # no $scopeinfo
