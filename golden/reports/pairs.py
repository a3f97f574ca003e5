# SPDX-License-Identifier: Apache-2.0
"""A network of either kind and the float original that it was quantized from, path by path."""

from ..data import Dataset
from ..evaluation.networks import AnyFloat, AnyNetwork
from ..evaluation.pairs import comparable
from ..integer_lstm.float_network import FloatNetwork
from ..integer_lstm.network import IntegerNetwork
from ..models.float_model import FloatModel
from ..models.network import Network
from ..quantization.calibration import observe
from ..quantization.norm_ranges import balanced_as
from .lstm_paths import coded_lstm_paths
from .paths import CodedPath, coded_paths

__all__ = ["coded_pair"]


def coded_pair(network: AnyNetwork, model: AnyFloat, data: Dataset) -> tuple[CodedPath, ...]:
    """The network's paths with the values that the model has on the data; none where the layers
    cannot be compared one by one.
    """
    found = comparable(network, model)
    if isinstance(network, IntegerNetwork) and isinstance(found, FloatNetwork):
        return tuple(coded_lstm_paths(network, found, data))
    if isinstance(network, Network) and isinstance(found, FloatModel):
        balanced = balanced_as(found, network)
        return tuple(coded_paths(network, balanced, observe(balanced, data)))
    return ()
