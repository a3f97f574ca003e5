# SPDX-License-Identifier: Apache-2.0
"""What verbs write: files of `-o` and the HTML report, with their options and places."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..golden.errors import UserError
from ..golden.writing import check_file, is_stream, same
from .console import stdout

if TYPE_CHECKING:
    from ..golden.reports.page import Section

SUFFIX = ".report.html"
NOTHING = "none"
"""What `--report` takes where no report is wanted."""


def check_output(output: Path | None, *inputs: Path) -> None:
    """UserError, before any work, where the file of `-o` is an input or cannot be written."""
    if output is not None:
        check_file("-o", output, *inputs)


def beside(output: Path | None, suffix: str) -> Path | None:
    """The file beside the output with its name and this suffix; None beside a device or a pipe."""
    if output is None or is_stream(output):
        return None
    return output.with_name(output.stem + suffix)


def add_report(parser: argparse.ArgumentParser, output: str = "") -> None:
    """`--report`; output: the verb's file that the report stands beside, none by default."""
    name = f"{output}'s name with {SUFFIX}, beside it" if output else "none"
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"write tables and charts to this HTML file, or to {NOTHING} (default: {name})",
    )


def report_file(args: argparse.Namespace, output: Path | None, *others: Path) -> Path | None:
    """Where the report goes, None for nowhere: as `--report` says, else beside the output.

    others: further files of the run. Raises UserError where the report would replace one of them.
    """
    file: Path | None = getattr(args, "report", None)
    if file is None:
        return beside(output, SUFFIX)
    if str(file) == NOTHING:
        return None
    for other in (*others, *([output] if output else [])):
        if same(file, other) and not is_stream(file):
            raise UserError(f"--report {file}: is another file of this run; name one of its own")
    check_file("--report", file)
    return file


def write_report(file: Path, verb: str, sections: "Iterable[Section]", *files: Path) -> None:
    """The page of a verb that read these files."""
    from rich.markup import escape

    from ..golden.reports import page

    page.write(file, f"deltaloom {verb}", sections, ", ".join(map(str, files)))
    stdout().print(f"report -> {escape(str(file))}", soft_wrap=True)
