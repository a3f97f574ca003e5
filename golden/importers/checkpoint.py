# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in: the float model of a trained network.

A file holds tensors, or a graph (ONNX, see `onnx`). Of tensors, which layers there are follows
from names and shapes (`tensors.layouts`), and their order from the widths. What stands between
layers (dropout, an activation after a linear layer) is taken to be nothing, but where Keras's
configuration tells it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError
from ..models.float_model import FloatModel
from .bare_norms import with_bare_norms
from .candidate import with_candidate_scale
from .chain import chain, named_order, settled
from .configured import configured
from .embedding import Embedding, take_embedding, with_embedding
from .epsilons import norm_notes, with_epsilon_of_all, with_epsilons_in_order
from .folding import with_norms_folded
from .keras.check import check as check_keras
from .keras.config import Configured, notes_of
from .modules import Module, find_modules, with_nonlinearity
from .onnx.graph import SUFFIX as ONNX_SUFFIX
from .onnx.graph import Part, read_part
from .options import NOTHING_SAID, ImportOptions
from .recurrent_norm import with_recurrent_norm
from .tensors.directions import Stage, link, with_names
from .tensors.files import KERAS, Stored, read_tensors
from .tensors.sru import without_input_skip
from .tflite.read import SUFFIX as TFLITE_SUFFIX
from .tflite.read import read_tflite
from .torchscript import Program, check_operations
from .torchscript import check as check_program
from .unknown_cells import check_cells, has_normed_cell

__all__ = ["ImportOptions", "Imported", "import_checkpoint", "read_checkpoint"]


@dataclass(frozen=True)
class Imported:
    """A float model, and what a file says besides.

    before, after: ONNX files with what stands on either side of the network, b"" for nothing.
    where: (node, "before" | "network" | "after") of a graph. notes: sentences on what was left.
    """

    model: FloatModel
    before: bytes = b""
    after: bytes = b""
    where: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def import_checkpoint(
    file: Path,
    labels: Sequence[str] = (),
    order: Sequence[str] = (),
    options: ImportOptions = NOTHING_SAID,
) -> FloatModel:
    """The float model in a checkpoint: PyTorch, safetensors, npz, Keras, .onnx or .tflite.

    labels: names of the outputs, or none.
    order: the modules' names from input to output, needed only where shapes fit several orders.
    Raises UserError, which names the tensor, its shape and what was expected, for anything that
    is not wholly understood, and for a graph of which something is left over.
    """
    return read_checkpoint(file, labels, order, options, cut=False).model


def read_checkpoint(
    file: Path,
    labels: Sequence[str] = (),
    order: Sequence[str] = (),
    options: ImportOptions = NOTHING_SAID,
    *,
    cut: bool = True,
) -> Imported:
    """The same with what is left over of a graph, which is cut off."""
    if file.suffix.lower() == ONNX_SUFFIX:
        _check_graph_options(file, order, options)
        part = read_part(file, options, cut=cut)
        model = _model(file, part.stages, labels, options, part.embedding)
        return _with_sides(file, model, part, options)
    if file.suffix.lower() == TFLITE_SUFFIX:
        _check_embedding(file, options)
        _check_norms(file, options)
        if order:
            raise UserError(f"{file}: order: a graph tells it; leave it out")
        found = read_tflite(file, labels, options)
        if not isinstance(found.network, FloatModel):
            raise UserError(
                f"{file}: holds an LSTM that no float model has; `deltaloom import` and "
                "deltaloom.import_tflite read it"
            )
        return Imported(found.network, where=found.where, notes=found.notes)
    if options.zero_state or ((options.start or options.end) and file.suffix.lower() not in KERAS):
        raise UserError(f"{file}: --from, --to and --zero-state are for graphs; leave them out")
    stored = read_tensors(file, options.most_bytes, options.start, options.end)
    stages, embedding, notes = _stages_of_tensors(file, stored, order, options)
    model = _model(file, stages, labels, options, embedding, notes)
    return _checked(file, model, stored, options)


def _checked(file: Path, model: FloatModel, stored: Stored, options: ImportOptions) -> Imported:
    """The model after it was checked against what the file tells besides weights, if anything."""
    graph = stored.graph
    if graph is None:
        return Imported(model, notes=model.notes)
    checked = "not checked against what else the file holds (--no-check)"
    if options.check:
        try:
            if isinstance(graph, Configured):
                checked = check_keras(model, graph, stored.arrays)
            else:
                checked = check_program(model, graph)
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
    where: list[tuple[str, str]] = []
    notes: tuple[str, ...] = (*model.notes, checked)
    if isinstance(graph, Configured):
        notes = (*notes_of(graph), *model.notes, checked)
        where = [(step.title, "network") for step in graph.steps]
        where += [(f"layer {name!r}", "left out") for name in graph.cut]
    return Imported(replace(model, notes=notes), where=tuple(where), notes=notes)


def _check_graph_options(file: Path, order: Sequence[str], options: ImportOptions) -> None:
    _check_embedding(file, options)
    _check_norms(file, options)
    if order:
        raise UserError(f"{file}: order: a graph tells it; leave --order out")
    if options.bidirectional:
        raise UserError(f"{file}: bidirectional: a graph tells it; leave --bidirectional out")
    if options.only or options.ignore:
        raise UserError(
            f"{file}: only, ignore: are for files of tensors; of a graph, --from NODE and --to "
            "NODE choose a part"
        )


def _check_embedding(file: Path, options: ImportOptions) -> None:
    if options.embedding:
        raise UserError(f"{file}: embedding: the file tells it; leave --embedding out")


def _check_norms(file: Path, options: ImportOptions) -> None:
    for said, option in (
        (options.recurrent_norm, "recurrent norm"),
        (options.normalize_after, "normalize after"),
        (options.norm_epsilon is not None, "norm epsilon"),
    ):
        if said:
            way_out = f"leave --{option.replace(' ', '-')} out"
            raise UserError(f"{file}: {option}: a graph tells it; {way_out}")


def _model(
    file: Path,
    stages: list[Stage],
    labels: Sequence[str],
    options: ImportOptions,
    embedding: Embedding | None = None,
    notes: tuple[str, ...] = (),
) -> FloatModel:
    try:
        stages = with_candidate_scale(stages, options.candidate_scale)
        if options.without_skip and not any(s.chains[0][-1].kind == "sru0" for s in stages):
            raise UserError("without skip: there is no SRU layer; leave --without-skip out")
        stages[0] = stages[0].change(without_input_skip)
        stages = with_norms_folded(stages)
        if embedding is not None:
            stages, note = with_embedding(stages, embedding, options)
            notes = (*notes, note)
        layers, puts_out = link(with_names(stages))
        if labels and len(labels) != stages[-1].outputs:
            raise UserError(
                f"{len(labels)} labels for the {stages[-1].outputs} outputs of "
                f"{stages[-1].chains[0][-1].name}; give one label per output"
            )
        return FloatModel(
            layers=layers,
            labels=tuple(labels),
            puts_out=puts_out,
            origin=file.name,
            notes=notes,
        )
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _with_sides(file: Path, model: FloatModel, part: Part, options: ImportOptions) -> Imported:
    """The model after it was checked against its graph, and what the graph has besides."""
    checked = "not checked against its graph (--no-check)"
    if options.check:
        try:
            checked = part.check(model)
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
    notes = (*part.notes, *model.notes, checked)
    before, after = (
        b"" if side is None else side.SerializeToString() for side in (part.before, part.after)
    )
    model = replace(model, notes=notes)
    return Imported(model, before, after, tuple(part.where()), notes)


def _chained(modules: list[Module], *, ordered: bool) -> list[Module]:
    """The modules in order. Raises UserError where there is none, or they are parts of a cell."""
    try:
        found = chain(modules, ordered=ordered)
    except UserError:
        check_cells(modules, chained=False)
        raise
    check_cells(found, chained=True)
    return found


def _stages_of_tensors(
    file: Path, stored: Stored, order: Sequence[str], options: ImportOptions
) -> tuple[list[Stage], Embedding | None, tuple[str, ...]]:
    graph = stored.graph
    config = graph if isinstance(graph, Configured) else None
    if config is not None:
        _check_embedding(file, options)
        _check_norms(file, replace(options, recurrent_norm=False))
    told = graph.nonlinearity if isinstance(graph, Program) else stored.nonlinearity
    said = options.nonlinearity or told
    try:
        if config is None:
            tensors, embedding = take_embedding(options.wanted(stored.arrays), options)
            modules = find_modules(tensors, options)
            if isinstance(graph, Program):
                check_operations(graph, cells=any(map(has_normed_cell, modules)))
            modules = [with_nonlinearity(module, said) for module in modules]
        else:
            modules, embedding = configured(config, stored.arrays, options)
        if options.recurrent_norm:
            modules = with_recurrent_norm(modules)
        if order:
            modules = named_order(modules, order)
        elif config is not None:
            modules = chain(modules, ordered=stored.ordered, told=True)
        else:
            modules = _chained(modules, ordered=stored.ordered)
        if isinstance(graph, Program):
            modules = with_bare_norms(modules, graph.calls)
            modules = with_epsilons_in_order(modules, graph.epsilons)
        modules = with_epsilon_of_all(modules, options.norm_epsilon)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    stages = settled(modules, config.backwards if config else ())
    notes = norm_notes(modules, epsilon=options.norm_epsilon, order_said=bool(order))
    return stages, embedding, () if graph is not None else tuple(notes)
