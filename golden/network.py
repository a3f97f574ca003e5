# SPDX-License-Identifier: Apache-2.0
"""The quantized network: everything that golden runs and that the hardware is compiled from.

Numbers are as docs/arithmetic.md defines them. On disk it is one safetensors file, written by
`deltaloom quantize`; tensors are named `layers.N.bias`, `layers.N.vectors.NAME` and
`layers.N.paths.K.{weights,mult,shift}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path as FilePath

import numpy as np

from . import storage
from .arithmetic import WIDTHS, Ints, code_range, rshr, sat, sat16
from .cells import CELLS, Q3_12, Cell, Numbers
from .checks import (
    check,
    check_codes,
    check_range,
    check_scale,
    check_shape,
    check_width,
    stored_integers,
    stored_texts,
)
from .delta import DELTA_MODES, EXACT
from .errors import UserError

KIND = "quantized network"
BIAS_BITS = 20
MULT_BITS = 16
MAX_SHIFT = 40
MAX_VECTOR_SHIFT = 18
MAX_EXPONENT = 12
"""Of the int16 formats Q(e).(15-e) of inputs and states."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantizer:
    """int16 state or input -> activation code: sat(rshr(v * mult, shift) + zero_point, bits).

    scale: the real value of one code (for reports; the integers above are what counts).
    """

    bits: int
    mult: int
    shift: int
    zero_point: int = 0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_width("activation bits", self.bits, WIDTHS)
        check_range("quantizer mult", self.mult, 0, 32767)
        check_range("quantizer shift", self.shift, 0, MAX_SHIFT)
        check_range("zero point", self.zero_point, *code_range(self.bits))
        check_scale("quantizer scale", self.scale)

    def __call__(self, values: Ints) -> Ints:
        return sat(rshr(values * self.mult, self.shift) + self.zero_point, self.bits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """One quantized matrix-vector product.

    source: what it reads: "x" (the layer's input), "h" (the layer's own previous output) or "rh"
        (what the cell makes of that in the middle of a step, in the format of h).
    gates: the cell's gates that it feeds.
    weights: [gates, units, columns] codes of `weight_bits` bits.
    mult: [gates, units] int16; shift: [gates]: sums become rshr(M * mult, shift).
    threshold: an element is sent iff |code - reference| > threshold, in codes; 0 is lossless.
    weight_scale: [gates, units], the real value of one weight code (for reports).
    """

    source: str
    gates: tuple[str, ...]
    weights: Ints
    weight_bits: int
    quantizer: Quantizer
    mult: Ints
    shift: Ints
    threshold: int = 0
    weight_scale: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))

    def __post_init__(self) -> None:
        check_width("weight bits", self.weight_bits, WIDTHS)
        check_shape("weights", self.weights, (len(self.gates), None, None))
        check_codes("weights", self.weights, self.weight_bits)
        check_codes("mult", self.mult, MULT_BITS)
        check_shape("mult", self.mult, (len(self.gates), self.units))
        check_shape("shift", self.shift, (len(self.gates),))
        for shift in self.shift:
            check_range("shift", int(shift), 0, MAX_SHIFT)
        check_range("threshold", self.threshold, 0, (1 << self.quantizer.bits) - 1)
        if self.weight_scale.shape != (1, 1):
            check_shape("weight_scale", self.weight_scale, (len(self.gates), self.units))
        for scale in (self.weight_scale.min(), self.weight_scale.max()):  # nan where one is nan
            check_scale("weight_scale", float(scale))

    @property
    def units(self) -> int:
        return int(self.weights.shape[1])

    @property
    def columns(self) -> int:
        return int(self.weights.shape[2])

    @property
    def rows(self) -> int:
        """Rows of the matrix: gates times units."""
        return len(self.gates) * self.units

    @property
    def matrix(self) -> Ints:
        """The weights as [rows, columns], gate by gate."""
        return self.weights.reshape(self.rows, self.columns)

    @property
    def bound(self) -> int:
        """No accumulator of this path ever exceeds this in magnitude (contract: accumulators)."""
        largest = int(np.abs(self.matrix).sum(axis=1).max(initial=0))
        low, high = code_range(self.quantizer.bits)
        zero = self.quantizer.zero_point
        return largest * max(high - zero, zero - low)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """Paths, a cell and its numbers.

    paths: a source may have several, which feed different gates.
    bias: [cell gates, units], int20 in the format of the pre-activations.
    c_exponent, h_exponent: state formats Q(e).(15-e); the same where the cell says so.
    vectors: the cell's, by name, [units] int16 codes. vector_shift: rshr(v * c, it) is in Q3.12.
    skip_mult, skip_shift: of a cell that reads the input: sat16(rshr(x * mult, shift)) is in the
        format of h.
    """

    name: str
    kind: str
    paths: tuple[Path, ...]
    bias: Ints
    c_exponent: int = 0
    h_exponent: int = 0
    vectors: Mapping[str, Ints] = field(default_factory=dict)
    vector_shift: int = 0
    skip_mult: int = 0
    skip_shift: int = 0

    def __post_init__(self) -> None:
        check("cell", self.kind, self.kind in CELLS, f"one of {', '.join(CELLS)}")
        check_codes("bias", self.bias, BIAS_BITS)
        check_shape("bias", self.bias, (len(self.cell.gates), None))
        for what, exponent in (("c", self.c_exponent), ("h", self.h_exponent)):
            check_range(f"{what} exponent", exponent, 0, MAX_EXPONENT)
        if self.cell.c_like_h:
            rule = f"the c exponent of {self.kind}, {self.c_exponent}"
            check("h exponent", self.h_exponent, self.h_exponent == self.c_exponent, rule)
        self._check_paths()
        self._check_vectors()
        if self.cell.reads_input:
            rule = f"{self.units} like the units, for {self.kind}"
            check("inputs", self.inputs, self.inputs == self.units, rule)
            check_range("skip mult", self.skip_mult, *code_range(MULT_BITS))
        else:
            check("skip mult", self.skip_mult, self.skip_mult == 0, f"0 for {self.kind}")
        check_range("skip shift", self.skip_shift, 0, MAX_SHIFT)

    def _check_paths(self) -> None:
        feeds, fed = self.cell.feeds, set()
        for path in self.paths:
            check("source", path.source, path.source in feeds, f"{self.cell.sources}")
            check_shape(f"{path.source} weights", path.weights, (None, self.units, None))
            allowed = feeds[path.source]
            rule = f"gates that {path.source} feeds in {self.kind}: {allowed}"
            check("gates", path.gates, {*path.gates} <= {*allowed}, rule)
            for gate in path.gates:
                place = (path.source, gate)
                check("gates", path.gates, place not in fed, f"without {gate!r}, fed twice")
                fed.add(place)
        sources = tuple(path.source for path in self.paths)
        check("sources", sources, "x" in sources, "one with a path from x")

    def _check_vectors(self) -> None:
        names, wanted = tuple(self.vectors), self.cell.vectors
        check("vectors", names, {*names} == {*wanted}, f"those of {self.kind}: {wanted}")
        for name, vector in self.vectors.items():
            check_shape(name, vector, (self.units,))
            check_codes(name, vector, 16)
        check_range("vector shift", self.vector_shift, 0, MAX_VECTOR_SHIFT)

    @property
    def cell(self) -> Cell:
        return CELLS[self.kind]

    @property
    def units(self) -> int:
        return int(self.bias.shape[1])

    @property
    def inputs(self) -> int:
        return next(p.columns for p in self.paths if p.source == "x")

    @property
    def gate_exponents(self) -> tuple[int, ...]:
        """Exponent of each gate's pre-activations, which are int16, in the order of the gates."""
        exponents = {"gate": Q3_12, "c": self.c_exponent, "h": self.h_exponent}
        return tuple(exponents[format] for format in self.cell.formats.values())

    def numbers(self, x: Ints) -> Numbers:
        """What the cell's step needs, with the layer's input words x [.., inputs]."""
        skip = None
        if self.cell.reads_input:
            skip = sat16(rshr(x * self.skip_mult, self.skip_shift))
        return Numbers(
            c_exponent=self.c_exponent,
            vectors=self.vectors,
            vector_shift=self.vector_shift,
            skip=skip,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A stack of quantized layers. x_exponent: input frames are int16 Q(e).(15-e).

    delta_mode: what an element that fires sends, see `golden.delta`.
    """

    layers: tuple[Layer, ...]
    x_exponent: int
    labels: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)
    delta_mode: str = EXACT

    def __post_init__(self) -> None:
        check("layers", len(self.layers), len(self.layers) > 0, "at least one layer")
        check_range("x exponent", self.x_exponent, 0, MAX_EXPONENT)
        modes = f"one of {', '.join(DELTA_MODES)}"
        check("delta mode", self.delta_mode, self.delta_mode in DELTA_MODES, modes)
        width = self.inputs
        for layer in self.layers:
            for path in layer.paths:
                wanted = width if path.source == "x" else layer.units
                check_shape(
                    f"{layer.name}.{path.source} weights", path.weights, (None, None, wanted)
                )
            width = layer.units
        count = len(self.labels)
        check("labels", count, count in (0, self.outputs), f"0 or {self.outputs}, one per output")

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].units

    @property
    def y_exponent(self) -> int:
        """Exponent of the output words' int16 format."""
        return self.layers[-1].h_exponent

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Every path with its name, "LAYER.SOURCE"; a second path of a source adds its gates."""
        for layer in self.layers:
            for n, path in enumerate(layer.paths):
                yield path_name(layer, n), path

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense step."""
        return sum(path.weights.size for _, path in self.paths())

    @property
    def weight_bits(self) -> int:
        """Bits that all weights take together."""
        return sum(path.weights.size * path.weight_bits for _, path in self.paths())

    def with_thresholds(self, thresholds: dict[str, int]) -> "Network":
        """The same network with other delta thresholds, by path name.

        Raises UserError for a name that no path has, or a threshold out of range.
        """
        names = [name for name, _ in self.paths()]
        for name in thresholds:
            if name not in names:
                raise UserError(f"threshold of {name!r}: no such path; paths: {', '.join(names)}")
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

    def save(self, file: FilePath) -> None:
        """Write the network to one safetensors file."""
        tensors: dict[str, np.ndarray] = {}
        layers = []
        for n, layer in enumerate(self.layers):
            tensors[f"layers.{n}.bias"] = layer.bias.astype(np.int32)
            for name, vector in layer.vectors.items():
                tensors[f"layers.{n}.vectors.{name}"] = vector.astype(np.int16)
            paths = []
            for k, path in enumerate(layer.paths):
                at = f"layers.{n}.paths.{k}"
                narrow = np.int8 if path.weight_bits <= 8 else np.int16
                tensors[f"{at}.weights"] = path.weights.astype(narrow)
                tensors[f"{at}.mult"] = path.mult.astype(np.int16)
                tensors[f"{at}.shift"] = path.shift.astype(np.int8)
                tensors[f"{at}.weight_scale"] = path.weight_scale.astype(np.float64)
                paths.append(
                    {
                        "source": path.source,
                        "gates": list(path.gates),
                        "weight_bits": path.weight_bits,
                        "threshold": path.threshold,
                        "quantizer": asdict(path.quantizer),
                    }
                )
            layers.append(
                {
                    "name": layer.name,
                    "cell": layer.kind,
                    "c_exponent": layer.c_exponent,
                    "h_exponent": layer.h_exponent,
                    "vectors": list(layer.vectors),
                    "vector_shift": layer.vector_shift,
                    "skip_mult": layer.skip_mult,
                    "skip_shift": layer.skip_shift,
                    "paths": paths,
                }
            )
        header = {
            "layers": layers,
            "x_exponent": self.x_exponent,
            "labels": list(self.labels),
            "origin": self.origin,
            "delta_mode": self.delta_mode,
        }
        storage.save(file, KIND, tensors, header)

    @classmethod
    def load(cls, file: FilePath) -> "Network":
        """Read a network that `save` wrote. Raises UserError where the file is anything else."""
        tensors, header = storage.load(file, KIND, made_by="deltaloom quantize")
        with storage.reading(file):
            layers = tuple(
                _read_layer(entry, tensors, f"layers.{n}")
                for n, entry in enumerate(header["layers"])
            )
            return cls(
                layers=layers,
                x_exponent=header["x_exponent"],
                labels=stored_texts("labels", header["labels"]),
                origin=header["origin"],
                delta_mode=header.get("delta_mode", EXACT),  # older files have none
            )


def path_name(layer: Layer, n: int) -> str:
    """Name of the layer's nth path: "LAYER.SOURCE", with ".GATES" where a source has two paths."""
    path = layer.paths[n]
    alone = sum(p.source == path.source for p in layer.paths) == 1
    return f"{layer.name}.{path.source}" + ("" if alone else "." + "".join(path.gates))


def _read_layer(entry: dict, tensors: dict[str, np.ndarray], at: str) -> Layer:
    names = entry.get("vectors", ())  # files that older versions wrote have no vectors and no skip
    return Layer(
        name=entry["name"],
        kind=entry["cell"],
        paths=tuple(
            _read_path(p, tensors, f"{at}.paths.{k}") for k, p in enumerate(entry["paths"])
        ),
        bias=stored_integers(tensors, f"{at}.bias"),
        c_exponent=entry["c_exponent"],
        h_exponent=entry["h_exponent"],
        vectors={name: stored_integers(tensors, f"{at}.vectors.{name}") for name in names},
        vector_shift=entry.get("vector_shift", 0),
        skip_mult=entry.get("skip_mult", 0),
        skip_shift=entry.get("skip_shift", 0),
    )


def _read_path(entry: dict, tensors: dict[str, np.ndarray], at: str) -> Path:
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
    )
