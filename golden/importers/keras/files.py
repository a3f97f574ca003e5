# SPDX-License-Identifier: Apache-2.0
"""Keras's files in: weights by the names LAYER/kernel, LAYER/recurrent_kernel, LAYER/bias.

Read are weights or a whole model by Keras 2 (and by Keras 3 as .h5), whose groups say in which
order the layers were made; Keras 3's .weights.h5, where a layer's variables have numbers only and
there is no order; and its .keras, a .weights.h5 with the model's configuration beside it.
"""

import importlib
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ..limits import Budget
from .config import Configured, check_config
from .names import check_cells, tensor_name, with_gains

_DAMAGED = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)
_NO_WEIGHTS = ("optimizer", "optimizer_weights", "top_level_model_weights")
_MOST_CONFIG = 64 << 20
Read = tuple[dict[str, np.ndarray], bool, Configured | None]


def read_h5(file: Path, budget: Budget, start: str = "", end: str = "") -> Read:
    """All weights of `file` by name, and whether they are in the order of the model's layers.

    Where the file holds the model's configuration, its layers are checked too, those from `start`
    to `end` if they are said, and it comes third; weights of other layers are left out.
    """
    h5py = _h5py(file)
    try:
        with h5py.File(file, "r") as archive:
            text = archive.attrs.get("model_config")
            version = _text(archive.attrs.get("keras_version", ""))
            config = None if text is None else _config(text, version, start, end)
            found, ordered = _weights(h5py, archive, budget)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except _DAMAGED as error:
        raise _not_whole(file, ".h5", error) from error
    if config is None and (start or end):
        raise UserError(
            f"{file}: --from, --to: it holds no configuration, only weights; --only PATTERN and "
            "--ignore PATTERN choose some"
        )
    return _of_steps(found, config) if config else found, ordered, config


def read_keras(file: Path, budget: Budget, start: str = "", end: str = "") -> Read:
    """The same of a .keras archive; its configuration tells names and order."""
    h5py = _h5py(file)
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            if sizes["config.json"] > _MOST_CONFIG:
                raise ValueError("its configuration is too large")
            budget.take("model.weights.h5", sizes["model.weights.h5"])
            text, weights = archive.read("config.json"), archive.read("model.weights.h5")
            version = _version(archive, sizes)
        config = _config(text, version, start, end)
        with h5py.File(io.BytesIO(weights), "r") as archive:
            found, _ = _weights(h5py, archive, budget)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, *_DAMAGED) as error:
        raise _not_whole(file, ".keras", error) from error
    try:
        return _of_steps(_in_order(found, config), config), True, config
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _h5py(file: Path) -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise UserError(
            f"{file}: reading it needs h5py: `pip install 'deltaloom[keras]'`, or save the "
            "weights as .npz with names LAYER/kernel, LAYER/recurrent_kernel, LAYER/bias"
        ) from error


def _not_whole(file: Path, kind: str, error: Exception) -> UserError:
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(f"{file}: not a whole Keras {kind} file ({line}); save it anew")


def _version(archive: zipfile.ZipFile, sizes: Mapping[str, int]) -> str:
    """Of Keras, "" where the archive does not tell."""
    if not 0 < sizes.get("metadata.json", 0) < _MOST_CONFIG:
        return ""
    return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))


def _config(text: Any, version: str, start: str, end: str) -> Configured:
    try:
        return check_config(json.loads(_text(text)), version, start, end)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UserError(
            f"its model_config is not Keras's ({error}); save the weights alone"
        ) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _weights(h5py: Any, archive: Any, budget: Budget) -> tuple[dict[str, np.ndarray], bool]:
    """The weights by name, and whether the file keeps the layers' order."""
    reader = _Reader(h5py, budget)
    root = reader.child(archive, "model_weights", archive)
    ordered = "layer_names" in root.attrs
    groups = [_text(name) for name in root.attrs["layer_names"]] if ordered else [*root]
    for group in groups:
        if group not in _NO_WEIGHTS:
            reader.collect(reader.child(root, group), group)
    check_cells(reader.paths, reader.found)
    return with_gains(reader.found), ordered


@dataclass
class _Reader:
    """Collects data sets; follows no link that leads out of the file or back.

    found: arrays by `tensor_name`. paths: of all data sets. parents: addresses of the groups that
    one is in.
    """

    h5py: Any
    budget: Budget
    found: dict[str, np.ndarray] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)
    seen: set[Any] = field(default_factory=set)

    def child(self, group: Any, name: str, default: Any = None) -> Any:
        """The member `name` of a group, by hard links only."""
        if default is not None and name not in group:
            return default
        at = group
        for part in name.split("/"):
            if not isinstance(at.get(part, getlink=True), self.h5py.HardLink):
                raise UserError(
                    f"{name}: a link to another place or file, which is not followed; save the "
                    "weights themselves"
                )
            at = at[part]
        return at

    def collect(self, group: Any, path: str) -> None:
        if isinstance(group, self.h5py.Dataset):
            if path not in self.paths:
                self._add(group, path)
            return
        address = self.h5py.h5o.get_info(group.id).addr
        if address in self.seen:
            raise UserError(f"{path}: a group that is in the file twice; save the file anew")
        self.seen.add(address)
        for name in map(_text, group.attrs.get("weight_names", ())):
            if name in group:
                self.collect(self.child(group, name), f"{path}/{name}")
        for name in group:
            self.collect(self.child(group, name), f"{path}/{name}")

    def _add(self, stored: Any, path: str) -> None:
        self.paths[path] = None
        if stored.external or stored.is_virtual:
            raise UserError(
                f"{path}: its values lie outside the file, where nothing is read; save the file "
                "anew with its values in it"
            )
        name = tensor_name(path)
        if not name:
            return
        if stored.shape is None or stored.dtype.kind not in "fiub":
            raise UserError(f"{path}: holds {stored.dtype}, no numbers; save the file anew")
        size = self.budget.take_array(path, stored.shape, stored.dtype.itemsize)
        if not stored.compression and stored.id.get_storage_size() < size:
            raise UserError(
                f"{path}: declares {size:,} bytes, of which the file holds "
                f"{stored.id.get_storage_size():,}; save the file anew"
            )
        if name in self.found:
            raise ValueError(f"two data sets are {name}")
        self.found[name] = stored[()]


def _in_order(found: dict[str, np.ndarray], config: Configured) -> dict[str, np.ndarray]:
    """Weights by the layers' own names, in their order, where the file has classes and numbers."""
    counts: Counter[str] = Counter()
    names = {}
    for name, kind in config.classes:
        snake = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
        snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower()
        names[f"{snake}_{counts[snake]}" if counts[snake] else snake] = name
        counts[snake] += 1
    order = [*(step.name for step in config.steps), *(name for name, _ in config.classes)]
    by_layer: dict[str, dict[str, np.ndarray]] = {name: {} for name in order}
    for full, array in found.items():
        layer, _, leaf = full.partition("/")
        if names.get(layer) not in by_layer:
            raise UserError(f"{full}: belongs to no layer of the configuration; save it anew")
        by_layer[names[layer]][leaf] = array
    return {
        f"{layer}/{leaf}": array
        for layer, weights in by_layer.items()
        for leaf, array in weights.items()
    }


def _of_steps(found: dict[str, np.ndarray], config: Configured) -> dict[str, np.ndarray]:
    """Weights without those of layers that are cut off."""
    cut = set(config.cut)
    return {name: array for name, array in found.items() if name.split("/")[0] not in cut}
