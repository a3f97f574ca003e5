# SPDX-License-Identifier: Apache-2.0
"""A .tflite file as a network: of integers where it is int8, else of floats."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ... import storage
from ...errors import UserError
from ...integer_lstm.float_layers import FloatAny, FloatLinear, FloatLstm
from ...integer_lstm.float_network import FloatNetwork, to_model
from ...integer_lstm.layers import IntegerLinear, IntegerLstm, Layer
from ...integer_lstm.network import IntegerNetwork
from ...models.float_model import FloatModel
from ...tflite import schema
from ...tflite.operators import DENSE, LSTM
from ..limits import Budget
from ..options import NOTHING_SAID, ImportOptions
from .chain import Chain, find_chain
from .check import check
from .layers import notes_of, read_layer

__all__ = ["SUFFIX", "AnyNetwork", "ImportedTflite", "read_tflite"]

SUFFIX = ".tflite"
AnyNetwork = FloatModel | FloatNetwork | IntegerNetwork


@dataclass(frozen=True)
class ImportedTflite:
    """A network, and what the file says besides.

    network: an `IntegerNetwork` of an int8 file; of a float file a `FloatModel` where the cells of
    `golden.cells` have all that its layers have, else a `FloatNetwork`.
    where: each operator, "before", "network" or "after". notes: sentences on what was left.
    """

    network: AnyNetwork
    where: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def read_tflite(
    file: Path, labels: Sequence[str] = (), options: ImportOptions = NOTHING_SAID
) -> ImportedTflite:
    """The network in a .tflite file.

    labels: names of the outputs, or none. options: its `most_bytes` and `check` count.
    Raises UserError, which names the operator and the tensor, for what is not wholly understood.
    """
    storage.check_file(file)
    budget = Budget(options.most_bytes)
    try:
        _check_options(options)
        budget.take("the file", file.stat().st_size)
        graph = schema.read(file.read_bytes())
        chain = find_chain(graph)
        layers, notes = _layers(chain, budget)
        network = _network(layers, tuple(labels), file.name)
        mended = bool(notes)
        if chain.last_only:
            notes.append("the file gives its last frame's outputs, the network every frame's")
        if chain.cut:
            notes.append("cut off: " + ", ".join(chain.cut))
        checked = "not checked against LiteRT (--no-check)"
        if options.check and mended:
            checked = "not checked against LiteRT, which is wrong on this file"
        elif options.check:
            checked = check(file, chain, network)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    found: AnyNetwork = replace(network, notes=(*notes, checked))
    if isinstance(found, FloatNetwork):
        found = to_model(found) or found
    return ImportedTflite(found, chain.where, (*notes, checked))


def _check_options(options: ImportOptions) -> None:
    given = replace(options, check=True, most_bytes=NOTHING_SAID.most_bytes)
    if given != NOTHING_SAID:
        raise UserError(
            "of the options that choose or tell, a .tflite file takes only --labels; leave the "
            "others out"
        )


def _layers(chain: Chain, budget: Budget) -> tuple[list[Layer | FloatAny], list[str]]:
    layers: list[Layer | FloatAny] = []
    notes: list[str] = []
    counts = {LSTM: 0, DENSE: 0}
    for n in chain.layers:
        code = chain.graph.operators[n].code
        name = f"{'lstm' if code == LSTM else 'linear'}.{counts[code]}"
        counts[code] += 1
        layers.append(read_layer(chain.graph, n, name, budget))
        notes += notes_of(chain.graph, n, name)
    return layers, notes


def _network(
    layers: list[Layer | FloatAny], labels: tuple[str, ...], origin: str
) -> IntegerNetwork | FloatNetwork:
    integers = [x for x in layers if isinstance(x, IntegerLstm | IntegerLinear)]
    floats = [x for x in layers if isinstance(x, FloatLstm | FloatLinear)]
    if integers and floats:
        raise UserError(
            f"{integers[0].name} is of integers and {floats[0].name} of floats; quantize the "
            "whole network, or none of it"
        )
    if integers:
        return IntegerNetwork(
            layers=tuple(integers), labels=labels, origin=origin, calibrated=False
        )
    return FloatNetwork(layers=tuple(floats), labels=labels, origin=origin)
