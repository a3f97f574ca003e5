# SPDX-License-Identifier: Apache-2.0
"""What Keras calls its weights, in their shortest form: LAYER/kernel and so on."""

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from ...errors import UserError

_CELL = re.compile(r"cell|((layer_norm_)?lstm|gru|simple_rnn)_cell(_\d+)?")
_ANY_CELL = re.compile(r"\w*_?cell(_\d+)?")
_BY_NUMBER = {True: ("kernel", "recurrent_kernel", "bias"), False: ("kernel", "bias")}
"""Names of Keras 3's numbered variables, of a cell or of another layer."""


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


def with_gains(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with names for the gains and offsets of layer norms that have numbers only.

    A single vector keeps its number, as it may be either.
    """
    new: dict[str, str] = {}
    for name, array in found.items():
        layer, _, leaf = name.rpartition("/")
        beside = found.get(f"{layer}/bias")
        numbered = leaf == "kernel" and array.ndim == 1 and beside is not None
        if numbered and re.fullmatch(r"(.*/)?layer_normalization(_\d+)?", layer):
            new |= {name: f"{layer}/gamma", f"{layer}/bias": f"{layer}/beta"}
    return {new.get(name, name): array for name, array in found.items()}


def check_cells(paths: Iterable[str], names: Collection[str]) -> None:
    """Raise UserError for a cell whose weights are laid out in another way than Keras's.

    TensorFlow 1's cells have a kernel for the input and the state together, which would look like
    a linear layer's.
    """
    for path in paths:
        *modules, leaf = (part.split(":")[0] for part in path.split("/"))
        cell = next((part for part in modules if _ANY_CELL.fullmatch(part)), None)
        short = tensor_name(path)
        beside = f"{short.removesuffix('kernel')}recurrent_kernel"
        if cell and leaf == "kernel" and beside not in names:
            raise UserError(
                f"{path}: the kernel of a {cell} without a recurrent_kernel, as TensorFlow 1 "
                "writes one for input and state together; only Keras's own cells are supported"
            )
        if re.search(r"stacked_rnn_cells|/cells/", path):
            raise UserError(
                f"{path}: an RNN layer of several cells is not supported; make each cell a layer"
            )
