# SPDX-License-Identifier: Apache-2.0
"""TorchScript files: the weights, and the program as what the model is checked against.

The weights are read as a state dict's. What the program does with them is not followed but run, so
that a network is taken only where it gives the same. A program is loaded and run only if all its
operations are among those of recurrent and linear layers: no code of other kinds ever runs.
"""

import importlib
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arithmetic import Reals
from ..errors import UserError
from ..models.float_model import FloatModel
from .compare import outputs_of, random_sequences, softmax, verdict
from .limits import Budget

_KNOWN = """
    Bool Int Float ScalarImplicit __contains__ __getitem__ __is__ __isnot__ __not__ add add_ addmm
    append cat chunk clone contiguous detach dim div dropout dropout_ embedding eq expand flatten
    format ge gru gt hardsigmoid hardsigmoid_ layer_norm le len linear list log_softmax lstm lt
    matmul mm mul ne numel permute relu relu_ reshape rnn_relu rnn_tanh select sigmoid sigmoid_ size
    slice softmax squeeze stack sub t tanh tanh_ to transpose unsqueeze view warn zeros zeros_like
"""
_OF_CELLS = "mean mul_ neg pow reverse rsqrt rsub split sqrt std unbind var"
"""Of cells with layer normalization that are written out, and of loops over their steps."""
RECURRENT, LINEAR, NORM, BARE = "recurrent", "linear", "norm", "bare norm"
"""What a program calls; the last is a norm without parameters."""
_CALLS = {
    **dict.fromkeys(("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"), RECURRENT),
    **dict.fromkeys(("aten::linear", "aten::addmm"), LINEAR),
    "aten::layer_norm": NORM,
}
_ATEN, _ATEN_OF_CELLS = frozenset(_KNOWN.split()), frozenset(_OF_CELLS.split())
_UNSAFE = ("prim::PythonOp", "prim::fork", "prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote")


@dataclass(frozen=True)
class Program:
    """A TorchScript module, and the names of its operations."""

    torch: Any
    module: Any
    operations: frozenset[str]

    @property
    def epsilons(self) -> list[float]:
        """Of its layer norms, in the order of the program; none where one is computed."""
        graph = self.module.inlined_graph  # which its nodes do not keep
        norms = [node for node in _nodes(graph) if node.kind() == "aten::layer_norm"]
        found = [list(node.inputs())[4].toIValue() for node in norms]
        return found if all(isinstance(epsilon, float) for epsilon in found) else []

    @property
    def calls(self) -> list[str]:
        """Which layers it calls, one after the other, by the names above."""
        graph = self.module.inlined_graph
        found = ((node, _CALLS.get(node.kind())) for node in _nodes(graph))
        return [
            BARE if call == NORM and list(node.inputs())[2].type().kind() == "NoneType" else call
            for node, call in found
            if call is not None
        ]

    @property
    def nonlinearity(self) -> str:
        """Of its Elman layers, "" where it has none or both kinds."""
        found = [name for name in ("tanh", "relu") if f"aten::rnn_{name}" in self.operations]
        return found[0] if len(found) == 1 else ""


def is_program(file: Path) -> bool:
    """Whether a file is TorchScript and no plain checkpoint."""
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read_program(file: Path, budget: Budget) -> tuple[dict[str, np.ndarray], Program]:
    """The weights by name, and the program. Raises UserError for one that does other things.

    What cells with layer normalization do is taken here; see `check_operations`.
    """
    torch = importlib.import_module("torch")
    try:
        _check_sources(file, budget)
        with warnings.catch_warnings(action="ignore"):
            module = torch.jit.load(str(file), map_location="cpu").eval()
            operations = frozenset(_operations(module.inlined_graph))
            weights = {name: value.float().numpy() for name, value in module.state_dict().items()}
    except UserError:
        raise
    except Exception as error:  # torch's own errors have no common base
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"not a whole TorchScript file ({line}); save it anew") from error
    program = Program(torch, module, operations)
    check_operations(program, cells=True)
    return weights, program


def check_operations(program: Program, *, cells: bool) -> None:
    """Raise UserError, which names them, for operations that layers do not have.

    cells: whether there are cells with layer normalization, which are written out.
    """
    known = _ATEN | _ATEN_OF_CELLS if cells else _ATEN
    other = sorted(name for name in program.operations if not _is_known(name, known))
    if other:
        raise UserError(
            f"a TorchScript program with {', '.join(other)}, which is not run; export it to ONNX, "
            "where a part can be chosen, or save its weights alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        )


def _check_sources(file: Path, budget: Budget) -> None:
    """Raise UserError where loading alone would run something, or make too much."""
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            budget.take(member.filename, member.file_size)
            if member.filename.endswith(".py"):
                source = archive.read(member).decode(errors="replace")
                if re.search(r"def\s+__setstate__", source):
                    raise UserError(
                        f"{member.filename}: runs a __setstate__ when it is loaded, which is not "
                        "done; save its weights alone"
                    )


def _operations(graph: Any) -> Iterator[str]:
    yield from (node.kind() for node in _nodes(graph))


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)


def _is_known(name: str, known: Collection[str]) -> bool:
    space, _, operation = name.partition("::")
    return (space == "aten" and operation in known) or (space == "prim" and name not in _UNSAFE)


def check(model: FloatModel, program: Program) -> str:
    """What was compared, in words. Raises UserError where the two differ.

    The program's input is tried as [batch, steps, inputs] and as [steps, batch, inputs].
    """
    torch = program.torch
    sequences = random_sequences(model)
    own = outputs_of(model, sequences)
    runtime, problem = f"PyTorch {torch.__version__}", ""
    for batch_first in (True, False):
        given = sequences if batch_first else sequences.swapaxes(0, 1).copy()
        try:
            with warnings.catch_warnings(action="ignore"), torch.no_grad():
                made = program.module(torch.from_numpy(given))
            made = made[0] if isinstance(made, tuple) else made
            theirs = made.numpy()
        except Exception as error:  # torch's own errors have no common base
            return f"not checked: {runtime} cannot run this program ({str(error)[:120]})"
        if theirs.ndim == 3 and not batch_first:
            theirs = theirs.transpose(1, 0, 2)
        for candidate, left_off in _forms(own, program):
            candidate = candidate[:, -1] if theirs.ndim == 2 else candidate
            if candidate.shape != theirs.shape:
                problem = problem or f"it gives {list(theirs.shape)}"
                continue
            last = "; the program gives the last step only" if theirs.ndim == 2 else ""
            try:
                return verdict(candidate, theirs, runtime) + left_off + last
            except UserError as error:
                problem = str(error).partition(";")[0]
    raise UserError(
        f"the weights alone do not tell what the program does ({problem}; it has "
        f"{', '.join(sorted(_told(program)))}); export it to ONNX, whose graph is followed; "
        "--no-check imports the weights all the same"
    )


def _forms(own: Reals, program: Program) -> Iterator[tuple[Reals, str]]:
    """What the program may make of the outputs at its end, and a note on it."""
    yield own, ""
    note = "; the program's {} is left off: the same class wins"
    for name, log in (("softmax", False), ("log_softmax", True)):
        if f"aten::{name}" in program.operations:
            yield softmax(own, log=log), note.format(name)


def _told(program: Program) -> Iterator[str]:
    """Operations that compute something."""
    quiet = ("size", "dim", "format", "Bool", "list", "ne", "eq", "dropout", "zeros", "warn")
    for name in program.operations:
        space, _, operation = name.partition("::")
        if space == "aten" and operation not in quiet and not operation.startswith("__"):
            yield operation
