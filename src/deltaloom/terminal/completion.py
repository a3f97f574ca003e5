# SPDX-License-Identifier: Apache-2.0
"""`deltaloom --print-completion SHELL`: a script that completes verbs, options and files by Tab.

The package shtab writes it from the parsers, so that a shell asks nobody when Tab is pressed.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..golden.errors import UserError

OPTION = "--print-completion"
SHELLS = ("bash", "zsh", "fish")
FOLDERS = ("DIR", "BUILD")
"""Metavars of arguments that are folders; other paths are files."""


class PrintCompletion(argparse.Action):
    """Prints the script and ends; the parser that it is in has to have all verbs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"default": argparse.SUPPRESS})

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print(completion(parser, str(values)), end="")
        raise SystemExit(0)


def add_completion(parser: argparse.ArgumentParser) -> None:
    """The option, beside --version."""
    parser.add_argument(
        OPTION,
        action=PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        help=f"print the script for completion by Tab in {', '.join(SHELLS)}, and exit "
        "(docs/completion.md)",
    )


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell, one of `SHELLS`; UserError where shtab is not installed."""
    try:
        import shtab
    except ImportError as error:
        raise UserError(
            f"{OPTION}: shtab is not installed; pip install 'deltaloom[completion]'"
        ) from error
    for action in _actions(parser):
        _tell(action, shtab.FILE, shtab.DIRECTORY)
    return str(shtab.complete(parser, shell)).rstrip() + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments, those of the verbs, too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            lines = {one.dest: one.help for one in action._choices_actions}
            for name, sub in action.choices.items():
                sub.description = lines[name]  # a line beside the verb
                yield from _actions(sub)


def _tell(action: Any, files: Any, folders: Any) -> None:
    """Tell shtab what an argument takes, where argparse does not know."""
    from ..boards.registry import BOARDS

    if action.dest == "board" and action.choices is None:
        action.choices = tuple(BOARDS)
    elif action.type is Path:
        action.complete = folders if action.metavar in FOLDERS else files
