# SPDX-License-Identifier: Apache-2.0
"""Where verbs print: the terminal at its width, a file or a pipe without any."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 10_000
"""Columns where there is no terminal: a table takes what it needs, and nothing is cut off."""


def stdout() -> "Console":
    """The console of standard output. Without a terminal, COLUMNS of the environment is its width;
    where there is none, tables are as wide as what is in them.
    """
    from rich.console import Console

    console = Console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = WIDE
    return console


def print_warning(text: str) -> None:
    """A line of standard error that begins with "warning: "."""
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True).print(f"warning: {escape(text)}", soft_wrap=True, highlight=False)
