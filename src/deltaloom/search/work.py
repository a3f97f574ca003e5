# SPDX-License-Identifier: Apache-2.0
"""What a candidate asks of hardware, and what its evaluation found: what costs are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..golden.arithmetic import Ints
from ..golden.evaluation.evaluate import VECTOR_BITS, size_bits
from ..golden.evaluation.networks import AnyNetwork
from ..golden.integer_lstm.network import IntegerNetwork
from ..golden.models import graph
from ..golden.models.network import path_name
from ..golden.quantization.scheme import Bits
from .genes import Choice

Events = Mapping[str, Ints]
"""By path name, the fired deltas of each step of a sequence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One matrix-vector product.

    Members
    -------
    path: the model's path that it is of.
    macs: multiply-accumulates of a dense step.
    stored: weights that are kept; 0 where another product's are used.
    weight_bits, activation_bits: of its codes.
    """

    path: str
    macs: int
    weight_bits: int
    activation_bits: int
    stored: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A step's work by the bits alone, no matter what fires.

    Members
    -------
    products: all of them.
    elementwise: multiplications beside the products.
    vector_bits: of all parameters but the products' weights.
    """

    products: tuple[Product, ...]
    elementwise: int = 0
    vector_bits: int = 0

    @classmethod
    def of(cls, network: AnyNetwork, paths: Sequence[str]) -> "Work":
        """The work of a network; paths: names of the model's paths that it was made of."""
        if isinstance(network, IntegerNetwork):
            return cls._of_integers(network)
        products = []
        for at, layer in enumerate(network.layers):
            own = graph.shared_with(network.layers, at) is None
            for n, path in enumerate(layer.paths):
                name = path_name(layer, n)
                products.append(
                    Product(
                        path=next((p for p in paths if f"{name}.".startswith(f"{p}.")), name),
                        macs=path.weights.size,
                        weight_bits=path.weight_bits,
                        activation_bits=path.quantizer.bits,
                        stored=path.weights.size if own else 0,
                    )
                )
        return cls(
            products=tuple(products),
            elementwise=sum(layer.cell.products * layer.units for layer in network.layers),
            vector_bits=size_bits(network) - network.weight_bits,
        )

    @classmethod
    def _of_integers(cls, network: IntegerNetwork) -> "Work":
        products = tuple(
            Product(
                path=name,
                macs=path.rows * path.columns,
                weight_bits=path.weight_bits,
                activation_bits=path.activation_bits,
                stored=path.rows * path.columns,
            )
            for name, path in network.paths()
        )
        return cls(
            products=products,
            elementwise=sum(layer.elementwise for layer in network.layers),
            vector_bits=network.size_bits - sum(p.stored * p.weight_bits for p in products),
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a dense step."""
        return sum(product.macs for product in self.products)

    @property
    def operations(self) -> int:
        """The same with what is elementwise."""
        return self.macs + self.elementwise

    @property
    def size_bits(self) -> int:
        """Of all parameters."""
        return self.vector_bits + sum(p.stored * p.weight_bits for p in self.products)

    def with_bits(self, old: Mapping[str, Bits], new: Mapping[str, Bits]) -> "Work":
        """The same work with `new` bits by path in place of `old`; parts with others keep them."""
        products = []
        for product in self.products:
            bits = (product.weight_bits, product.activation_bits)
            if bits == old.get(product.path, bits):
                bits = new.get(product.path, bits)
            products.append(replace(product, weight_bits=bits[0], activation_bits=bits[1]))
        return replace(self, products=tuple(products))


def published_work(
    macs: Sequence[int], bits: Sequence[Bits], elementwise: int, vectors: int
) -> Work:
    """Work from numbers alone, as papers give them; vectors: words of `VECTOR_BITS` bits."""
    products = tuple(
        Product(path=f"{n}", macs=count, weight_bits=w, activation_bits=a, stored=count)
        for n, (count, (w, a)) in enumerate(zip(macs, bits, strict=True))
    )
    return Work(products=products, elementwise=elementwise, vector_bits=vectors * VECTOR_BITS)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an evaluation knows of a candidate; what a cost is called with.

    Members
    -------
    choice: bits, thresholds and settings.
    network: quantized, with its thresholds.
    work: by bits alone.
    error: by the search's metric; NaN where no frame is scored.
    nmse: energy of the outputs' difference to the float model's, over that of these, in dB.
    frames: that were run.
    events: of each sequence that was run, by path name, the fired deltas of each step.
    options: that costs of silicon take, see `silicon.Options`.
    """

    choice: Choice
    network: AnyNetwork
    work: Work
    error: float
    nmse: float
    frames: int
    events: Sequence[Events]
    options: Any = field(default=None)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Events by path name, of all sequences."""
        names = [name for name, _ in self.network.paths()]
        return {name: sum(int(each[name].sum()) for each in self.events) for name in names}
