# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in NumPy's .npz archives."""

import zipfile
from pathlib import Path

import numpy as np

from ...arrays import DAMAGED, members, read_members, reason
from ...errors import UserError
from ..limits import Budget


def read_npz(file: Path, budget: Budget) -> dict[str, np.ndarray]:
    """All arrays of `file`, in its order. Raises UserError for anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = members(archive)
            for member in found.values():
                budget.take(member.filename, member.file_size)
            return read_members(archive, found.items())
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(
            f"not a whole .npz file of plain arrays ({reason(error)}); "
            "save it anew with numpy.savez(FILE, **tensors)"
        ) from error
