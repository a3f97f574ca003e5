# SPDX-License-Identifier: Apache-2.0
"""deltaloom's own files: safetensors with a JSON header, written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .errors import UserError

METADATA_KEY = "deltaloom"
VERSION = 2
"""1 had no directions, projections and first states; a file of 1 is read all the same."""


def save(file: Path, kind: str, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write `tensors` and `header` to `file`; a failure leaves what was there before.

    Raises UserError where the file cannot be written.
    """
    text = json.dumps({"kind": kind, "version": VERSION, **header}, sort_keys=True)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        with replacing(file) as temporary:
            save_file(contiguous, temporary, metadata={METADATA_KEY: text})
    except (SafetensorError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UserError(f"{file}: cannot be written ({reason}); name another place") from error


def load(file: Path, kind: str, *, made_by: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and header of a file that `save` wrote with this `kind`; `made_by` names the verb.

    Raises UserError where the file is missing, damaged, of another kind or of a newer version.
    """
    check_file(file, f"; `{made_by}` writes one")
    try:
        with safe_open(file, framework="numpy") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a whole safetensors file ({error}); make it anew") from error
    try:
        header = json.loads(metadata[METADATA_KEY])
        found, version = header["kind"], header["version"]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{file}: a safetensors file without deltaloom's header, not a {kind}; "
            f"`{made_by}` writes one"
        ) from error
    if found != kind:
        raise UserError(f"{file}: holds a {found}, a {kind} is wanted; `{made_by}` writes one")
    if version not in range(1, VERSION + 1):
        raise UserError(f"{file}: format version {version}, this deltaloom reads 1 to {VERSION}")
    return tensors, header


def check_file(file: Path, way_out: str = "") -> None:
    """Raise UserError unless `file` is there and is a regular file; way_out ends the line."""
    if not file.exists():
        raise UserError(f"{file}: no such file{way_out}")
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "a device or a pipe"
        raise UserError(f"{file}: is {kind}, a file is wanted{way_out}")


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn what a damaged header or a missing tensor raises into one clear line."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error}; make the file anew") from error
    except KeyError as error:
        raise UserError(f"{file}: {error.args[0]!r} is missing; make the file anew") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: {error}; make the file anew") from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary path beside `file` that takes its place only if the block succeeds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
