# SPDX-License-Identifier: Apache-2.0
"""A Keras model's modules in the order of its configuration, with what stands between them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import UserError, printable
from ..models.float_model import FloatLayer
from .embedding import Embedding, embedding_of
from .folding import (
    MIDDLE,
    SLOPE,
    Affine,
    activated,
    after,
    before,
    hardened,
    identity,
    is_plain,
    takes_scale,
)
from .keras.config import LAYER_NORM, NORMS, RECURRENT, Configured, Step, halves_of
from .modules import Module, find_modules
from .options import ImportOptions
from .tensors.directions import one
from .tensors.layer_norm import checked_epsilon, norm_layer, with_epsilon
from .tensors.norm_layouts import KERAS_NORM

Arrays = Mapping[str, np.ndarray]
_WEIGHTED = (*RECURRENT, "Bidirectional", "Dense")
_NORM_EPSILON = 1e-7
"""What Keras's Normalization divides by at least."""
_BY_NUMBER = ("kernel", "bias", *(f"vars.{n}" for n in range(2, 5)))
"""What `names.tensor_name` calls numbered variables."""


def configured(
    config: Configured, arrays: Arrays, options: ImportOptions
) -> tuple[list[Module], Embedding | None]:
    """All modules, in order, with activations, scales and offsets taken into them; an embedding.

    Raises UserError where one of these has no layer that takes it, or weights have no layer.
    """
    own = (*NORMS, LAYER_NORM, "Embedding")
    apart = {step.name for step in config.steps if step.kind in own}
    plain = {name: a for name, a in arrays.items() if name.split("/")[0] not in apart}
    modules: dict[str, Module] = {}
    for module in find_modules(options.wanted(plain), options):
        modules[module.name.split("/")[0]] = module
    chain = _Chain(config, arrays)
    embedding = None
    for step in config.steps:
        if step.kind in _WEIGHTED:
            name = printable(step.name)
            if name not in modules:
                raise UserError(f"{step.title}: the file has no weights of it; save it whole")
            chain.add(step, modules.pop(name))
        elif step.kind == "Embedding":
            embedding = _embedding(step, arrays)
        elif step.kind == LAYER_NORM:
            chain.norm(step)
        elif step.kind in (*NORMS, "Rescaling"):
            chain.scale(step)
        elif step.kind in ("Activation", "ReLU"):
            chain.activate(step)
    if modules:
        raise UserError(
            f"{', '.join(modules)}: belong to no layer of the configuration; save the model anew"
        )
    return chain.finished(), embedding


def _embedding(step: Step, arrays: Arrays) -> Embedding:
    for leaf in ("embeddings", _BY_NUMBER[0]):
        if (at := f"{step.name}/{leaf}") in arrays:
            return embedding_of(step.name, at, arrays[at])
    raise UserError(f"{step.title}: the file has no weights of it; save it whole")


class _Chain:
    """Modules so far, and the scale and offset that wait for the next."""

    def __init__(self, config: Configured, arrays: Arrays) -> None:
        self.config, self.arrays = config, arrays
        self.modules: list[Module] = []
        self.waiting: Affine | None = None

    def add(self, step: Step, module: Module) -> None:
        halves = halves_of(step.options)
        options = halves[0]["config"] if halves else step.options
        stages = [stage.change(partial(self._with_cell, options)) for stage in module.stages]
        self._put(replace(module, stages=tuple(stages)))
        if step.kind == "Dense":
            self.activate(step)

    def norm(self, step: Step) -> None:
        """Layer normalization, a layer of its own."""
        names = [n for n, key in (("gamma", "scale"), ("beta", "center")) if _has(step, key)]
        values = dict(zip(names, _values(step, self.arrays, names), strict=True))
        width = max((v.size for v in values.values()), default=0)
        if not width and self.modules:
            width = self.modules[-1].stages[-1].outputs
        if not width:
            raise UserError(
                f"{step.title}: is the first layer and has no weights, so that nothing tells its "
                "size; --from LAYER, the one after it, leaves it out"
            )
        epsilon = float(step.options.get("epsilon", KERAS_NORM.epsilon))
        checked_epsilon(step.title, epsilon)
        try:
            layer = norm_layer(
                printable(step.name),
                values.get("gamma", np.ones(width)),
                values.get("beta"),
                epsilon,
            )
        except UserError as error:
            raise UserError(f"{step.title}: {error}") from error
        self._put(Module(layer.name, (one(layer),)))

    def _put(self, module: Module) -> None:
        stages = [*module.stages]
        if self.waiting is not None:
            affine = self._fitting(self.waiting, stages[0].inputs)
            stages[0], self.waiting = stages[0].change(partial(before, affine=affine)), None
        self.modules.append(replace(module, stages=tuple(stages)))

    def _with_cell(self, options: Mapping[str, Any], layer: FloatLayer) -> FloatLayer:
        """A layer with the functions that its options tell."""
        if layer.kind == "rnn_tanh" and options.get("activation") == "relu":
            return replace(layer, kind="rnn_relu")
        if "norm_epsilon" in options:
            epsilon = checked_epsilon(layer.name, float(options["norm_epsilon"]))
            return with_epsilon(layer, epsilon)
        if options.get("recurrent_activation") == "hard_sigmoid":
            return hardened(layer, *self._slope(layer.name))
        return layer

    def activate(self, step: Step) -> None:
        name = "relu" if step.kind == "ReLU" else str(step.options.get("activation", "linear"))
        if name in ("linear", "softmax"):
            return
        if self.waiting is None and self._ends(takes_scale) and not self._ends(is_plain):
            layer = identity(printable(step.name), self.modules[-1].stages[-1].outputs)
            self._put(Module(layer.name, (one(layer),)))
        if not self._ends(is_plain) or self.waiting is not None:
            raise UserError(
                f"{step.title}: follows what takes no activation; only Dense layers without one "
                "do; --from LAYER and --to LAYER choose a part"
            )
        numbers = self._slope(step.title) if name == "hard_sigmoid" else ()
        self._change_last(lambda layer: activated(layer, name, *numbers))

    def _slope(self, what: str) -> tuple[float, float]:
        """Of Keras's hard sigmoid: 0.2 in versions 1 and 2, 1/6 from 3 on."""
        major = self.config.version.split(".")[0]
        if not major.isdigit():
            raise UserError(
                f"{what}: hard_sigmoid has another slope in Keras 2 than in Keras 3, and the file "
                "does not tell its version; save the model anew"
            )
        return (SLOPE if int(major) < 3 else 1 / 6), MIDDLE

    def scale(self, step: Step) -> None:
        affine = _affine(step, self.arrays)
        if self._ends(takes_scale) and self.waiting is None:
            affine = self._fitting(affine, self.modules[-1].stages[-1].outputs)
            self._change_last(partial(after, affine=affine))
        else:
            self.waiting = affine if self.waiting is None else self.waiting.then(affine)

    def finished(self) -> list[Module]:
        if self.waiting is not None:
            raise UserError(
                f"{self.waiting.what}: scales what no Dense layer made, and no layer follows; "
                "--to LAYER, the one before it, leaves it out"
            )
        if not self.modules:
            raise UserError("its configuration has no layer with weights; save a trained model")
        return self.modules

    def _ends(self, as_wanted: Callable[[FloatLayer], bool]) -> bool:
        return bool(self.modules) and as_wanted(self.modules[-1].last)

    def _change_last(self, change: Any) -> None:
        *rest, last = self.modules[-1].stages
        self.modules[-1] = replace(self.modules[-1], stages=(*rest, last.change(change)))

    @staticmethod
    def _fitting(affine: Affine, width: int) -> Affine:
        """The same for so many features. Raises UserError where it is of others."""
        if affine.scale.size not in (1, width):
            raise UserError(
                f"{affine.what}: of {affine.scale.size} features, but there are {width}; only the "
                "features' axis, -1, can be normalized"
            )
        scale, offset = (np.broadcast_to(a, width) for a in (affine.scale, affine.offset))
        return Affine(scale, offset, affine.what)


def _has(step: Step, key: str) -> bool:
    return bool(step.options.get(key, True))


def _affine(step: Step, arrays: Arrays) -> Affine:
    """The scale and offset that a step is."""
    options, title = step.options, step.title
    if step.kind == "Rescaling":
        numbers = (np.atleast_1d(options.get(key, n)) for key, n in (("scale", 1), ("offset", 0)))
        scale, offset = (np.asarray(array, np.float64) for array in numbers)
        return Affine(scale + 0 * offset, offset + 0 * scale, title)
    axis = options.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    if axis is not None and (len(axes) != 1 or axes[0] not in (-1, 1, 2) or isinstance(axis, str)):
        raise UserError(f"{title}: axis is {axis}; only -1, the features, is supported")
    if step.kind == "Normalization":
        mean, variance = _values(step, arrays, ("mean", "variance"))
        deviation = np.maximum(np.sqrt(variance), _NORM_EPSILON)
        return Affine(1 / deviation, -mean / deviation, title)
    names = ["gamma"] * _has(step, "scale") + ["beta"] * _has(step, "center")
    names += ["moving_mean", "moving_variance"]
    values = dict(zip(names, _values(step, arrays, names), strict=True))
    mean, variance = values["moving_mean"], values["moving_variance"]
    if (variance < 0).any():
        raise UserError(f"{title}: a variance is below 0; mend the model")
    scale = values.get("gamma", 1.0) / np.sqrt(variance + float(options.get("epsilon", 1e-3)))
    return Affine(scale, values.get("beta", 0.0) - mean * scale, title)


def _values(step: Step, arrays: Arrays, names: Any) -> list[np.ndarray]:
    """A step's own arrays, by name or number, or from its options; also of what a step holds."""
    own = {n.rpartition("/")[2]: a for n, a in arrays.items() if n.split("/")[0] == step.name}
    found = []
    for n, name in enumerate(names):
        given = step.options.get(name)
        array = None if given is None else np.asarray(given)
        for leaf in (name, _BY_NUMBER[n]):
            array = own.get(leaf) if array is None else array
        if array is None or array.dtype.kind not in "fi" or not np.isfinite(array).all():
            raise UserError(f"{step.title}: its {name} is not in the file, or not finite")
        found.append(array.astype(np.float64).ravel())
    return found
