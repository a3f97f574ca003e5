# SPDX-License-Identifier: Apache-2.0
"""Both kinds of networks, and of their float originals, as far as evaluating them goes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy.typing as npt

from .. import storage
from ..arithmetic import Ints, Reals, code_range
from ..cells import State
from ..data import Dataset
from ..engines import engine
from ..engines.float_engine import run_float_batch
from ..errors import UserError
from ..frames import checked_frames
from ..integer_lstm import engine as integer_engine
from ..integer_lstm import float_states
from ..integer_lstm import states as integer_states
from ..integer_lstm.float_engine import run_float_states
from ..integer_lstm.float_network import FloatNetwork
from ..integer_lstm.frame_by_frame import IntegerStepModel
from ..integer_lstm.layers import Path as IntegerPath
from ..integer_lstm.network import IntegerNetwork
from ..models import float_model, layers
from ..models import network as network_file
from ..models.float_model import FloatModel
from ..models.network import Network
from ..models.states import first_codes, first_reals
from ..storage import AnyPath as AnyPlace

AnyNetwork = Network | IntegerNetwork
N = TypeVar("N", bound=AnyNetwork)
AnyFloat = FloatModel | FloatNetwork
AnyPath = layers.Path | IntegerPath


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one sequence: outputs' codes [steps, outputs], and by path the events [steps]."""

    outputs: Ints
    events: Mapping[str, Ints]


def load_network(file: AnyPlace) -> AnyNetwork:
    """A network of either kind from its file. Raises UserError where it is anything else."""
    integer = Path(file).is_file() and storage.kind_of(file) == storage.INTEGER_LSTM
    return IntegerNetwork.load(file) if integer else Network.load(file)


def load_float(file: AnyPlace) -> AnyFloat:
    """A float model of either kind from its file. Raises UserError where it is anything else."""
    network = Path(file).is_file() and storage.kind_of(file) == storage.FLOAT_LSTM
    return FloatNetwork.load(file) if network else FloatModel.load(file)


def check_float(name: str, file: AnyPlace) -> None:
    """Raise UserError where the file of the argument `name` holds a network, no float model."""
    kind = storage.kind_of(file)
    if kind in (network_file.KIND, storage.INTEGER_LSTM):
        raise UserError(
            f"{name}: {file} holds {storage.a(kind)}, a float model is wanted; name the one that "
            "networks are quantized from"
        )


def load_any(file: AnyPlace) -> AnyFloat | AnyNetwork:
    """A float model or a network of either kind from its file.

    Raises UserError where it is anything else.
    """
    kind = storage.kind_of(file)
    if kind in (network_file.KIND, storage.INTEGER_LSTM):
        return load_network(file)
    if kind in (float_model.KIND, storage.FLOAT_LSTM):
        return load_float(file)
    wanted = f"a {float_model.KIND} or a {network_file.KIND} is wanted"
    raise UserError(f"{file}: holds a {kind}, {wanted}; name another file")


def run_settings(
    network: AnyNetwork, data: Dataset, settings: Sequence[Mapping[str, int] | None]
) -> Iterator[list[Outcome]]:
    """The golden model on all sequences at once, with each of these settings.

    settings: as for `engine.run_settings`.
    """
    if isinstance(network, IntegerNetwork):
        codes = [network.x.codes(x) for x in data.features]
        start = integer_states.first_codes(network, data.states, len(data))
        for setting in settings:
            chosen = network.dense() if setting is None else network.with_thresholds(setting)
            result = integer_engine.run(chosen, codes, start)
            yield [
                Outcome(y, {name: counts[n] for name, counts in result.events.items()})
                for n, y in enumerate(result.outputs)
            ]
        return
    words = [engine.quantize_frames(network, x) for x in data.features]
    first = first_codes(network, data.states, len(data))
    for results in engine.run_settings(network, words, settings, first=first):
        yield [Outcome(result.outputs, result.events) for result in results]


def input_words(network: AnyNetwork, features: npt.ArrayLike) -> Ints:
    """Real features [steps, inputs] as the network's words: int16, or int8 codes."""
    if isinstance(network, IntegerNetwork):
        return network.x.codes(checked_frames(features, network.inputs, tokens=False))
    return engine.quantize_frames(network, features)


def run_words(
    network: AnyNetwork, sequences: Sequence[Ints], *, terms: bool = False
) -> list[engine.Result]:
    """What the golden model does with each sequence of words [steps, inputs].

    terms: as for `engine.run`; events of integer-only LSTMs have none.
    """
    if not isinstance(network, IntegerNetwork):
        return engine.run(network, sequences, terms=terms)
    result = integer_engine.run(network, sequences)
    return [
        engine.Result(
            outputs,
            {name: counts[n] for name, counts in result.events.items()},
            tuple(State(state.c[n], state.h[n]) for state in result.states),
        )
        for n, outputs in enumerate(result.outputs)
    ]


def needs_sequences(network: AnyNetwork) -> bool:
    """Whether frames cannot be run one by one, since layers are backward."""
    return isinstance(network, Network) and any(layer.backward for layer in network.layers)


def paths_by_layer(network: AnyNetwork | FloatModel) -> list[tuple[str, ...]]:
    """Names of the paths of each layer; of a float model, those that `quantize` leaves whole."""
    if isinstance(network, FloatModel):
        return [
            tuple(f"{layer.name}.{layer.at(path)}" for path in layer.paths)
            for layer in network.layers
        ]
    if isinstance(network, IntegerNetwork):
        return [
            tuple(f"{layer.name}.{source}" for source in layer.sources) for layer in network.layers
        ]
    return [
        tuple(network_file.path_name(layer, n) for n in range(len(layer.paths)))
        for layer in network.layers
    ]


def thresholds_of(network: AnyNetwork) -> dict[str, int]:
    """Of each path, by its name."""
    return {name: path.threshold for name, path in network.paths()}


def step_model(network: AnyNetwork) -> engine.StepModel | IntegerStepModel:
    """What runs the network's frames of words one by one."""
    if isinstance(network, IntegerNetwork):
        return IntegerStepModel(network)
    return engine.StepModel(network)


def word_range(network: AnyNetwork) -> tuple[int, int]:
    """The least and the most that an input word may be."""
    return code_range(8 if isinstance(network, IntegerNetwork) else 16)


def real_outputs(network: AnyNetwork, outputs: Ints) -> Reals:
    """Outputs' codes as real values."""
    if isinstance(network, IntegerNetwork):
        return network.y.real(outputs)
    return engine.real_outputs(network, outputs)


def run_floats(model: AnyFloat, data: Dataset) -> list[Reals]:
    """The float model's outputs [steps, outputs] of each sequence, all at once."""
    if isinstance(model, FloatNetwork):
        first = float_states.first_reals(model, data.states, len(data))
        return run_float_states(model, data.features, first)[0]
    return run_float_batch(model, data.features, first=first_reals(model, data.states, len(data)))


def activation_bits(path: AnyPath) -> int:
    """Bits of a path's activation codes."""
    return path.quantizer.bits if isinstance(path, layers.Path) else path.activation_bits


def bits_text(path: AnyPath) -> str:
    """Bits of a path's weights and activations, W/A; tokens have none of the latter."""
    tokens = isinstance(path, layers.Path) and path.tokens
    return f"{path.weight_bits}/{'-' if tokens else activation_bits(path)}"
