# SPDX-License-Identifier: Apache-2.0
"""Keras's .h5 files in: weights by the names LAYER/kernel, LAYER/recurrent_kernel, LAYER/bias.

Three ways of writing them are read: weights or a whole model by Keras 2 (and by Keras 3 as .h5),
whose groups say in which order the layers were made, and Keras 3's .weights.h5, where a layer's
variables have numbers only and there is no order.
"""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError

_CELL = re.compile(r"cell|(lstm|gru|simple_rnn)_cell(_\d+)?")
_BY_NUMBER = {True: ("kernel", "recurrent_kernel", "bias"), False: ("kernel", "bias")}
"""Names of Keras 3's numbered variables, of a cell or of another layer."""

_EXPECTED: dict[str, dict[str, object]] = {
    "LSTM": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "GRU": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "Bidirectional": {"merge_mode": "concat"},
    "Dense": {"activation": "linear"},
    "Activation": {"activation": "linear"},
    "InputLayer": {},
    "Dropout": {},
    "SpatialDropout1D": {},
    "Masking": {},
}
"""Layers of a configuration that can be imported, and the options that they must have."""


def read_h5(file: Path) -> tuple[dict[str, np.ndarray], bool, frozenset[str]]:
    """All weights of `file` by name, and whether they are in the order of the model's layers.

    Where the file holds the model's configuration, its activations are checked too, and the names
    of the layers that go backwards come third: these put their frames out from last to first.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise UserError(
            f"{file}: reading it needs h5py: `pip install 'deltaloom[keras]'`, or save the "
            "weights as .npz with names LAYER/kernel, LAYER/recurrent_kernel, LAYER/bias"
        ) from error
    try:
        with h5py.File(file, "r") as archive:
            config = archive.attrs.get("model_config")
            root = archive.get("model_weights", archive)
            ordered = "layer_names" in root.attrs
            groups = [_text(name) for name in root.attrs["layer_names"]] if ordered else [*root]
            found: dict[str, np.ndarray] = {}
            for group in groups:
                if group not in ("optimizer", "optimizer_weights", "top_level_model_weights"):
                    _collect(h5py, root[group], group, found)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{file}: not a whole Keras .h5 file ({line}); save it anew") from error
    backwards: frozenset[str] = frozenset()
    if config is not None:
        try:
            backwards = _check_config(json.loads(_text(config)))
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{file}: its model_config is not Keras's ({error}); save the weights alone"
            ) from error
    return found, ordered, backwards


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _collect(h5py: Any, group: Any, path: str, found: dict[str, np.ndarray]) -> None:
    if isinstance(group, h5py.Dataset):
        if name := tensor_name(path):
            if name in found:
                raise ValueError(f"two data sets are {name}")
            found[name] = group[()]
        return
    names = [_text(n).split("/")[0] for n in group.attrs.get("weight_names", ())]
    for name in dict.fromkeys([*(n for n in names if n in group), *group]):
        _collect(h5py, group[name], f"{path}/{name}", found)


def tensor_name(path: str) -> str:
    """LAYER/kernel of a data set's path; "" for what is no weight.

    "lstm/lstm/lstm_cell/kernel:0" and "layers/lstm/cell/vars/0" both are "lstm/kernel".
    """
    parts = [part.split(":")[0] for part in path.split("/")]
    if "seed_generator" in parts:
        return ""
    in_cell = any(_CELL.fullmatch(part) for part in parts)
    parts = [part for part in parts if not _CELL.fullmatch(part)]
    if len(parts) > 2 and parts[-2] == "vars":
        names, number = _BY_NUMBER[in_cell], int(parts[-1])
        leaf = names[number] if number < len(names) else f"vars.{number}"
        parts = [*(p for p in parts[:-2] if p not in ("layers", "layer")), leaf]
    *modules, leaf = parts
    if len(modules) > 1 and modules[0] in modules[1:]:
        modules = modules[modules.index(modules[0], 1) :]  # Keras 2 repeats the layer's name
    return "/".join([*modules, leaf])


def _check_config(config: Any) -> frozenset[str]:
    """Refuses layers and options that the weights alone would not show.

    Returns the names of layers that go backwards.
    """
    layers = config["config"]["layers"] if isinstance(config["config"], dict) else config["config"]
    backwards = set()
    for k, layer in enumerate(layers):
        kind, options = layer["class_name"], layer["config"]
        if kind == "TimeDistributed":
            kind, options = options["layer"]["class_name"], options["layer"]["config"]
        name = f"{kind} layer {options.get('name', k)!r}"
        _check_options(kind, options, name, last=k == len(layers) - 1)
        if kind == "Bidirectional":
            for key, direction in (("layer", False), ("backward_layer", True)):
                half = options.get(key)
                if half is not None:
                    _check_half(half["class_name"], half["config"], name, direction)
        elif options.get("go_backwards", False):
            _check_sequences(name, options)
            backwards.add(str(options["name"]))
    return frozenset(backwards)


def _check_options(kind: str, options: Any, name: str, *, last: bool) -> None:
    if kind not in _EXPECTED:
        raise UserError(f"{name} is not supported; supported: {', '.join(_EXPECTED)}")
    for key, value in _EXPECTED[kind].items():
        given = options.get(key, value)
        softmax = given == "softmax" and last and kind in ("Dense", "Activation")
        if given != value and not softmax:
            end = ", or softmax at the end" if kind in ("Dense", "Activation") else ""
            raise UserError(f"{name}: {key} is {given}; only {value} is supported{end}")


def _check_half(kind: str, options: Any, name: str, backwards: bool) -> None:
    """One direction of a Bidirectional layer."""
    if kind not in ("LSTM", "GRU"):
        raise UserError(f"{name}: its {kind} is not supported; only LSTM and GRU are")
    _check_options(kind, options, name, last=False)
    _check_sequences(name, options)
    given = options.get("go_backwards", backwards)
    if given != backwards:
        raise UserError(f"{name}: go_backwards of a half is {given}; only {backwards} is supported")


def _check_sequences(name: str, options: Any) -> None:
    if not options.get("return_sequences", False):
        raise UserError(
            f"{name}: return_sequences is False, so it gives the first frame's output of what "
            "goes backwards; only True is supported"
        )
