# SPDX-License-Identifier: Apache-2.0
"""The one exception that users see: one line with the field, the value, the rule, the way out."""

import traceback
from pathlib import Path


class UserError(Exception):
    """Something the user gave cannot be used; the command line prints the line and exits with 2."""


def in_own_code(what: str, file: Path, error: BaseException) -> UserError:
    """The error for what a user's own Python raised; what: the thing that it is, or belongs to."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == file.resolve()
    ]
    where = f", line {lines[-1]}" if lines else ""
    reason = ": ".join(filter(None, (type(error).__name__, str(error))))
    return UserError(f"{what}{where}: raised {reason}; mend it")


def printable(text: str) -> str:
    """`text` with what a terminal would take for a command written out, as in "\\x1b"."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
