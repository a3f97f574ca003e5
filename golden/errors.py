# SPDX-License-Identifier: Apache-2.0
"""The one exception that users see: one line with the field, the value, the rule, the way out."""


class UserError(Exception):
    """Something the user gave cannot be used; the command line prints the line and exits with 2."""


def printable(text: str) -> str:
    """`text` with what a terminal would take for a command written out, as in "\\x1b"."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
