# SPDX-License-Identifier: Apache-2.0
"""What a data set's .npz or .npy file holds, read and checked."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import DAMAGED, is_archive, members, read_array, read_members, reason
from .errors import UserError

STATE = "state."
"""Begins the names of first states in a file."""
KEYS = (
    "features",
    "tokens",
    "lengths",
    "labels",
    "label_names",
    "task",
    "names",
    "targets",
    "offset",
)


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, or a .npy file's one as `features`."""
    try:
        if not is_archive(file):
            return {"features": read_array(file)}
        with zipfile.ZipFile(file) as archive:
            found = members(archive)
            states = [key for key in found if key.startswith(STATE)]
            kept = [key for key in (*KEYS, *states) if key in found]
            return read_members(archive, [(key, found[key]) for key in kept])
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except DAMAGED as error:
        raise UserError(
            f"{file}: not a whole .npz or .npy file ({reason(error)}); make it anew"
        ) from error


def fields_of(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The members of a `Dataset`, from the arrays of its file."""
    features = _features(arrays)
    lengths = arrays.get("lengths", np.array([len(features)]))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise UserError("lengths: expected one integer of at least 0 per sequence")
    total = sum(lengths.tolist())  # of Python's integers, which do not wrap
    if total != len(features):
        raise UserError(
            f"lengths: they sum to {total}, {_frames_name(arrays)} has {len(features)} frames; "
            "each frame belongs to one sequence"
        )
    labels = _labels(arrays, lengths)
    targets, offset = _rows(arrays, "targets", total), _rows(arrays, "offset", total)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused
        features = features.astype(np.int64 if features.ndim == 1 else np.float32)
        targets = None if targets is None else targets.astype(np.float32)
        offset = None if offset is None else offset.astype(np.float32)
    return {
        "features": _split(features, lengths),
        "labels": None if labels is None else _split(labels.astype(np.int64), lengths),
        "label_names": _texts(arrays, "label_names"),
        "names": _texts(arrays, "names"),
        "task": _task(arrays, "classification" if targets is None else "regression"),
        "targets": None if targets is None else _split(targets, lengths),
        "offset": None if offset is None else _split(offset, lengths),
        "states": _states(arrays),
    }


def _features(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Numbers [frames, inputs], or tokens, integers [frames]."""
    if "features" not in arrays and "tokens" not in arrays:
        raise UserError(
            "no `features`; a data set holds features [frames, inputs] and lengths, or tokens "
            "[frames] and lengths"
        )
    if "features" in arrays and "tokens" in arrays:
        raise UserError("features, tokens: both are there; a frame is one or the other")
    name = _frames_name(arrays)
    features = arrays[name]
    good = features.ndim == 2 and features.dtype.kind in "fiu"
    if features.ndim == 1 and features.dtype.kind in "iu":
        return features
    if name == "tokens" or not good:
        rule = "integers [frames]" if name == "tokens" else "numbers [frames, inputs]"
        raise UserError(f"{name}: {features.dtype} {features.shape}, expected {rule}")
    return features


def _frames_name(arrays: dict[str, np.ndarray]) -> str:
    """Of the array that holds the frames."""
    return "tokens" if "tokens" in arrays else "features"


def _labels(arrays: dict[str, np.ndarray], lengths: np.ndarray) -> np.ndarray | None:
    """One each frame, where the file has labels; one each sequence is its last frame's."""
    labels, total = arrays.get("labels"), int(lengths.sum())
    if labels is None:
        return None
    if labels.dtype.kind in "iu" and labels.shape == (total,):
        return labels
    if labels.dtype.kind not in "iu" or labels.shape != lengths.shape:
        raise UserError(
            f"labels: {labels.dtype} {labels.shape}, expected integers [{total}], one a frame, or "
            f"[{len(lengths)}], one a sequence"
        )
    if not lengths.all():
        raise UserError("labels: one a sequence, but some sequences have no frame; leave them out")
    every = np.full(total, -1, np.int64)
    every[np.cumsum(lengths) - 1] = labels
    return every


def _states(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """First states by name, as float32."""
    found = {}
    for key, values in arrays.items():
        if key.startswith(STATE):
            if values.dtype.kind not in "fiu":
                raise UserError(f"{key}: {values.dtype}, expected numbers [sequences, units]")
            with np.errstate(over="ignore"):
                found[key.removeprefix(STATE)] = values.astype(np.float32)
    return found


def _rows(arrays: dict[str, np.ndarray], key: str, total: int) -> np.ndarray | None:
    """One row of numbers for each of `total` frames, where the file has them."""
    rows = arrays.get(key)
    if rows is not None and (rows.ndim != 2 or rows.dtype.kind not in "fiu" or len(rows) != total):
        raise UserError(
            f"{key}: {rows.dtype} {rows.shape}, expected numbers [{total}, outputs], "
            "one row a frame"
        )
    return rows


def _texts(arrays: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    values = arrays.get(key)
    if values is None or values.shape == (0,):  # an empty list is saved as numbers
        return ()
    if values.ndim != 1 or values.dtype.kind != "U":
        raise UserError(f"{key}: {values.dtype} {values.shape}, expected a list of texts")
    return tuple(values.tolist())


def _task(arrays: dict[str, np.ndarray], default: str) -> str:
    value = arrays.get("task")
    if value is None:
        return default
    if value.ndim != 0 or value.dtype.kind != "U":
        raise UserError(f"task: {value.dtype} {value.shape}, expected one text")
    return str(value)


def _split(values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.split(values, np.cumsum(lengths)[:-1])) if len(lengths) else ()
