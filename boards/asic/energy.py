# SPDX-License-Identifier: Apache-2.0
"""Energy of a mapped netlist from how often each of its nets switches, by the library's tables.

    E = sum over cells of   toggles(output) * (E_internal(slew, load) + load * V^2 / 2)
                          + toggles(input) * E_internal of that input, where the library has one
      + sum over macros of  accesses * E_access
      + leakage * time

Loads are those of the pins on a net, slews OpenSTA's. The clock counts for itself: what each clock
pin takes inside, and its capacitance, whenever the clock that it is on changes, and all that the
cells of clock gates take. Wires and buffers of the clock's tree are not there yet.

OpenSTA has the same model. Debian's (2.0.17 of 2019) is not asked for it, for two reasons, both of
which `tests/boards/asic/test_energy.py` shows: what is set for a gate's output with
`set_power_activity -pins` is overwritten by what it propagates from the inputs, and for each
transition of an output or a clock it counts the internal energy of a rise and of a fall. With one
activity for all pins (`-global`) and that halved, its figures are ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .clock_tree import ClockTree
from .library import Cell, Library
from .macros import Macro, MacroModel
from .netlist import PARTS, REST, Instance, Module, Netlist
from .timing import CLOCK


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What a simulation of the netlist counted.

    Members
    -------
    frames, cycles: how many.
    toggles: transitions of each net, by its name in the netlist: PATH.NET, in the top NET.
    accesses: reads and writes of each macro, by PATH.INSTANCE.
    """

    frames: int
    cycles: int
    toggles: Mapping[str, int]
    accesses: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartEnergy:
    """Energy of one component, in J: of its gates and flip-flops, its macros, its clock pins and
    clock gates, and what leaks."""

    logic: float = 0.0
    memory: float = 0.0
    clock: float = 0.0
    leakage: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.logic + self.memory + self.clock + self.leakage

    def __add__(self, other: "PartEnergy") -> "PartEnergy":
        return PartEnergy(
            logic=self.logic + other.logic,
            memory=self.memory + other.memory,
            clock=self.clock + other.clock,
            leakage=self.leakage + other.leakage,
        )

    def scaled(self, factor: float) -> "PartEnergy":
        """So many times this."""
        return PartEnergy(
            logic=self.logic * factor,
            memory=self.memory * factor,
            clock=self.clock * factor,
            leakage=self.leakage * factor,
        )


class Nets:
    """Which nets of different modules are one, and what they have to drive."""

    def __init__(self, netlist: Netlist, library: Library) -> None:
        self._parent: dict[str, str] = {}
        self.loads: dict[str, float] = defaultdict(float)
        for instance in netlist.top.instances:
            inside = netlist.modules.get(instance.kind)
            if inside is not None:
                for pin, (net,) in instance.pins.items():
                    self._join(f"{instance.name}.{pin}", net)
        for module in netlist.modules.values():
            path = netlist.path(module)
            for bit, net in module.aliases:
                self._join(name_of(path, bit), name_of(path, net))
        inverter = library.smallest(1)
        self.macro_load = 4 * next(
            pin.capacitance for pin in inverter.pins.values() if pin.direction == "input"
        )
        for module, instance in netlist.cells():
            path, cell = netlist.path(module), library.cells.get(instance.kind)
            for pin, nets in instance.pins.items():
                known = cell.pins.get(pin) if cell else None
                if (cell and not (known and known.direction == "input")) or pin == "rdata":
                    continue
                load = known.capacitance if known else self.macro_load
                for net in nets:
                    self.loads[self.root(name_of(path, net))] += load
        for port, direction, width in netlist.top.ports:
            if direction == "output":
                for bit in [port] if width == 1 else [f"{port}[{n}]" for n in range(width)]:
                    self.loads[self.root(bit)] += self.macro_load

    def root(self, name: str) -> str:
        """The one name of a net."""
        while (parent := self._parent.get(name)) is not None:
            name = parent
        return name

    def _join(self, one: str, other: str) -> None:
        a, b = self.root(one), self.root(other)
        if a != b and "'" not in a + b:
            self._parent[a] = b


def name_of(path: str, net: str) -> str:
    """A net as `Activity` names it."""
    return f"{path}.{net}" if path else net


class EnergyModel:
    """The energy of each switching net, cell and macro of one netlist.

    Parameters
    ----------
    slews: of each output pin, s, by PATH/INSTANCE/PIN.
    model: of the macros.
    tree: what is on the clock.
    """

    def __init__(
        self,
        netlist: Netlist,
        library: Library,
        *,
        slews: Mapping[str, float],
        macros: Iterable[Macro],
        model: MacroModel,
        tree: ClockTree,
    ) -> None:
        self._netlist = netlist
        self._library = library
        self._slews = slews
        self._model = model
        self._macros = {macro.name: macro for macro in macros}
        self._nets = Nets(netlist, library)
        self._tree = tree
        self._clock_root = self._nets.root(CLOCK)
        self._net_slews = self._drivers()
        for name, net in tree.nets:  # edges of a clock are steep, gated or not
            path = netlist.path(netlist.modules[name])
            self._net_slews.pop(self._nets.root(name_of(path, net)), None)

    def _drivers(self) -> dict[str, float]:
        """The slew on each net that a cell or a macro drives."""
        found = {}
        for module, instance in self._netlist.cells():
            cell, path = self._library.cells.get(instance.kind), self._netlist.path(module)
            for net in () if cell else instance.pins.get("rdata", ()):
                found[self._nets.root(name_of(path, net))] = self._model.slew
            for pin in cell.outputs if cell else ():
                if pin.name in instance.pins:
                    place = "/".join(filter(None, (path, instance.name, pin.name)))
                    net = self._nets.root(name_of(path, instance.pins[pin.name][0]))
                    found[net] = self._slews.get(place, self._library.slew)
        return found

    def run(self, activity: Activity, *, period_ns: float) -> dict[str, PartEnergy]:
        """The energy of each component over the whole of a simulation."""
        toggles: dict[str, int] = {}
        for name, count in activity.toggles.items():
            root = self._nets.root(name)
            toggles[root] = max(toggles.get(root, 0), count)
        toggles[self._clock_root] = 2 * activity.cycles
        seconds = activity.cycles * period_ns * 1e-9
        parts: dict[str, PartEnergy] = defaultdict(PartEnergy)
        for module, instance in self._netlist.cells():
            cell = self._library.cells.get(instance.kind)
            if cell is not None:
                logic = self._logic(module, instance, cell, toggles)
                clock = self._clock(module, instance, cell, toggles)
                if (module.name, instance.name) in self._tree.cells:
                    logic, clock = 0.0, logic + clock
                parts[module.part] += PartEnergy(
                    logic=logic, clock=clock, leakage=cell.leakage * seconds
                )
                continue
            macro = self._macros[instance.kind]
            path = name_of(self._netlist.path(module), instance.name)
            accesses = sum(activity.accesses.get(path, (0, 0)))
            parts[module.part] += PartEnergy(
                memory=accesses * self._model.access(macro),
                clock=activity.cycles * self._nets.macro_load * self._library.voltage**2,
                leakage=self._model.leakage(macro) * seconds,
            )
        return {part: parts[part] for part in (*PARTS, REST) if part in parts}

    def clock_and_leakage(self, *, period_ns: float) -> tuple[float, float]:
        """Power in W of the clock, and of what leaks: what is used when nothing happens."""
        always = {
            name_of(self._netlist.path(self._netlist.modules[name]), net): 2
            for name, net in self._tree.always
        }
        idle = self.run(
            Activity(frames=1, cycles=1, toggles=always, accesses={}), period_ns=period_ns
        ).values()
        seconds = period_ns * 1e-9
        return sum(p.clock for p in idle) / seconds, sum(p.leakage for p in idle) / seconds

    def _logic(
        self, module: Module, instance: Instance, cell: Cell, toggles: Mapping[str, int]
    ) -> float:
        path, energy = self._netlist.path(module), 0.0
        for pin in cell.pins.values():
            if pin.clock or pin.name not in instance.pins:
                continue
            net = self._nets.root(name_of(path, instance.pins[pin.name][0]))
            count = toggles.get(net, 0)
            if not count:
                continue
            if pin.direction == "input":
                slew = self._net_slews.get(net, self._library.slew)
                energy += count * _mean(power.energy(slew, 0.0) for power in pin.powers)
                continue
            load = self._nets.loads[net]
            inner = _mean(
                power.energy(self._slew_of(path, instance, power.related), load)
                for power in pin.powers
            )
            energy += count * (inner + load * self._library.voltage**2 / 2)
        return energy

    def _slew_of(self, path: str, instance: Instance, pin: str) -> float:
        """The slew at an input; the clock's, and a port's, is the library's smallest."""
        nets = instance.pins.get(pin)
        if nets is None or nets[0] == CLOCK:
            return self._library.slew
        return self._net_slews.get(self._nets.root(name_of(path, nets[0])), self._library.slew)

    def _clock(
        self, module: Module, instance: Instance, cell: Cell, toggles: Mapping[str, int]
    ) -> float:
        """The energy inside of a cell's clock pin, and of what the clock's port has to drive: a
        gated clock's load is its driver's."""
        path, energy = self._netlist.path(module), 0.0
        for pin in cell.pins.values():
            if pin.direction != "input" or pin.name not in instance.pins:
                continue
            net = self._nets.root(name_of(path, instance.pins[pin.name][0]))
            count = toggles.get(net, 0)
            if pin.clock:
                energy += count * _mean(p.energy(self._library.slew, 0.0) for p in pin.powers)
            if net == self._clock_root:
                energy += count * pin.capacitance * self._library.voltage**2 / 2
        return energy


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
