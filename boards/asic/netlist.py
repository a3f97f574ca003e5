# SPDX-License-Identifier: Apache-2.0
"""A mapped netlist: read from Yosys's JSON, given plain names, and written as structural Verilog.

Yosys could write it itself, but with escaped names, and with concatenations in assignments; this
one any tool reads, and a name in it is the name in a waveform and in a timing report. A flip-flop
is called after what it holds (`count_3_reg`), another cell U and its number.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...hw.verilog import KEYWORDS
from .library import Library
from .nets import KNOWN
from .synthesis import CORE, TOP

PARTS: Mapping[str, tuple[str, ...]] = {
    "weight memory": ("store",),
    "lanes": ("array",),
    "accumulators": ("accumulate", "drained", "widen"),
    "cells": ("cells", "layers"),
    "encoders": ("frames", "input", "state"),
    "fetch": ("fetch", "sequencer", "ahead", "begun", "records"),
    "outputs": ("outputs",),
    "bus": ("bus", "registers", "loader", "sequence"),
}
"""What a report calls a component, by how the names of its modules begin."""
REST = "glue"
"""What lies beside the components."""


def part_of(module: str) -> str:
    """The component that a module of the netlist belongs to."""
    name = module.removeprefix(f"{CORE}.").removeprefix(f"{TOP}.")
    if name == TOP:
        return REST
    plain = re.sub(r"[\d$].*", "", name)
    return next((part for part, names in PARTS.items() if plain in names), REST)


@dataclass(slots=True)
class Instance:
    """A cell, macro or component in a module.

    Members
    -------
    pins: the nets of each pin, lowest bit first; "0" and "1" are constants.
    """

    name: str
    kind: str
    pins: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Module:
    """A module.

    Members
    -------
    part: the component that it belongs to.
    ports: (name, direction, width); the top's may be wide, the others are bits.
    wires: nets that are no ports.
    aliases: (port bit, net) for outputs that are another net, too.
    """

    name: str
    part: str
    ports: list[tuple[str, str, int]]
    wires: list[str]
    aliases: list[tuple[str, str]]
    instances: list[Instance]


@dataclass(slots=True)
class Netlist:
    """The modules, the top first; each of the others is there once."""

    modules: dict[str, Module]
    paths: dict[str, str] = field(default_factory=dict)

    @property
    def top(self) -> Module:
        """The top module."""
        return self.modules[TOP]

    def cells(self) -> Iterator[tuple[Module, Instance]]:
        """Every cell and macro, with the module that it is in."""
        for module in self.modules.values():
            for instance in module.instances:
                if instance.kind not in self.modules:
                    yield module, instance

    def path(self, module: Module) -> str:
        """The name of the module's instance in the top; "" for the top itself."""
        return self.paths.get(module.name, "")

    def verilog(self, kinds: Mapping[str, str] = MappingProxyType({})) -> str:
        """All of it as structural Verilog, the top last; kinds: modules that stand for the cells of
        added enables, by the cell."""
        modules = [*list(self.modules.values())[1:], self.top]
        return "\n".join(_verilog(module, kinds) for module in modules)

    def enables(self) -> set[str]:
        """The kinds of cells that the flip-flops of added enables are."""
        return {each.kind for _, each in self.cells() if each.name.startswith(KNOWN)}


def read_netlist(file: Path, library: Library) -> Netlist:
    """Read what `synthesis` left."""
    design = json.loads(file.read_text("utf-8"))["modules"]
    kept = {name: each for name, each in design.items() if name.split(".")[0] == TOP}
    modules = {}
    for name in sorted(kept, key=lambda name: name != TOP):
        modules[_plain(name)] = _Reader(name, kept, library).module()
    netlist = Netlist(modules)
    netlist.paths = {i.kind: i.name for i in netlist.top.instances if i.kind in modules}
    return netlist


class _Names:
    """Gives each thing of a module a plain name of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set(KEYWORDS)

    def __call__(self, wanted: str) -> str:
        name = base = _plain(wanted)
        for n in range(2, 1 << 30):
            if name not in self._taken:
                break
            name = f"{base}_{n}"
        self._taken.add(name)
        return name


class _Reader:
    """Reads one module."""

    def __init__(self, name: str, design: Mapping[str, Any], library: Library) -> None:
        self._name = name
        self._design = design
        self._library = library
        self._names = _Names()
        self._nets: dict[Any, str] = {"0": "1'b0", "1": "1'b1", "x": "1'b0", "z": "1'b0"}

    def module(self) -> Module:
        source = self._design[self._name]
        ports, aliases = self._ports(source)
        inside = self._wires(source)
        return Module(
            name=_plain(self._name),
            part=part_of(self._name),
            ports=ports,
            wires=inside,
            aliases=[(bit, self._nets[net]) for bit, net in aliases if bit != self._nets[net]],
            instances=list(self._instances(source)),
        )

    def _ports(self, source: Any) -> tuple[list[tuple[str, str, int]], list[tuple[str, Any]]]:
        """Ports, inputs first, so that a net that is both is called after the input."""
        ports, outputs = [], []
        for name, bits in self._port_names(source, top=self._name == TOP).items():
            port = source["ports"][name]
            direction, width = port["direction"], len(port["bits"])
            if self._name == TOP:
                ports.append((self._names(name), direction, width))
            else:
                ports += [(self._names(bit), direction, 1) for bit in bits]
            for bit, net in zip(bits, port["bits"], strict=True):
                if net not in self._nets:
                    self._nets[net] = bit
                elif direction == "output":
                    outputs.append((bit, net))
        return ports, outputs

    @staticmethod
    def _port_names(source: Any, *, top: bool) -> dict[str, list[str]]:
        """The names of each port's bits: the top keeps its buses, in a component each bit has a
        name of its own, the same for the module and for whoever has it.
        """
        names = _Names()
        ports = sorted(source["ports"].items(), key=lambda item: item[1]["direction"] == "output")
        found = {}
        for name, port in ports:
            width = len(port["bits"])
            bits = [name] if width == 1 else [f"{name}_{n}" for n in range(width)]
            if top and width > 1:
                found[name] = [f"{name}[{n}]" for n in range(width)]
            else:
                found[name] = [names(bit) for bit in bits]
        return found

    def _wires(self, source: Any) -> list[str]:
        """Names for all nets inside; the shortest public one where there are several."""
        best: dict[Any, str] = {}
        for name, net in source["netnames"].items():
            for n, bit in enumerate(net["bits"]):
                text = f"{name}_{n}" if len(net["bits"]) > 1 else name
                old = best.get(bit)
                if old is None or (_hidden(text), len(text)) < (_hidden(old), len(old)):
                    best[bit] = text
        used = {
            bit
            for cell in source["cells"].values()
            for bits in cell["connections"].values()
            for bit in bits
        }
        wires = []
        for bit in sorted((bit for bit in used if bit not in self._nets), key=str):
            text = best.get(bit, "$")
            self._nets[bit] = self._names(f"n{bit}" if _hidden(text) else text)
            wires.append(self._nets[bit])
        return wires

    def _instances(self, source: Any) -> Iterator[Instance]:
        number = latches = 0
        for name, cell in source["cells"].items():
            kind = cell["type"]
            if kind == "$scopeinfo":
                continue
            pins = {
                pin: tuple(self._nets[bit] for bit in bits)
                for pin, bits in cell["connections"].items()
            }
            if kind in self._design:
                split: dict[str, tuple[str, ...]] = {
                    bit: (net,)
                    for pin, bits in self._port_names(self._design[kind], top=False).items()
                    for bit, net in zip(bits, pins.get(pin, ()), strict=False)
                }
                yield Instance(self._names(name), _plain(kind), split)
                continue
            known = self._library.cells.get(kind)
            if known is None:
                yield Instance(self._names(name), kind, pins)
            elif known.latch is not None:
                latches += 1
                yield Instance(self._names(f"clock_gate_{latches}_latch"), kind, pins)
            elif known.sequential and known.outputs:
                held = next((pins[p.name][0] for p in known.outputs if p.name in pins), name)
                yield Instance(self._names(f"{held}_reg"), kind, pins)
            else:
                number += 1
                yield Instance(self._names(f"U{number}"), kind, pins)


def _hidden(name: str) -> bool:
    return name.startswith("$")


def _plain(name: str) -> str:
    """A name of letters, digits and single underscores."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    return plain if plain[:1].isalpha() else f"n_{plain}"


def _verilog(module: Module, kinds: Mapping[str, str]) -> str:
    lines = [f"module {module.name} ({', '.join(name for name, _, _ in module.ports)});"]
    for name, direction, width in module.ports:
        lines.append(f"  {direction} {f'[{width - 1}:0] ' if width > 1 else ''}{name};")
    lines += [f"  wire {name};" for name in module.wires]
    lines += [f"  assign {bit} = {net};" for bit, net in module.aliases]
    for instance in module.instances:
        pins = ", ".join(f".{pin}({_nets(nets)})" for pin, nets in instance.pins.items())
        kind = instance.kind
        if instance.name.startswith(KNOWN):
            kind = kinds.get(kind, kind)
        lines.append(f"  {kind} {instance.name} ({pins});")
    return "\n".join([*lines, "endmodule", ""])


def _nets(nets: Sequence[str]) -> str:
    """A pin's nets, highest first."""
    return nets[0] if len(nets) == 1 else "{" + ", ".join(reversed(nets)) + "}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PartArea:
    """What a component takes: cells, flip-flops among them, um^2 of cells and of macros.

    gated: flip-flops behind a clock gate.
    """

    cells: int
    flip_flops: int
    cell_area: float
    macros: int
    macro_area: float
    gated: int = 0


def areas(
    netlist: Netlist,
    library: Library,
    macro_areas: Mapping[str, float],
    gated: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, PartArea]:
    """The area of each component that there is, in the order of `PARTS`.

    macro_areas: um^2 of each kind of macro.
    gated: flip-flops behind a clock gate, in each module.
    """
    behind: Counter[str] = Counter()
    for name, count in gated.items():
        behind[netlist.modules[name].part] += count
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for module, instance in netlist.cells():
        counts[module.part][instance.kind] += 1
    found = {}
    for part in (*PARTS, REST):
        kinds = counts.get(part)
        if kinds is None:
            continue
        cells = {kind: n for kind, n in kinds.items() if kind in library.cells}
        macros = {kind: n for kind, n in kinds.items() if kind in macro_areas}
        found[part] = PartArea(
            cells=sum(cells.values()),
            flip_flops=sum(n for kind, n in cells.items() if library.cells[kind].flip_flop),
            cell_area=sum(library.cells[kind].area * n for kind, n in cells.items()),
            macros=sum(macros.values()),
            macro_area=sum(macro_areas[kind] * n for kind, n in macros.items()),
            gated=behind[part],
        )
    return found
