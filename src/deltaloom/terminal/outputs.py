# SPDX-License-Identifier: Apache-2.0
"""What verbs write: folders, JSON files, and the HTML report with its option and its place."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..golden.errors import UserError

if TYPE_CHECKING:
    from ..golden.reports.page import Section

SUFFIX = ".report.html"


def check_folder(option: str, folder: Path) -> None:
    """UserError, before any work, where what the option names is there and is no folder."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {folder}: is a file; name a folder")


def check_output(output: Path | None, *inputs: Path) -> None:
    """UserError where the output of `-o` is one of the inputs."""
    if output is not None and output.exists() and any(output.samefile(f) for f in inputs):
        raise UserError(f"-o {output}: is an input itself; name another file")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`; without it the namespace has no `json`."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write all numbers to this file, too (default: none)",
    )


def write_json(content: Any, file: Path) -> None:
    """Write plain data, whole or not at all."""
    import json

    write_text(json.dumps(content, indent=2) + "\n", file)


def write_text(text: str, file: Path) -> None:
    """Write a text file, whole or not at all."""
    from ..golden.storage import replacing

    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def add_report(parser: argparse.ArgumentParser, output: str = "") -> None:
    """`--report`; output: the verb's file that the report stands beside, none by default."""
    name = f"{output}'s name with {SUFFIX}, beside it" if output else "none"
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"write tables and charts to this HTML file (default: {name})",
    )


def report_file(args: argparse.Namespace, output: Path | None, *others: Path) -> Path | None:
    """Where the report goes, None for nowhere: as `--report` says, else beside the output.

    others: further files of the run. Raises UserError where the report would replace one of them.
    """
    file: Path | None = getattr(args, "report", None)
    if file is None:
        return output and output.with_name(output.stem + SUFFIX)
    for other in (*others, *([output] if output else [])):
        if file == other or (file.exists() and other.exists() and file.samefile(other)):
            raise UserError(f"--report {file}: is another file of this run; name one of its own")
    return file


def write_report(file: Path, verb: str, sections: "Iterable[Section]", *files: Path) -> None:
    """The page of a verb that read these files."""
    from rich.console import Console
    from rich.markup import escape

    from ..golden.reports import page

    page.write(file, f"deltaloom {verb}", sections, ", ".join(map(str, files)))
    Console().print(f"report -> {escape(str(file))}", soft_wrap=True)
