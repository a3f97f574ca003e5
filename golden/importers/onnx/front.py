# SPDX-License-Identifier: Apache-2.0
"""The part of a graph in front of a network, run on raw data to make the network's data."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import storage
from ...data import Dataset
from ...errors import UserError
from ..tensors.files import first_line

AXES_KEY = "deltaloom.axes"
"""Metadata of before.onnx and after.onnx: what the axes at the cut hold, with commas between."""
_BATCH = ("batch", "one")


def run_front(file: Path, data: Dataset) -> Dataset:
    """The data set with the features that the graph in `file` makes of each sequence.

    A sequence goes in as [1, steps, inputs] or [steps, inputs], as the graph's input has three
    axes or two. Raises UserError where it cannot run, or makes other frames than labels stand for.
    """
    session, axes = _session(file)
    (given,) = session.get_inputs()[:1]
    if len(session.get_inputs()) != 1:
        names = ", ".join(value.name for value in session.get_inputs())
        raise UserError(f"{file}: takes {names}; only graphs of one input can be run on a data set")
    made = []
    for n, x in enumerate(data.features):
        fed = x[None] if len(given.shape) == 3 else x
        try:
            (y,) = session.run(None, {given.name: fed})
        except Exception as error:  # onnxruntime's own errors have no common base
            raise UserError(
                f"{file}: cannot run on sequence {n}, {list(fed.shape)} ({first_line(error)}); "
                "give the data that the graph takes"
            ) from None
        made.append(_frames(file, np.asarray(y), axes))
    try:
        return replace(data, features=tuple(made))
    except UserError as error:
        raise UserError(f"{file}: {error}; the graph changes how many frames there are") from error


def _session(file: Path) -> tuple[Any, list[str]]:
    storage.check_file(file)
    try:
        onnx, runtime = (importlib.import_module(name) for name in ("onnx", "onnxruntime"))
    except ImportError as error:
        raise UserError(
            f"{file}: running it needs onnxruntime: `pip install 'deltaloom[onnx]'`"
        ) from error
    try:
        model = onnx.load(str(file), load_external_data=False)
        session = runtime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # protobuf's and onnxruntime's own errors have no common base
        raise UserError(f"{file}: cannot be run ({first_line(error)})") from error
    axes = {entry.key: entry.value for entry in model.metadata_props}.get(AXES_KEY, "")
    if not axes:
        raise UserError(f"{file}: is none that `deltaloom import` cut off; import the graph again")
    return session, axes.split(",")


def _frames(file: Path, values: np.ndarray, axes: list[str]) -> np.ndarray:
    """[steps, features] of what the graph makes."""
    if values.ndim != len(axes) or sorted(a for a in axes if a not in _BATCH) not in (
        ["features", "time"],
        ["features"],
    ):
        raise UserError(f"{file}: makes {list(values.shape)}, axes of {', '.join(axes)}")
    batch = [n for n, name in enumerate(axes) if name in _BATCH]
    if any(values.shape[n] != 1 for n in batch) and "time" in axes:
        raise UserError(f"{file}: makes {list(values.shape)} of one sequence")
    order = [*batch, *(axes.index(name) for name in ("time", "features") if name in axes)]
    frames: np.ndarray = values.transpose(order)
    return frames.reshape(-1, frames.shape[-1]).astype(np.float32)
