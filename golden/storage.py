# SPDX-License-Identifier: Apache-2.0
"""deltaloom's own files: safetensors with a JSON header, written whole or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .errors import UserError
from .writing import replacing

AnyPath = str | os.PathLike[str]
METADATA_KEY = "deltaloom"
VERSION = 4
"""Of the format that `save` writes. 1 had no directions, projections and first states, 2 had no
digest, 3 no e_c of a GRU; files of all are read all the same."""
INTEGER_LSTM, FLOAT_LSTM = "integer-only LSTM network", "float LSTM network"
_WAYS_OUT = {
    INTEGER_LSTM: "all verbs but `deltaloom quantize` and `finetune` take it: choose its "
    "thresholds with `deltaloom tune`, or quantize the float model with another scheme",
    FLOAT_LSTM: "no cell has all that its layers have, `deltaloom quantize --scheme integer-lstm`, "
    "`sweep` and `search` take it",
}
"""Kinds of files that are for some verbs only."""
DIGEST = "sha256"
"""The header's key for the digest of everything else in the file."""


def save(file: AnyPath, kind: str, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write `tensors` and `header` to `file`; a failure leaves what was there before.

    The header gains the kind, the format's version and a digest of tensors and header. Raises
    UserError where the file cannot be written.
    """
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    whole = {"kind": kind, "version": VERSION, **header}
    text = _text(whole | {DIGEST: _digest(contiguous, whole)})
    try:
        with replacing(Path(file)) as temporary:
            save_file(contiguous, temporary, metadata={METADATA_KEY: text})
    except SafetensorError as error:
        raise UserError(f"{file}: cannot be written ({error}); name another place") from error


def load(file: AnyPath, kind: str, *, made_by: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and header of a file that `save` wrote with this `kind`; `made_by` names the verb.

    Raises UserError where the file is missing, damaged, of another kind or of a newer version.
    """
    header = _read_header(Path(file), f"a {kind}", f"; `{made_by}` writes one")
    if header["kind"] != kind:
        refusal = _wrong_kind(str(header["kind"]), kind, f"`{made_by}` writes one")
        raise UserError(f"{file}: holds {refusal}")
    with _opened(Path(file)) as archive:
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    digest = header.pop(DIGEST, None)
    if (digest is not None or header["version"] > 2) and digest != _digest(tensors, header):
        raise UserError(
            f"{file}: damaged, its contents do not fit its {DIGEST} digest; make the file anew"
        )
    return tensors, header


def refuse_lstm(name: str, model: object, wanted: str) -> None:
    """UserError where `model` is an integer-only LSTM network, or the float original of one.

    Parameters
    ----------
    name: of the argument.
    wanted: the kind that it must be.
    """
    kind = getattr(model, "kind", None)
    if kind in _WAYS_OUT:
        raise UserError(f"{name}: is {_wrong_kind(kind, wanted, '')}")


def _wrong_kind(found: str, wanted: str, way_out: str) -> str:
    """What is there and what is wanted; way_out: of kinds that all verbs take alike."""
    return f"{a(found)}, a {wanted} is wanted; {_WAYS_OUT.get(found, way_out)}"


def a(kind: str) -> str:
    """A kind of files with its article."""
    return f"{'an' if kind.startswith(tuple('aeiou')) else 'a'} {kind}"


def kind_of(file: AnyPath) -> str:
    """The kind of thing that a file of `save` holds. Raises UserError where it is no such file."""
    return str(_read_header(Path(file), "written by it", "; import it")["kind"])


def _read_header(file: Path, wanted: str, way_out: str) -> dict[str, Any]:
    """The header, of a version that can be read."""
    check_file(file, way_out)
    with _opened(file) as archive:
        metadata = archive.metadata() or {}
    try:
        header: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        version, _ = header["version"], header["kind"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{file}: a safetensors file without deltaloom's header, not {wanted}{way_out}"
        ) from error
    if version not in range(1, VERSION + 1):
        raise UserError(
            f"{file}: format version {version}, this deltaloom reads 1 to {VERSION}; "
            "use the release that wrote it, or a newer one"
        )
    return header


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The safetensors file; one line for whatever its reader raises."""
    try:
        with safe_open(file, framework="numpy") as archive:
            yield archive
    except (SafetensorError, OSError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{file}: not a whole safetensors file ({error}); make it anew") from error


def _digest(tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> str:
    """SHA-256 of the header's JSON and of each tensor, by name: name, type, shape, bytes."""
    digest = hashlib.sha256(_text(header).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _text(header: Mapping[str, Any]) -> str:
    return json.dumps(header, sort_keys=True)


def check_file(file: Path, way_out: str = "") -> None:
    """Raise UserError unless `file` is there and is a regular file; way_out ends the line."""
    if not file.exists():
        raise UserError(f"{file}: no such file{way_out}")
    if not file.is_file():
        kind = "a folder" if file.is_dir() else "a device or a pipe"
        raise UserError(f"{file}: is {kind}, a file is wanted{way_out}")


@contextmanager
def reading(file: AnyPath) -> Iterator[None]:
    """Turn what a damaged header or a missing tensor raises into one clear line."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error}; make the file anew") from error
    except KeyError as error:
        raise UserError(f"{file}: {error.args[0]!r} is missing; make the file anew") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: {error}; make the file anew") from error
