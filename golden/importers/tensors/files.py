# SPDX-License-Identifier: Apache-2.0
"""Reading tensors by name from the files of PyTorch, safetensors, NumPy and Keras."""

import importlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors

from ... import storage
from ...arrays import check_shape
from ...errors import UserError
from ..aside import Ended, aside
from ..keras.config import Configured
from ..keras.files import read_h5, read_keras
from ..keras.names import check_cells, tensor_name
from ..limits import MOST_BYTES, Budget
from ..torchscript import Program, is_program, read_program
from .archives import read_npz
from .shards import INDEX, indexed_names, parts_of

Arrays = dict[str, np.ndarray]


class Stored(NamedTuple):
    """What a file holds.

    arrays: by name. ordered: whether that is the order they were saved in. graph: what the file
    tells besides: Keras's configuration, or a program of TorchScript. nonlinearity: of Elman
    layers, "tanh" or "relu", where the file says it.
    """

    arrays: Arrays
    ordered: bool
    graph: Configured | Program | None = None
    nonlinearity: str = ""


_NESTED = ("state_dict", "model_state_dict", "model", "model_par")  # the last: PyTorch-Kaldi
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel and torch.compile put these before all names


LEAST_SECONDS, BYTES_A_SECOND = 10, 10_000_000
"""Of a processor, that reading a file of Keras takes at most: so many, and what its size takes."""


def read_tensors(file: Path, most: int = MOST_BYTES, start: str = "", end: str = "") -> Stored:
    """All tensors of `file`, which make at most so many bytes.

    start, end: layers between which a Keras model's are read; no other file has any.
    bfloat16 comes as float32, all else as stored. Raises UserError where the file is missing,
    damaged or of another kind, or has no tensors.
    """
    storage.check_file(file)
    reader = _read_safetensors if file.name.endswith(INDEX) else _READERS.get(file.suffix.lower())
    if reader is None:
        raise UserError(f"{file}: files called {file.suffix or 'so'!r} are not read, only {KINDS}")
    is_keras = file.suffix.lower() in KERAS
    part = (start, end) if is_keras else ()
    read = partial(reader, file, Budget(most), *part)
    stored = Stored(*(_aside(file, read) if is_keras else read()))
    tensors = stored.arrays
    if not tensors:
        raise UserError(f"{file}: holds no tensors; save the trained model's state_dict()")
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): array for name, array in tensors.items()}
    return stored._replace(arrays=tensors)


def _aside(file: Path, read: Callable[[], Any]) -> Any:
    """What libhdf5 reads, which turns in circles on some damaged files."""
    seconds = LEAST_SECONDS + file.stat().st_size // BYTES_A_SECOND
    try:
        return aside(read, seconds)
    except Ended as error:
        raise UserError(f"{file}: not a whole file of Keras ({error}); save it anew") from error


def _read_torch(file: Path, budget: Budget) -> tuple[Arrays, bool] | tuple[Arrays, bool, Program]:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise UserError(
            f"{file}: reading it needs torch: `pip install deltaloom[torch]`, "
            "or save the state dict as safetensors"
        ) from error
    if is_program(file):
        try:
            tensors, program = read_program(file, budget)
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
        return tensors, True, program
    _check_archive(file, budget)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no base for what a damaged file may raise
        raise UserError(
            f"{file}: not a state dict that torch.load(weights_only=True) reads "
            f"({_torch_problem(error)}); save it with torch.save(model.state_dict(), FILE)"
        ) from error
    if isinstance(found, Mapping):
        found = next((found[k] for k in _NESTED if isinstance(found.get(k), Mapping)), found)
    if not isinstance(found, Mapping):
        raise UserError(
            f"{file}: holds a {type(found).__name__}, not a state dict; "
            "save it with torch.save(model.state_dict(), FILE)"
        )
    tensors = {}
    for name, tensor in found.items():
        if not isinstance(tensor, torch.Tensor):
            raise UserError(
                f"{file}: {name!r} is a {type(tensor).__name__}, not a tensor; save only the state "
                f"dict, or put it under one of {', '.join(_NESTED)}"
            )
        try:
            plain = tensor.detach()
            _check_expanded(f"{file}: {name}", plain, budget)
            tensors[str(name)] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        except (TypeError, RuntimeError) as error:
            raise UserError(
                f"{file}: {name} is {tensor.dtype} ({tensor.layout}); only dense float16, "
                "bfloat16, float32 and float64 tensors can be read"
            ) from error
    return tensors, True


def _check_archive(file: Path, budget: Budget) -> None:
    """Raise UserError for an archive that unpacks to more than is allowed."""
    if not zipfile.is_zipfile(file):
        return  # the old format, or damaged, which torch.load tells
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    for member in members:
        budget.take(f"{file}: {member.filename}", member.file_size)


def _check_expanded(what: str, tensor: Any, budget: Budget) -> None:
    """Count what a tensor has beyond its storage, as one that is expanded does."""
    check_shape(what, tensor.shape)
    if tensor.device.type != "meta" and str(tensor.layout) == "torch.strided":
        beyond = tensor.numel() * tensor.element_size() - tensor.untyped_storage().nbytes()
        budget.take(what, max(beyond, 0))


def _torch_problem(error: Exception) -> str:
    # torch's own text for a pickled module advises to run whatever the file says
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged or holds Python objects besides tensors"
    return first_line(error)


_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
_DTYPES |= {"I8": "i1", "U8": "u1", "BOOL": "?"}


def _read_safetensors(file: Path, budget: Budget) -> tuple[Arrays, bool, None, str]:
    """With the other parts of the same checkpoint, and what a part's metadata says is shared."""
    tensors: Arrays = {}
    nonlinearity = ""
    try:
        parts = parts_of(file)
        for part in parts:
            found, metadata = _read_part(part, budget)
            nonlinearity = metadata.get("nonlinearity", nonlinearity)
            twice = next((name for name in found if name in tensors), None)
            if twice is not None:
                raise UserError(f"{twice} is in two of the parts; save the checkpoint anew")
            tensors |= found
        left = sorted(indexed_names(parts[0]) - tensors.keys())
        if left:
            raise UserError(f"{left[0]} is in the index and in none of the parts; save it anew")
    except UserError as error:
        line = str(error)
        raise UserError(line if line.startswith(str(file)) else f"{file}: {line}") from error
    return dict(sorted(tensors.items())), False, None, nonlinearity  # the format keeps no order


def _read_part(file: Path, budget: Budget) -> tuple[Arrays, dict[str, str]]:
    # deserialize, unlike safetensors.numpy, gives bfloat16 without another dependency
    deserialize: Callable[[bytes], list] = safetensors.deserialize
    try:
        budget.take(f"{file}", file.stat().st_size)
        with safetensors.safe_open(file, framework="numpy") as archive:
            metadata = archive.metadata() or {}
        found = sorted(deserialize(file.read_bytes()), key=lambda entry: entry[0])
    except (safetensors.SafetensorError, OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{file}: not a whole safetensors file ({first_line(error)}); save it anew"
        ) from error
    if storage.METADATA_KEY in metadata:
        raise UserError(f"{file}: is already one of deltaloom's own files; use it as it is")
    tensors = {}
    for name, entry in found:
        data, shape, dtype = entry["data"], entry["shape"], entry["dtype"]
        check_shape(f"{file}: {name}", shape)
        if dtype == "BF16":
            widened = np.frombuffer(data, "<u2").astype(np.uint32) << 16
            tensors[name] = widened.view(np.float32).reshape(shape)
        elif dtype in _DTYPES:
            tensors[name] = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
        else:
            raise UserError(
                f"{file}: {name} is {dtype}; only F16, BF16, F32 and F64 tensors can be read"
            )
    shared = {name: kept for name, kept in metadata.items() if kept in tensors}
    twins = {name: tensors[kept] for name, kept in shared.items() if name not in tensors}
    return tensors | twins, metadata


def _read_npz(file: Path, budget: Budget) -> tuple[Arrays, bool]:
    try:
        return _of_keras(read_npz(file, budget)), True
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _of_keras(tensors: Arrays) -> Arrays:
    """With Keras's names, which have slashes, in their shortest form."""
    if not all("/" in name for name in tensors):
        return tensors
    try:
        short = {tensor_name(name): array for name, array in tensors.items()}
    except ValueError as error:
        raise UserError(f"a name is none of Keras's ({first_line(error)}); save it anew") from error
    if len(short) < len(tensors):
        raise UserError("two arrays have the same name but for their cells'; save it anew")
    check_cells(tensors, short)
    return short


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


_READERS: dict[str, Callable[[Path, Budget], tuple]] = {
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".jit": _read_torch,
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".ckpt": _read_torch,  # SpeechBrain
    ".pkl": _read_torch,  # PyTorch-Kaldi
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".keras": read_keras,
}
KERAS = (".h5", ".hdf5", ".keras")
KINDS = ", ".join((*_READERS, ".onnx"))
