# SPDX-License-Identifier: Apache-2.0
"""A design of single-bit cells in Yosys's JSON, two levels of modules: its nets, and more cells."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Net = tuple[str, Any]
"""A net of the design: a module and the number of a bit in it, one of all that the net has."""


KNOWN = "may_change_"
"""How the flip-flops that are added are called."""
_RESETS = {
    "$_SDFF_PP0_": "$_ANDNOT_", "$_SDFF_PP1_": "$_OR_",
    "$_SDFFE_PP0P_": "$_ANDNOT_", "$_SDFFE_PP1P_": "$_OR_",
}  # fmt: skip
"""What gives a flip-flop's value from D and R."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A flip-flop before its reset was absorbed: its kind, and the nets of its pins."""

    kind: str
    d: Net
    enable: Net | None
    reset: Net


class Design:
    """Finds what drives what across modules, and adds cells, for which it adds ports.

    Parameters
    ----------
    design: what Yosys's `write_json` wrote; it is changed in place.
    top: the top module, which has all others as instances, each once.
    """

    def __init__(self, design: dict[str, Any], top: str) -> None:
        every = design["modules"]
        self._top = top
        self._modules = {n: m for n, m in every.items() if n == top or n.startswith(f"{top}.")}
        self._instances = {
            cell["type"]: cell
            for cell in self._modules[top]["cells"].values()
            if cell["type"] in self._modules
        }
        self._parent: dict[Net, Net] = {}
        for kind, cell in self._instances.items():
            for name, port in self._modules[kind]["ports"].items():
                outer = cell["connections"].get(name, ())
                for bit, net in zip(port["bits"], outer, strict=False):
                    self._join((kind, bit), (top, net))
        self._places: dict[Net, dict[str, int]] = defaultdict(dict)
        self._drivers: dict[Net, tuple[str, Any]] = {}
        self._words: dict[str, dict[int, str]] = {}
        self._count = 0
        self._free: dict[str, int] = {}
        for name, module in self._modules.items():
            for bits in _connections(module):
                for bit in bits:
                    if isinstance(bit, int):
                        self._places[self.net(name, bit)].setdefault(name, bit)
            used = [bit for bits in _connections(module) for bit in bits]
            used += [bit for net in module["netnames"].values() for bit in net["bits"]]
            self._free[name] = max((b for b in used if isinstance(b, int)), default=1) + 1
        for name, _, cell in self.cells():
            for pin, direction in cell["port_directions"].items():
                for bit in cell["connections"][pin] if direction == "output" else ():
                    self._drivers[self.net(name, bit)] = name, cell

    def net(self, module: str, bit: Any) -> Net:
        """The net that a bit of a module is on; a constant is one of its own."""
        at: Net = (module, bit) if isinstance(bit, int) else ("", bit)
        while (up := self._parent.get(at)) is not None:
            at = up
        return at

    def _join(self, inner: Net, outer: Net) -> None:
        a, b = self.net(*inner), self.net(*outer)
        if a != b and a[0]:
            self._parent[a] = b

    def cells(self) -> Iterator[tuple[str, str, Any]]:
        """Every cell that is no component: (module, name, cell)."""
        for name, module in self._modules.items():
            for cell_name, cell in module["cells"].items():
                if cell["type"] not in self._modules:
                    yield name, cell_name, cell

    def port(self, name: str) -> Net:
        """The net of a port of the top, of one bit."""
        return self.net(self._top, self._modules[self._top]["ports"][name]["bits"][0])

    def inputs(self) -> list[Net]:
        """The nets of the top's inputs."""
        return [
            self.net(self._top, bit)
            for port in self._modules[self._top]["ports"].values()
            for bit in port["bits"]
            if port["direction"] == "input"
        ]

    def feeds(self, net: Net) -> list[Net]:
        """The inputs of the cell that drives a net; none of a constant."""
        module, cell = self._drivers.get(net, ("", None))
        if cell is None:
            return []
        return [
            self.net(module, bit)
            for pin, direction in cell["port_directions"].items()
            for bit in (cell["connections"][pin] if direction == "input" else ())
        ]

    def is_macro(self, kind: str) -> bool:
        """Whether cells of a kind are memories that stand for themselves."""
        return not kind.startswith("$") and kind not in self._modules

    def word(self, module: str, cell: Any) -> str:
        """The name of the register that a flip-flop is a bit of."""
        if module not in self._words:
            best: dict[int, str] = {}
            for name, net in self._modules[module]["netnames"].items():
                for bit in net["bits"]:
                    old = best.get(bit)
                    if old is None or (name[0] == "$", len(name)) < (old[0] == "$", len(old)):
                        best[bit] = name
            self._words[module] = best
        return self._words[module].get(cell["connections"]["Q"][0], "")

    def new_net(self, module: str) -> Net:
        """A net that nothing drives yet."""
        bit = self._free[module]
        self._free[module] += 1
        self._places[module, bit][module] = bit
        return module, bit

    def any_of(self, module: str, nets: Sequence[Net]) -> Net:
        """A net that is 1 when one of these is."""
        level = list(nets)
        while len(level) > 1:
            pairs = [
                self.gate("$_OR_", module, a, b)
                for a, b in zip(level[::2], level[1::2], strict=False)
            ]
            level = [*pairs, *level[len(pairs) * 2 :]]
        return level[0]

    def differ(self, module: str, pairs: Iterable[tuple[Any, Any]]) -> Net:
        """A net that is 1 when two bits of a pair are not the same."""
        return self.any_of(
            module,
            [
                self.gate("$_XOR_", module, self.net(module, a), self.net(module, b))
                for a, b in pairs
            ],
        )

    def flip_flop(self, module: str, d: Net, q: Net) -> None:
        """A flip-flop from one net to another, new one, which is called `KNOWN` and a number."""
        self._cell("$_DFF_P_", module, {"C": self.port("clk"), "D": d}, {"Q": q})
        self._modules[module]["netnames"][f"{KNOWN}{self._count}"] = {
            "hide_name": 0, "bits": [q[1]], "attributes": {},
        }  # fmt: skip

    def connect(self, cell: Any, module: str, pin: str, direction: str, net: Net) -> None:
        """Connect a pin of a cell of a module, which it may not have had."""
        cell["connections"][pin] = [self._local(module, net)]
        cell["port_directions"][pin] = direction

    def absorb_resets(self, keep: Net | None = None, least: int = 0) -> dict[int, Absorbed]:
        """Make the resets of flip-flops a part of what they take, and of when.

        Parameters
        ----------
        keep: but those by this net.
        least: but those of flip-flops with an enable that fewer than so many share.

        What they were, by the id of the cell.
        """
        sizes = Counter(self._enabled_by(module, cell) for module, _, cell in self.cells())
        found: dict[int, Absorbed] = {}
        either: dict[tuple[str, Net, Net], Net] = {}
        for module, _, cell in list(self.cells()):
            kind = _RESETS.get(cell["type"])
            if kind is None:
                continue
            pins = {pin: self.net(module, bits[0]) for pin, bits in cell["connections"].items()}
            reset = pins["R"]
            if reset == keep or ("E" in pins and sizes[self._enabled_by(module, cell)] < least):
                continue
            found[id(cell)] = Absorbed(cell["type"], pins["D"], pins.get("E"), reset)
            cell["type"] = "$_DFFE_PP_" if "E" in pins else "$_DFF_P_"
            del cell["connections"]["R"], cell["port_directions"]["R"]
            self.connect(cell, module, "D", "input", self.gate(kind, module, pins["D"], reset))
            if "E" in pins:
                key = module, pins["E"], reset
                if key not in either:
                    either[key] = self.any_of(module, [pins["E"], reset])
                self.connect(cell, module, "E", "input", either[key])
        return found

    def restore(self, absorbed: dict[int, Absorbed], least: int) -> None:
        """Undo it for enables that fewer than `least` flip-flops share. Nothing gates these; where
        a reset is not the last that decides what they take, they may stay X in a simulation."""
        sizes = Counter(self._enabled_by(module, cell) for module, _, cell in self.cells())
        for module, _, cell in self.cells():
            was = absorbed.get(id(cell))
            if was is None or was.enable is None:
                continue
            if sizes[self._enabled_by(module, cell)] < least:
                cell["type"] = was.kind
                for pin, net in (("D", was.d), ("E", was.enable), ("R", was.reset)):
                    self.connect(cell, module, pin, "input", net)

    def _enabled_by(self, module: str, cell: Any) -> tuple[Any, ...]:
        pins = cell["connections"]
        return module, *(pins[pin][0] for pin in "ER" if pin in pins and "E" in pins)

    def gate(self, kind: str, module: str, a: Net, b: Net) -> Net:
        """The output of a new cell of two inputs."""
        out = self.new_net(module)
        self._cell(kind, module, {"A": a, "B": b}, {"Y": out})
        return out

    def _cell(
        self, kind: str, module: str, inputs: dict[str, Net], outputs: dict[str, Net]
    ) -> None:
        self._count += 1
        cell: Any = {
            "hide_name": 1, "type": kind, "parameters": {}, "attributes": {},
            "port_directions": {}, "connections": {},
        }  # fmt: skip
        for direction, pins in (("input", inputs), ("output", outputs)):
            for pin, net in pins.items():
                self.connect(cell, module, pin, direction, net)
                if direction == "output":
                    self._drivers[net] = module, cell
        self._modules[module]["cells"][f"$still${self._count}"] = cell

    def _local(self, module: str, net: Net) -> Any:
        """The number of a net in a module, which gets a port where it does not see it."""
        if not net[0]:
            return net[1]
        places = self._places[net]
        if module not in places:
            if self._top not in places:
                (home,) = list(places)[:1]
                self._port(home, "output", net, places[home])
            if module != self._top:
                bit = self._free[module]
                self._free[module] += 1
                self._port(module, "input", net, bit)
        return places[module]

    def _port(self, module: str, direction: str, net: Net, bit: int) -> None:
        """A port of a component for a net; the top's net is made where there is none."""
        places = self._places[net]
        places[module] = bit
        if self._top not in places:
            places[self._top] = self._free[self._top]
            self._free[self._top] += 1
        self._count += 1
        name = f"still_{self._count}"
        self._modules[module]["ports"][name] = {"direction": direction, "bits": [bit]}
        instance = self._instances[module]
        instance["connections"][name] = [places[self._top]]
        instance["port_directions"][name] = direction


def _connections(module: Any) -> Iterator[Sequence[Any]]:
    """The bits of all ports and pins of a module."""
    for port in module["ports"].values():
        yield port["bits"]
    for cell in module["cells"].values():
        yield from cell["connections"].values()
