# SPDX-License-Identifier: Apache-2.0
"""Finds what of a mapped netlist is on the clock: the gates, and the registers behind them."""

from collections.abc import Iterator
from dataclasses import dataclass

from .library import Library
from .netlist import Instance, Module, Netlist

INVERTER_PINS = 2
"""A cell of so many pins that is on the clock passes every edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockTree:
    """The part of a netlist that is on the clock.

    Members
    -------
    gates: what drives a gated clock: (module, instance, net).
    cells: all cells of gates, by (module, instance).
    nets: the gated clocks and what is inside of gates, by (module, net).
    always: those of them that change in every cycle: behind inverters only.
    gated: flip-flops on gated clocks, in each module.
    """

    gates: tuple[tuple[Module, Instance, str], ...]
    cells: frozenset[tuple[str, str]]
    nets: frozenset[tuple[str, str]]
    always: frozenset[tuple[str, str]]
    gated: dict[str, int]


def clock_tree(netlist: Netlist, library: Library, clock: str) -> ClockTree:
    """What is reached from the top's port `clock` through gates and inverters; a gate lies in the
    module of its flip-flops."""
    gates: list[tuple[Module, Instance, str]] = []
    cells: set[tuple[str, str]] = set()
    nets: set[tuple[str, str]] = set()
    always: set[tuple[str, str]] = set()
    gated: dict[str, int] = {}
    for module in netlist.modules.values():
        roots = set(_clock_ports(netlist, module, clock))
        drivers = _reached(module, library, roots)
        clocks = {net: driver for net, driver in drivers.items() if net not in roots}
        used: dict[str, int] = {}
        for instance in module.instances:
            cell = library.cells.get(instance.kind)
            for pin in cell.pins.values() if cell else ():
                if not pin.clock or pin.name not in instance.pins:
                    continue
                net = instance.pins[pin.name][0]
                if cell is not None and cell.latch is not None and net in drivers:
                    cells.add((module.name, instance.name))
                    nets.add((module.name, instance.pins[cell.latch.output][0]))
                elif net in clocks:
                    used[net] = used.get(net, 0) + 1
        gates += [(module, clocks[net], net) for net in used]
        cells |= {(module.name, driver.name) for driver in clocks.values()}
        nets |= {(module.name, net) for net in clocks}
        always |= {
            (module.name, net)
            for net, driver in clocks.items()
            if len(driver.pins) == INVERTER_PINS
        }
        gated[module.name] = sum(used.values())
    return ClockTree(
        gates=tuple(gates),
        cells=frozenset(cells),
        nets=frozenset(nets),
        always=frozenset(always),
        gated=gated,
    )


def _clock_ports(netlist: Netlist, module: Module, clock: str) -> Iterator[str]:
    """The names that the clock has in a module."""
    if module is netlist.top:
        yield clock
    for instance in netlist.top.instances:
        if instance.kind == module.name:
            yield from (pin for pin, nets in instance.pins.items() if nets == (clock,))


def _reached(module: Module, library: Library, roots: set[str]) -> dict[str, Instance]:
    """The nets that carry the clock, and the cell that drives each; a root has none of its own."""
    none = Instance("", "", {})
    drivers = dict.fromkeys(roots, none)
    waiting = [
        (instance, cell)
        for instance in module.instances
        if (cell := library.cells.get(instance.kind)) is not None
        and (not cell.sequential or cell.gate is not None)
    ]
    found = True
    while found:
        found = False
        for instance, cell in waiting:
            outputs = [instance.pins[p.name][0] for p in cell.outputs if p.name in instance.pins]
            inputs = {
                net
                for name, nets in instance.pins.items()
                if name in cell.pins and cell.pins[name].direction == "input"
                for net in nets
            }
            if inputs & drivers.keys() and not set(outputs) <= drivers.keys():
                drivers |= dict.fromkeys(outputs, instance)
                found = True
    return drivers
