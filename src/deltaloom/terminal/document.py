# SPDX-License-Identifier: Apache-2.0
"""`--json`, which every verb has: what it prints, as one JSON document.

The command line adds the option, checks it before the verb's work, and where it is `-` keeps
standard output for the document; the verb gives what it found to `write_document` once.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ..golden.errors import UserError
from ..golden.writing import check_file, is_stream, same, write_text

STDOUT = Path("-")
OUTPUTS = ("output", "report", "workdir", "tflite")
"""Arguments of verbs that name what they write."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`; without it the namespace has no `json`."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write what is printed to this file, too, as one JSON document; - for standard "
        "output, where nothing else is printed then (default: none)",
    )


def check_json(args: argparse.Namespace) -> None:
    """UserError where the file of `--json` is another of this run or cannot be written."""
    file: Path | None = getattr(args, "json", None)
    if file is None or file == STDOUT:
        return
    others = {name: value for name, value in vars(args).items() if name != "json"}
    check_file("--json", file, *_paths(v for n, v in others.items() if n not in OUTPUTS))
    for other in _paths(others.get(name) for name in OUTPUTS):
        if same(file, other) and not is_stream(file):
            raise UserError(f"--json {file}: is another file of this run; name one of its own")


def _paths(values: "Iterator[object]") -> Iterator[Path]:
    """The files among the values of arguments; FILE.py:FUNCTION is one, too."""
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, str):
            yield from (Path(text) for text in (value, value.rpartition(":")[0]) if text)
        elif isinstance(value, list):
            yield from _paths(iter(value))


@contextmanager
def alone(args: argparse.Namespace) -> Iterator[None]:
    """With `--json -`, what is printed in the block is dropped, but for the document."""
    if getattr(args, "json", None) != STDOUT:
        yield
        return
    args.stdout = sys.stdout
    with Path(os.devnull).open("w", encoding="utf-8") as null, redirect_stdout(null):
        yield


def write_document(args: argparse.Namespace, content: Mapping[str, Any]) -> None:
    """Write what a verb prints as plain data where `--json` says, nothing without it."""
    file: Path | None = getattr(args, "json", None)
    if file == STDOUT:
        args.stdout.write(to_json(content))
        args.stdout.flush()
    elif file is not None:
        write_json(content, file)


def write_json(content: Any, file: Path) -> None:
    """Write plain data, whole or not at all."""
    write_text(to_json(content), file)


def to_json(content: Any) -> str:
    """Plain data as text; numbers that JSON has not (infinite, none) are null."""
    return json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # of NumPy, which is not imported here
        return _plain(value.tolist())
    return value
