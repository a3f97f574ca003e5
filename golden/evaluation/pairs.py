# SPDX-License-Identifier: Apache-2.0
"""Whether a network is of a float model: of as many inputs and outputs, and of the same layers."""

from itertools import zip_longest
from typing import Any

from ..errors import UserError
from ..integer_lstm.float_network import floats_of
from ..integer_lstm.shape import LstmShape
from ..models import layers
from ..models.float_model import FloatLayer, FloatModel
from ..models.network import Network
from .networks import AnyFloat, AnyNetwork

__all__ = ["check_pair", "comparable", "pair_warnings"]


def check_pair(network: AnyNetwork | AnyFloat, model: AnyFloat) -> None:
    """Raise UserError unless the network may be of this model: as many inputs and outputs."""
    if (model.inputs, model.outputs) != (network.inputs, network.outputs):
        raise UserError(
            f"model: {model.inputs} inputs and {model.outputs} outputs, the network has "
            f"{network.inputs} and {network.outputs}; give the model it was quantized from"
        )


def comparable(network: AnyNetwork, model: AnyFloat) -> AnyFloat | None:
    """The model as networks of this kind are made of it; None where its layers are not the
    network's, one by one.
    """
    found = _original(network, model)
    alike = found is not None and list(map(_shape, network.layers)) == list(
        map(_shape, found.layers)
    )
    return found if alike else None


def pair_warnings(network: AnyNetwork, model: AnyFloat) -> tuple[str, ...]:
    """What tells that the network is of another model of as many inputs and outputs, in a line
    that names the layers; none where the layers are alike.
    """
    if comparable(network, model) is not None:
        return ()
    found = _original(network, model) or model
    differ = [
        f"{_words(own)}, the model's {_words(other)}"
        for own, other in zip_longest(network.layers, found.layers)
        if own is None or other is None or _shape(own) != _shape(other)
    ]
    line = (
        f"the layers are not the model's: {'; '.join(differ)}; give the model that the network "
        "was quantized from"
    )
    return (line,)


def _original(network: AnyNetwork, model: AnyFloat) -> AnyFloat | None:
    """The model as networks of this kind are made of it; None where there are none of it."""
    if isinstance(network, Network):
        return model if isinstance(model, FloatModel) else None
    try:
        return floats_of(model)
    except UserError:
        return None


def _shape(layer: Any) -> tuple[object, ...]:
    """What a layer of a network has from its model's."""
    if isinstance(layer, layers.Layer | FloatLayer):
        return layer.kind, layer.backward, layer.units, layer.inputs
    return layer.weights.shape, layer.outputs


def _words(layer: Any) -> str:
    """A layer's name and shape; of None: there is none."""
    if layer is None:
        return "none"
    if isinstance(layer, layers.Layer | FloatLayer):
        way = "backward " * layer.backward
        return f"{layer.name} ({way}{layer.kind}, {layer.inputs} inputs, {layer.units} units)"
    kind = "linear"
    if isinstance(layer, LstmShape):
        kind = f"lstm, {layer.variant}, {layer.cells} cells"
    return f"{layer.name} ({kind}, {layer.inputs} inputs, {layer.outputs} outputs)"
