# SPDX-License-Identifier: Apache-2.0
"""A float model against Keras, where that is installed: the same sequences through both.

Keras's layers are made anew from the options that a configuration tells, and get the file's
weights: no code of the file is run, as loading the model would.
"""

import importlib
import os
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...models.float_model import FloatModel
from ..compare import outputs_of, random_sequences, softmax, verdict
from .config import LAYER_NORM, NORMS, RECURRENT, Configured, halves_of

_OPTIONS = (
    *("units", "activation", "recurrent_activation", "use_bias", "return_sequences"),
    *("go_backwards", "reset_after", "axis", "epsilon", "center", "scale", "offset"),
    *("mean", "variance", "input_dim", "output_dim"),
)
_BACKENDS = ("tensorflow", "jax", "torch")
_COMPUTED = (
    *RECURRENT,
    *NORMS,
    LAYER_NORM,
    "Bidirectional",
    "Embedding",
    "Dense",
    "Activation",
    "ReLU",
    "Softmax",
    "Rescaling",
)
"""Layers that do something where nothing is trained."""
_BY_NUMBER = {"kernel": 0, "embeddings": 0, "bias": 1}


def check(model: FloatModel, config: Configured, arrays: Mapping[str, np.ndarray]) -> str:
    """What was compared, in words. Raises UserError where the two differ.

    Where Keras is not installed or cannot run the model, the words say so.
    """
    if find_spec("keras") is None:
        return "not checked: keras is not installed"
    if not any(find_spec(name) for name in _BACKENDS):
        return "not checked: keras has no backend"
    if config.version.split(".")[0] in ("1", "2") and _has_hard_sigmoids(config):
        return f"not checked: the file's Keras {config.version} has another hard_sigmoid"
    sequences = random_sequences(model)
    try:
        with warnings.catch_warnings(action="ignore"):
            keras = _keras()
            theirs = _run(keras, config, arrays, sequences)
    except Exception as error:  # Keras's backends have no common base of errors
        line = next(iter(str(error).splitlines()), type(error).__name__)
        return f"not checked: Keras cannot run this model ({line[:120]})"
    own = outputs_of(model, sequences)
    if len(config.backwards) % 2:
        own = own[:, ::-1]
    if theirs.ndim == 2:
        own = own[:, -1]
    last = config.steps[-1]
    if last.kind == "Softmax" or last.options.get("activation") == "softmax":
        own = softmax(own)
    return verdict(own, theirs, f"Keras {keras.__version__}")


def _keras() -> Any:
    """Keras with the backend that the user chose, else with one that is installed."""
    there = next(name for name in _BACKENDS if find_spec(name))
    os.environ.setdefault("KERAS_BACKEND", there)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("keras")


def _has_hard_sigmoids(config: Configured) -> bool:
    options = [step.options for step in config.steps]
    options += [half["config"] for step in config.steps for half in halves_of(step.options)]
    return any(
        "hard_sigmoid" in (o.get("activation"), o.get("recurrent_activation")) for o in options
    )


def _run(
    keras: Any, config: Configured, arrays: Mapping[str, np.ndarray], sequences: np.ndarray
) -> np.ndarray:
    value = keras.ops.convert_to_tensor(sequences)
    for step in config.steps:
        if step.kind not in _COMPUTED:
            continue
        layer = _layer(keras, step.kind, step.options)
        layer.build(value.shape)
        own = {n.partition("/")[2]: a for n, a in arrays.items() if n.split("/")[0] == step.name}
        if step.kind == "Bidirectional":
            for half, word in (
                (layer.forward_layer, "forward"),
                (layer.backward_layer, "backward"),
            ):
                _fill(half, {n: a for n, a in own.items() if n.startswith(word)})
        else:
            _fill(layer, own)
        value = layer(value)
    made: np.ndarray = keras.ops.convert_to_numpy(value)
    return made


def _layer(keras: Any, kind: str, options: Mapping[str, Any]) -> Any:
    """One of Keras's layers, from options of known names only."""
    halves = [_layer(keras, half["class_name"], half["config"]) for half in halves_of(options)]
    if halves:
        return keras.layers.Bidirectional(*halves[:1], backward_layer=(*halves[1:], None)[0])
    if kind in ("ReLU", "Softmax"):  # theirs are all neutral
        return getattr(keras.layers, kind)()
    known = {key: options[key] for key in _OPTIONS if key in options}
    if kind == LAYER_NORM:
        known["axis"] = -1  # which it is, whatever it is called
    if kind == "BatchNormalization" and isinstance(known.get("axis"), list):
        (known["axis"],) = known["axis"]
    return getattr(keras.layers, kind)(**known)


def _fill(layer: Any, own: Mapping[str, np.ndarray]) -> None:
    """Give a layer its weights, by their names' ends, or by number where they have none."""
    leaves = {name.rpartition("/")[2]: array for name, array in own.items()}
    numbered = "kernel" not in {v.name for v in layer.weights}
    for n, variable in enumerate(layer.weights):
        if numbered and variable.name not in leaves:
            names = [k for k in leaves if _BY_NUMBER.get(k, k.removeprefix("vars.")) in (n, str(n))]
            variable.assign(leaves[names[0]])
        else:
            variable.assign(leaves[variable.name])
