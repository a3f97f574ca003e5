# SPDX-License-Identifier: Apache-2.0
"""A training's state on disk, to go on from after an interrupt."""

import pickle
from pathlib import Path
from typing import Any

import torch

from ..golden.errors import UserError
from ..golden.writing import replacing

__all__ = ["Checkpoint"]

DAMAGED = (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError)


class Checkpoint:
    """The state of one training.

    Parameters
    ----------
    file: where it is; None: nowhere.
    digest: of the training; the state of another one is left alone until it is written over.
    """

    def __init__(self, file: Path | None, digest: str) -> None:
        self._file, self._digest = file, digest

    def load(self) -> dict[str, Any] | None:
        """The state, None where there is none of this training.

        Raises UserError where the file is damaged.
        """
        if self._file is None or not self._file.exists():
            return None
        try:
            whole = torch.load(self._file, weights_only=True)
            state: dict[str, Any] | None = whole["state"] if whole["of"] == self._digest else None
        except (*DAMAGED, TypeError) as error:
            raise UserError(
                f"{self._file}: a damaged checkpoint ({type(error).__name__}); remove it, training "
                "then starts anew"
            ) from error
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write it, whole or not at all."""
        if self._file is not None:
            with replacing(self._file) as temporary:
                torch.save({"of": self._digest, "state": state}, temporary)

    def remove(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
