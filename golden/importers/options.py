# SPDX-License-Identifier: Apache-2.0
"""What a user says of a checkpoint that the file does not tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from ..errors import UserError
from .limits import MOST_BYTES

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a file of tensors does not tell.

    candidate_scale: the factor of LiGRU's candidate at test time, PyTorch-Kaldi's 1 - dropout:
    one for all such layers or one for each; none: 1.
    without_skip: layers of the package `sru` were made with has_skip_term=False.
    normalize_after: layers of `sru` with layer normalization were made with normalize_after=True.
    reset: "after" or "before", where a GRU's tensors fit both.
    recurrent_norm: LiGRU layers are SpeechBrain's SLiGRU, whose recurrent norm has no tensors.
    norm_epsilon: of layer normalization, None for what its framework has by default.
    nonlinearity: "tanh" or "relu", of Elman networks where the file does not tell it.
    bidirectional: layers of `sru`, and LiGRU and PyTorch-Kaldi layers that are a file's last, run
    in both directions.
    only, ignore: patterns of tensors' names, as in a shell: those to read, and those to leave out.
    start, end: of a graph, the node that is the network's first, and its last; of a Keras model,
    the layer.
    embedding: the module or tensor that is an embedding, where its name does not tell it.
    keep_embedding: it becomes a layer of its own, and is not folded into the next.
    zero_state: states that a graph takes from elsewhere are taken to be zeros.
    check: run the model against the graph's own runtime.
    most_bytes: that a file's values may make.
    """

    candidate_scale: tuple[float, ...] = ()
    without_skip: bool = False
    normalize_after: bool = False
    reset: str = ""
    recurrent_norm: bool = False
    norm_epsilon: float | None = None
    nonlinearity: str = ""
    bidirectional: bool = False
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    embedding: str = ""
    keep_embedding: bool = False
    zero_state: bool = False
    check: bool = True
    most_bytes: int = MOST_BYTES

    def wanted(self, named: Mapping[str, T]) -> dict[str, T]:
        """What `only` and `ignore` leave. Raises UserError for a pattern that fits no name."""
        for option, patterns in (("only", self.only), ("ignore", self.ignore)):
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in named):
                    raise UserError(f"{option} {pattern}: fits no name; there are {_some(named)}")
        return {
            name: value
            for name, value in named.items()
            if (not self.only or _fits(name, self.only)) and not _fits(name, self.ignore)
        }


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _some(names: Iterable[str]) -> str:
    """A few of many names."""
    every = list(names)
    return ", ".join(every[:8]) + (f" and {len(every) - 8} more" if len(every) > 8 else "")


NOTHING_SAID = ImportOptions()
