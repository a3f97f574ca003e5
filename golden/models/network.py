# SPDX-License-Identifier: Apache-2.0
"""The quantized network: everything that golden runs and that the hardware is compiled from.

Numbers are as docs/arithmetic.md defines them. On disk it is one safetensors file, written by
`deltaloom quantize`; tensors are named `layers.N.bias`, `layers.N.vectors.NAME`,
`layers.N.initial.STATE` and `layers.N.paths.K.{weights,mult,shift}`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..arithmetic import Reals
from ..checks import check, check_input_scale, check_range, stored_integers, stored_texts
from ..delta import DELTA_MODES, EXACT
from ..errors import UserError
from ..storage import AnyPath, reading
from . import files, graph
from .files import StoredLayer
from .layers import (
    BIAS_BITS,
    MAX_EXPONENT,
    MAX_SHIFT,
    MAX_VECTOR_SHIFT,
    MULT_BITS,
    Layer,
    Path,
    Quantizer,
    path_name,
)

__all__ = [
    "BIAS_BITS",
    "KIND",
    "MAX_EXPONENT",
    "MAX_SHIFT",
    "MAX_VECTOR_SHIFT",
    "MULT_BITS",
    "Layer",
    "Network",
    "Path",
    "Quantizer",
    "path_name",
]

KIND = "quantized network"
MOST_TOKENS = 1 << 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Quantized layers, in an order in which they can run.

    Members
    -------
    layers: see `Layer`.
    x_exponent: input frames are int16 Q(e).(15-e); 0 where they are tokens, which are integers.
    labels: names of the outputs, or empty.
    puts_out: names of the layers whose outputs, one after the other, are the network's; none is the
        last. Like layers that are read together, these share one h exponent.
    origin: the checkpoint's name, for reports; it does not count for equality.
    delta_mode: what an element that fires sends, see `golden.delta`.
    input_scale: [inputs] real, what each feature is divided by before it becomes a word; None: 1.

    Raises UserError where a layer does not take what those that it reads put out, or a number has
    no place in its format.
    """

    layers: tuple[Layer, ...]
    x_exponent: int
    labels: tuple[str, ...] = ()
    puts_out: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)
    delta_mode: str = EXACT
    input_scale: Reals | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check("layers", len(self.layers), len(self.layers) > 0, "at least one layer")
        check_range("x exponent", self.x_exponent, 0, MAX_EXPONENT)
        fits = not self.tokens or self.inputs <= MOST_TOKENS
        check("tokens", self.inputs, fits, f"at most {MOST_TOKENS}, which int16 words can name")
        exponents = (0,) if self.tokens else range(MAX_EXPONENT + 1)
        check("x exponent", self.x_exponent, self.x_exponent in exponents, "0 for tokens")
        modes = f"one of {', '.join(DELTA_MODES)}"
        check("delta mode", self.delta_mode, self.delta_mode in DELTA_MODES, modes)
        graph.check_graph(self.layers, self.puts_out)
        for group in graph.together(self.layers, self.puts_out):
            self._check_together(group)
        count = len(self.labels)
        check_input_scale(self.input_scale, self.inputs, tokens=self.tokens)
        check("labels", count, count in (0, self.outputs), f"0 or {self.outputs}, one per output")

    @property
    def arithmetic(self) -> str:
        """The contract of docs/arithmetic.md, as the hardware names it."""
        return "fixed"

    @property
    def inputs(self) -> int:
        """Features of a frame; of tokens, how many there are."""
        return self.layers[0].inputs

    @property
    def tokens(self) -> bool:
        """Whether a frame is a token: an index 0..inputs-1."""
        return self.layers[0].tokens

    @property
    def frame_words(self) -> int:
        """int16 words of a frame: one each feature, or the token."""
        return 1 if self.tokens else self.inputs

    @property
    def outputs(self) -> int:
        return graph.width_of(self.layers, graph.outputs_of(self.layers, self.puts_out))

    def words_of(self, indices: Sequence[int]) -> int:
        """int16 words that these layers, FRAMES among them, put out together."""
        return sum(self.frame_words if n == graph.FRAMES else self.layers[n].units for n in indices)

    @property
    def y_exponent(self) -> int:
        """Exponent of the output words' int16 format."""
        return self._exponent(graph.outputs_of(self.layers, self.puts_out)[0])

    def source_exponent(self, n: int, source: str) -> int:
        """Exponent of the int16 words that layer n's paths from this source read."""
        index = graph.inputs_of(self.layers, n)[0] if source == "x" else n
        return self._exponent(graph.h_source(self.layers, n) if source == "h" else index)

    def _exponent(self, index: int) -> int:
        return self.x_exponent if index == graph.FRAMES else self.layers[index].h_exponent

    def _check_together(self, group: tuple[int, ...]) -> None:
        for index in group[1:]:
            layer, wanted = self.layers[index], self._exponent(group[0])
            first = "frames" if group[0] == graph.FRAMES else self.layers[group[0]].name
            rule = f"{wanted} as for {first}, which is read or put out together with it"
            check(f"{layer.name} h exponent", layer.h_exponent, layer.h_exponent == wanted, rule)

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Every path with its name, "LAYER.SOURCE"; a second path of a source adds its gates."""
        for layer in self.layers:
            for n, path in enumerate(layer.paths):
                yield path_name(layer, n), path

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense step: of tokens, of two columns."""
        return sum(path.rows * path.most_events for _, path in self.paths())

    @property
    def weight_bits(self) -> int:
        """Bits that all weights take together; those that layers share count once."""
        return sum(
            path.weights.size * path.weight_bits
            for n, layer in enumerate(self.layers)
            if graph.shared_with(self.layers, n) is None
            for path in layer.paths
        )

    def with_thresholds(self, thresholds: dict[str, int]) -> "Network":
        """The same network with other delta thresholds, by path name.

        Raises UserError for a name that no path has, or a threshold out of range.
        """
        self.check_thresholds(thresholds)
        return replace(
            self,
            layers=tuple(
                replace(
                    layer,
                    paths=tuple(
                        replace(path, threshold=thresholds.get(path_name(layer, n), path.threshold))
                        for n, path in enumerate(layer.paths)
                    ),
                )
                for layer in self.layers
            ),
        )

    def check_thresholds(self, thresholds: Mapping[str, int]) -> None:
        """Raise UserError for a name that no path has, or a threshold out of range."""
        paths = dict(self.paths())
        for name, threshold in thresholds.items():
            if name not in paths:
                raise UserError(f"threshold of {name!r}: no such path; paths: {', '.join(paths)}")
            paths[name].check_threshold(threshold)

    def save(self, file: AnyPath) -> None:
        """Write the network to one safetensors file."""
        files.save(file, KIND, self, _pack, x_exponent=self.x_exponent, delta_mode=self.delta_mode)

    @classmethod
    def load(cls, file: AnyPath) -> "Network":
        """Read a network that `save` wrote. Raises UserError where the file is anything else."""
        fields, header = files.load(file, KIND, "deltaloom quantize", _unpack)
        with reading(file):
            return cls(
                **fields,
                x_exponent=header["x_exponent"],
                delta_mode=header.get("delta_mode", EXACT),  # older files have none
            )


def _pack(layer: Layer) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file's header says of a layer, and its arrays in the types that a file holds."""
    arrays = {name: array.astype(np.int16) for name, array in layer.arrays.items()}
    arrays |= {f"initial.{name}": state.astype(np.int16) for name, state in layer.initial.items()}
    arrays["bias"] = layer.bias.astype(np.int32)
    for k, path in enumerate(layer.paths):
        narrow = np.int8 if path.weight_bits <= 8 else np.int16
        arrays[f"paths.{k}.weights"] = path.weights.astype(narrow)
        arrays[f"paths.{k}.shift"] = path.shift.astype(np.int8)
        arrays[f"paths.{k}.weight_scale"] = path.weight_scale.astype(np.float64)
    entry = {
        "c_exponent": layer.c_exponent,
        "h_exponent": layer.h_exponent,
        "vector_shift": layer.vector_shift,
        "skip_mult": layer.skip_mult,
        "skip_shift": layer.skip_shift,
        "paths": [
            {
                "source": path.source,
                "gates": list(path.gates),
                "weight_bits": path.weight_bits,
                "threshold": path.threshold,
                "quantizer": asdict(path.quantizer),
            }
            | ({"tokens": True} if path.tokens else {})
            for path in layer.paths
        ],
    }
    return entry, arrays


def _unpack(stored: StoredLayer) -> Layer:
    """A layer of a file."""
    entry, tensors = stored.entry, stored.tensors
    return Layer(
        **stored.place,
        paths=tuple(
            _read_path(path, tensors, stored.at(f"paths.{k}"))
            for k, path in enumerate(entry["paths"])
        ),
        bias=stored_integers(tensors, stored.at("bias")),
        c_exponent=entry["c_exponent"],
        h_exponent=entry["h_exponent"],
        vectors={name: stored_integers(tensors, at) for name, at in stored.vectors},
        vector_shift=entry.get("vector_shift", 0),
        skip_mult=entry.get("skip_mult", 0),
        skip_shift=entry.get("skip_shift", 0),
        initial={name: stored_integers(tensors, at) for name, at in stored.initial},
    )


def _read_path(entry: dict, tensors: Mapping[str, np.ndarray], at: str) -> Path:
    return Path(
        source=entry["source"],
        gates=stored_texts("gates", entry["gates"]),
        weights=stored_integers(tensors, f"{at}.weights"),
        weight_bits=entry["weight_bits"],
        quantizer=Quantizer(**entry["quantizer"]),
        mult=stored_integers(tensors, f"{at}.mult"),
        shift=stored_integers(tensors, f"{at}.shift"),
        threshold=entry["threshold"],
        weight_scale=tensors[f"{at}.weight_scale"],
        tokens=entry.get("tokens", False),
    )
