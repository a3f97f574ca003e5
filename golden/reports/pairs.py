# SPDX-License-Identifier: Apache-2.0
"""A network of either kind and the float original that it was quantized from, path by path."""

from ..data import Dataset
from ..errors import UserError
from ..evaluation.networks import AnyFloat, AnyNetwork
from ..integer_lstm.float_network import FloatNetwork, from_model
from ..integer_lstm.network import IntegerNetwork
from ..models.float_model import FloatModel
from ..models.network import Network
from ..quantization.calibration import observe
from ..quantization.norm_ranges import balanced_as
from .lstm_paths import coded_lstm_paths, same_layers
from .paths import CodedPath, coded_paths

__all__ = ["coded_pair"]


def coded_pair(network: AnyNetwork, model: AnyFloat, data: Dataset) -> tuple[CodedPath, ...]:
    """The network's paths with the values that the model has on the data; none where the layers
    cannot be compared one by one.
    """
    if isinstance(network, IntegerNetwork):
        floats = _floats(model)
        if floats is None or not same_layers(network, floats):
            return ()
        return tuple(coded_lstm_paths(network, floats, data))
    if not isinstance(model, FloatModel) or not _alike(network, model):
        return ()
    model = balanced_as(model, network)
    return tuple(coded_paths(network, model, observe(model, data)))


def _floats(model: AnyFloat) -> FloatNetwork | None:
    """The model as integer-only LSTMs are made of it; None where they have no such layers."""
    if isinstance(model, FloatNetwork):
        return model
    try:
        return from_model(model)
    except UserError:
        return None


def _alike(network: Network, model: FloatModel) -> bool:
    shapes = [
        [(layer.kind, layer.units, layer.inputs) for layer in each.layers]
        for each in (network, model)
    ]
    return shapes[0] == shapes[1]
