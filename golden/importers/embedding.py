# SPDX-License-Identifier: Apache-2.0
"""Embeddings in front of a network: its frames are tokens then, and the first layer's columns are
those of W_x E, so that neither a product nor a memory of the embedding is left.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..errors import UserError, printable
from ..models.float_model import FloatLayer, FloatModel, FloatPath, run_float
from .options import ImportOptions
from .tensors.directions import Stage, one
from .tensors.layers import float32, shown
from .tensors.layout import NORM_KIND
from .tensors.refusals import names_embedding

Tensors = Mapping[str, np.ndarray]
_LEAVES = ("weight", "kernel", "embeddings")


@dataclass(frozen=True)
class Embedding:
    """A table [tokens, width]. name: of its module or node; at: of its tensor, for messages."""

    name: str
    at: str
    table: np.ndarray

    @property
    def width(self) -> int:
        return int(self.table.shape[1])


def take_embedding(tensors: Tensors, options: ImportOptions) -> tuple[dict, Embedding | None]:
    """Tensors without those of an embedding, and that, where there is one.

    It is told by its name, or by `options.embedding`. Raises UserError for several.
    """
    named = [name for name in tensors if _is_embedding(name, tensors, options.embedding)]
    if options.embedding and not named:
        raise UserError(
            f"embedding {options.embedding}: no weights of two axes have that name; give the "
            "module's, or the tensor's"
        )
    if not named:
        return dict(tensors), None
    if len(named) > 1:
        what = " and ".join(shown(name, tensors[name]) for name in named)
        raise UserError(
            f"{what}: several embeddings; a frame is one token, so only one can be imported: "
            "--embedding NAME says which, --ignore PATTERN leaves the others out"
        )
    rest = {name: array for name, array in tensors.items() if name != named[0]}
    module = re.split(r"[./]", named[0])[:-1]
    return rest, embedding_of(".".join(module), named[0], tensors[named[0]])


def embedding_of(name: str, at: str, table: np.ndarray) -> Embedding:
    """An embedding from its table [tokens, width]. Raises UserError where it is none."""
    if table.ndim != 2 or not table.size or table.dtype.kind not in "fiu":
        raise UserError(f"{shown(at, table)}: an embedding has numbers [tokens, width]")
    return Embedding(printable(name) or "embedding", at, float32(at, table.astype(np.float64)))


def _is_embedding(name: str, tensors: Tensors, wanted: str) -> bool:
    *modules, leaf = re.split(r"[./]", name)
    module = name[: -len(leaf) - 1]
    if leaf not in _LEAVES or tensors[name].ndim != 2:
        return False
    if wanted:
        return fnmatchcase(name, wanted) or fnmatchcase(module, wanted)
    if leaf == "embeddings":
        return True
    if f"{module}.bias" in tensors or f"{module}/bias" in tensors:
        return False  # a linear layer of that name
    return names_embedding(modules)


def with_embedding(
    stages: list[Stage], embedding: Embedding, options: ImportOptions
) -> tuple[list[Stage], str]:
    """Stages that take tokens, from stages that take what the embedding makes; a note on it."""
    first, *rest = stages
    count, width = embedding.table.shape
    if first.inputs != width:
        raise UserError(
            f"{shown(embedding.at, embedding.table)}: makes {width} values, but {first.first.name} "
            f"takes {first.inputs}; --ignore PATTERN leaves it out"
        )
    if rest and first.first.kind == NORM_KIND and len(first.layers) == 1:
        stages, note = with_embedding(rest, _normalized(embedding, first.first), options)
        return stages, f"{first.first.name}: a norm of the embedding, in its table; {note}"
    heads = [chain[0] for chain in first.chains]
    rows = sum(len(path.gates) * a.units for a in heads for path in a.paths if path.source == "x")
    made = f"{embedding.at} ({count:,} x {width:,} values)"
    if options.keep_embedding:
        layer = _linear(embedding)
        return [one(layer), *stages], f"{made}: becomes a layer of {width:,} units, of tokens"
    if 4 * rows * count > options.most_bytes:
        raise UserError(
            f"{made}: its product with the {rows:,} rows of {first.first.name} takes "
            f"{4 * rows * count / 2**30:.1f} GB; --keep-embedding makes it a layer of its own, "
            "--limit GB raises the limit"
        )
    folded = Stage(tuple((_folded(chain[0], embedding), *chain[1:]) for chain in first.chains))
    into = ", ".join(layer.name for layer in heads)
    note = f"{made}: folded into the input weights of {into}, {count:,} columns of {rows:,} rows"
    return [folded, *rest], f"{note}, one for each token ({count * rows:,} weights)"


def _normalized(embedding: Embedding, norm: FloatLayer) -> Embedding:
    """With the rows that a norm makes of its own: each token has one."""
    rows, _ = run_float(FloatModel(layers=(replace(norm, reads=()),)), embedding.table)
    return replace(embedding, table=float32(f"{embedding.at}, normalized", rows))


def _linear(embedding: Embedding) -> FloatLayer:
    """A linear layer that puts out what the embedding does."""
    weights = np.ascontiguousarray(embedding.table.T)[None]
    return FloatLayer(
        name=embedding.name,
        kind="linear",
        paths=(FloatPath(source="x", gates=("y",), weights=weights, tokens=True),),
        bias=np.zeros((1, embedding.width), np.float32),
    )


def _folded(layer: FloatLayer, embedding: Embedding) -> FloatLayer:
    """A layer whose columns are those of its input weights times the embedding."""
    table = embedding.table.astype(np.float64).T
    paths = tuple(
        replace(
            path,
            weights=float32(embedding.at, path.weights.astype(np.float64) @ table),
            tokens=True,
        )
        if path.source == "x"
        else path
        for path in layer.paths
    )
    return replace(layer, paths=paths)
