# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in: finds the layers of a trained network among named tensors.

A file holds tensors, not a graph (ONNX, see `onnx`, is the exception): which layers there
are follows from names and shapes (`tensors.layouts`), and their order from the widths. What stands
between layers (dropout, an activation after a linear layer) is not in the file and is taken to be
nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..models.float_model import FloatModel
from .candidate import with_candidate_scale
from .chain import chain, named_order, settled
from .modules import find_modules
from .onnx.graph import SUFFIX as ONNX_SUFFIX
from .onnx.graph import read_stages as read_onnx_stages
from .options import NOTHING_SAID, ImportOptions
from .tensors.directions import Stage, link
from .tensors.files import read_tensors
from .tensors.sru import without_input_skip

__all__ = ["ImportOptions", "import_checkpoint"]


def import_checkpoint(
    file: Path,
    labels: Sequence[str] = (),
    order: Sequence[str] = (),
    options: ImportOptions = NOTHING_SAID,
) -> FloatModel:
    """The float model in a checkpoint: PyTorch, safetensors, npz, Keras .h5 or .onnx.

    labels: names of the outputs, or none.
    order: the modules' names from input to output, needed only where shapes fit several orders.
    Raises UserError, which names the tensor, its shape and what was expected, for anything that
    is not wholly understood.
    """
    if file.suffix.lower() == ONNX_SUFFIX:
        if order:
            raise UserError(f"{file}: order: a graph tells it; leave --order out")
        stages = read_onnx_stages(file)
        if options.bidirectional:
            raise UserError(f"{file}: bidirectional: a graph tells it; leave --bidirectional out")
    else:
        stages = _stages_of_tensors(file, order, options)
    try:
        stages = with_candidate_scale(stages, options.candidate_scale)
        if options.without_skip and not any(s.chains[0][-1].kind == "sru0" for s in stages):
            raise UserError("without skip: there is no SRU layer; leave --without-skip out")
        stages[0] = stages[0].change(without_input_skip)
        layers, puts_out = link(stages)
        if labels and len(labels) != stages[-1].outputs:
            raise UserError(
                f"{len(labels)} labels for the {stages[-1].outputs} outputs of "
                f"{stages[-1].chains[0][-1].name}; give one label per output"
            )
        return FloatModel(layers=layers, labels=tuple(labels), puts_out=puts_out, origin=file.name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _stages_of_tensors(file: Path, order: Sequence[str], options: ImportOptions) -> list[Stage]:
    stored = read_tensors(file)
    try:
        modules = find_modules(stored.arrays, options)
        modules = named_order(modules, order) if order else chain(modules, stored.ordered)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return settled(modules, stored.backwards)
