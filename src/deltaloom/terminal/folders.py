# SPDX-License-Identifier: Apache-2.0
"""Folders that a verb writes to."""

from pathlib import Path

from ..golden.errors import UserError


def check_folder(option: str, folder: Path) -> None:
    """UserError, before any work, where what the option names is there and is no folder."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {folder}: is a file; name a folder")
