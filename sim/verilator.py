# SPDX-License-Identifier: Apache-2.0
"""Compile Verilog by Verilator: for cocotb, or with a main program of one's own.

cocotb's runner makes every signal public (`--public-flat-rw`), which keeps Verilator from
simplifying: four times the C++, for a bench that needs the ports of the top alone. And Verilator's
own run-time library is compiled once for a user here, not once for a design.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import cocotb_tools.config

from ..golden.errors import UserError
from ..golden.writing import replacing_folder

PREFIX = "Vtop"
OPTIMISATION = "-O1"
"""Of the C++ compiler, for the model; -Os takes half as long again, -O2 a fifth, and is a quarter
faster in a long run."""
QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
"""Lint is not the matter here, and generated Verilog has its own idea of it."""


def compile_for_cocotb(sources: Sequence[Path], folder: Path, top: str, *, waves: bool) -> None:
    """Compile the design into the program `folder`/`top` that cocotb drives by VPI.

    Raises CalledProcessError where a tool fails; what it says is printed.
    """
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    options = [
        *("--vpi", "--public-depth", "1", *(["--trace"] if waves else [])),
        *("--timescale", "1ns/1ps"),
        *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
    ]
    compile_model([main, *sources], folder, top, options, os.environ)


def compile_model(
    sources: Sequence[Path],
    folder: Path,
    top: str,
    options: Sequence[str],
    environment: Mapping[str, str],
    *,
    optimisation: str = OPTIMISATION,
    out: int | None = None,
) -> None:
    """Compile Verilog and a C++ main program into the program `folder`/`top`.

    Parameters
    ----------
    top: the top module; its C++ class is `PREFIX`.
    options: of Verilator, besides those that every model has.
    environment: of the tools, which are on its PATH.
    optimisation: of the C++ compiler, for the model.
    out: where they say what they say, as `subprocess.run` has it.

    Raises CalledProcessError where a tool fails.
    """
    verilate = [
        *("verilator", "--cc", "--exe", "-O3", *QUIET, "--top-module", top, "--prefix", PREFIX),
        *("--Mdir", str(folder), "-o", top, *options, *(str(file) for file in sources)),
    ]
    make = [
        *("make", "-j", str(len(os.sched_getaffinity(0))), "-C", str(folder)),
        *("-f", f"{PREFIX}.mk", f"OPT_FAST={optimisation}"),
    ]
    _run(verilate, environment, out)
    runtime = Runtime(folder, options, environment)
    runtime.put_in()
    _run(make, environment, out)
    runtime.keep()


class Runtime:
    """Verilator's run-time library as object files, kept in the user's cache.

    Parameters
    ----------
    folder: where a design is compiled.
    options, environment: as for `compile_model`.
    """

    def __init__(
        self, folder: Path, options: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._folder = folder
        self._kept = cache / "deltaloom" / f"verilator-{_identity(options, environment)}"

    def put_in(self) -> None:
        """Put what is kept beside the design, newer than all that it depends on."""
        if self._kept.is_dir():
            for file in self._kept.iterdir():
                shutil.copyfile(file, self._folder / file.name)

    def keep(self) -> None:
        """Keep that of a design that was compiled; a cache that takes nothing is no matter."""
        if self._kept.is_dir():
            return
        try:
            with replacing_folder(self._kept) as folder:
                for file in self._folder.glob("verilated*.o"):
                    shutil.copyfile(file, folder / file.name)
        except (OSError, UserError):
            return


def _identity(options: Sequence[str], environment: Mapping[str, str]) -> str:
    """Of the library's sources, the compiler and its options, as a part of a name."""
    said = [
        subprocess.run([tool, "--version"], capture_output=True, check=True, env=environment).stdout
        for tool in ("verilator", "c++")
    ]
    settings = [environment.get(name) for name in ("VERILATOR_ROOT", "MAKEFLAGS", "CXXFLAGS")]
    return hashlib.blake2b(repr((said, settings, options)).encode(), digest_size=10).hexdigest()


def _run(command: Sequence[str], environment: Mapping[str, str], out: int | None) -> None:
    subprocess.run(command, check=True, env=environment, stdout=out, stderr=subprocess.STDOUT)
