# SPDX-License-Identifier: Apache-2.0
"""A standard-cell library: its cells with their area, pins, capacitances and energies, in SI units.

Energy follows the Liberty model. A transition of an output costs the internal energy of its arc,
a table over the input's slew and the output's load; a transition of an input costs the input's own,
where the library has one; the load costs C V^2 / 2 (`energy.py` adds them up). The energy unit is
that of capacitance times voltage squared.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...golden.errors import UserError
from .latches import GatePins, Latch, gate_of, latch_of
from .liberty import Group, read

_PREFIX = {"a": 1e-18, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}
_STATES = ("ff", "ff_bank", "latch", "latch_bank", "statetable")
_POWERS = ("rise_power", "fall_power", "power")
_SLEW = ("input_transition_time", "input_net_transition", "related_pin_transition")


@dataclass(frozen=True, slots=True)
class Table:
    """A function of slew (s) and load (F), linear between its points and beyond them."""

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def __call__(self, slew: float, load: float) -> float:
        i, s = _place(self.slews, slew)
        j, t = _place(self.loads, load)
        rows = [self.values[min(n, len(self.values) - 1)] for n in (i, i + 1)]
        low, high = (
            row[min(j, len(row) - 1)] * (1 - t) + row[min(j + 1, len(row) - 1)] * t for row in rows
        )
        return low * (1 - s) + high * s


def _place(points: Sequence[float], at: float) -> tuple[int, float]:
    """The interval that `at` is in, and where in it: 0 its start, 1 its end."""
    if len(points) < 2:
        return 0, 0.0
    n = min(max(bisect_right(points, at) - 1, 0), len(points) - 2)
    return n, (at - points[n]) / (points[n + 1] - points[n])


@dataclass(frozen=True, slots=True)
class InternalPower:
    """The energy (J) inside a cell of a transition of a pin.

    related: the input whose slew the tables take; "": the pin itself. when: the condition, as it
    stands. tables: by kind, "rise_power" and "fall_power", or "power" for both.
    """

    related: str
    when: str
    kinds: tuple[str, ...]
    tables: tuple[Table, ...]

    def energy(self, slew: float, load: float) -> float:
        """Of one transition: the mean of a rise and a fall."""
        return sum(table(slew, load) for table in self.tables) / len(self.tables)

    def least_cycle(self) -> float:
        """Of a rise and a fall together, at the least slew and load that its tables have."""
        both = zip(self.kinds, self.tables, strict=True)
        return sum((2 if kind == "power" else 1) * table.values[0][0] for kind, table in both)


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin of a cell; capacitance, and the most that an output may drive (0: not said), in F."""

    name: str
    direction: str
    capacitance: float
    clock: bool
    function: str
    powers: tuple[InternalPower, ...]
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; area in the library's unit, um^2 as a rule, leakage in W.

    Members
    -------
    sequential: it has a state.
    latch, gate: it is a plain latch, or an integrated clock gate; None: it is not.
    """

    name: str
    area: float
    leakage: float
    sequential: bool
    usable: bool
    pins: Mapping[str, Pin]
    latch: Latch | None = None
    gate: GatePins | None = None

    @property
    def flip_flop(self) -> bool:
        """It has a state, and takes it at an edge."""
        return self.sequential and self.latch is None and self.gate is None

    @property
    def outputs(self) -> tuple[Pin, ...]:
        """Its outputs, in the library's order."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "output")


@dataclass(frozen=True, slots=True)
class Library:
    """A library at one corner.

    Members
    -------
    voltage: V; temperature: degrees C; process: as the file names it.
    timed: it has delays; otherwise it is for area only.
    slew: the smallest slew (s) in its tables.
    """

    name: str
    source: Path
    cells: Mapping[str, Cell]
    voltage: float
    temperature: float
    process: float
    timed: bool
    slew: float

    @property
    def corner(self) -> str:
        """The corner in words: what every figure is said to be of."""
        return (
            f"{self.name}, process {self.process:g}, {self.voltage:g} V, {self.temperature:g} C"
            if self.timed
            else f"{self.name}, area only"
        )

    def smallest(self, *inputs: int) -> Cell:
        """The smallest usable cell of one output without state that has so many inputs."""
        fitting = [
            cell
            for cell in self.cells.values()
            if cell.usable
            and not cell.sequential
            and len(cell.outputs) == 1
            and cell.outputs[0].function
            and len(cell.pins) - 1 in inputs
        ]
        if not fitting:
            raise UserError(f"{self.source}: has no cell of {' or '.join(map(str, inputs))} inputs")
        return min(fitting, key=lambda cell: cell.area)


def read_library(file: Path) -> Library:
    """Read a Liberty file. Raises UserError where it is none, or has no flip-flop or no gate."""
    top = read(file, "--liberty")
    reader, cells = _read(top, f"--liberty {file}")
    condition = next(
        (
            group
            for group in top.every("operating_conditions")
            if group.name == top.attributes.get("default_operating_conditions", group.name)
        ),
        Group("operating_conditions"),
    )
    library = Library(
        name=top.name,
        source=file,
        cells=cells,
        voltage=condition.number("voltage", top.number("nom_voltage", 1.0)),
        temperature=condition.number("temperature", top.number("nom_temperature", 25.0)),
        process=condition.number("process", top.number("nom_process", 1.0)),
        timed=reader.timed,
        slew=min(reader.slews, default=0.0),
    )
    if not any(cell.flip_flop and cell.usable for cell in cells.values()):
        raise UserError(f"{file}: has no flip-flop (a cell with an ff group); take another library")
    library.smallest(1)
    return library


def cells_of(top: Group, what: str) -> dict[str, Cell]:
    """All cells of a Liberty file, whatever it is a library of; what: the file, in errors."""
    return _read(top, what)[1]


def _read(top: Group, what: str) -> tuple["_Cells", dict[str, Cell]]:
    try:
        reader = _Cells(top)
        return reader, {group.name: reader.cell(group) for group in top.every("cell")}
    except ValueError as error:
        raise UserError(f"{what}: {error}, where a number must be; mend the file") from error


class _Cells:
    """Reads the cells of one library, with its units and templates."""

    def __init__(self, top: Group) -> None:
        self._templates = {
            group.name: group
            for kind in ("lu_table_template", "power_lut_template")
            for group in top.every(kind)
        }
        self._time = _unit(top.attributes.get("time_unit", "1ns"))
        load = [
            part.strip() for part in top.attributes.get("capacitive_load_unit", "1,pf").split(",")
        ]
        self._farad = float(load[0]) * _unit("1" + load[-1])
        self._joule = self._farad * _unit(top.attributes.get("voltage_unit", "1V")) ** 2
        self._watt = _unit(top.attributes.get("leakage_power_unit", "1nW"))
        self._default_load = top.number("default_input_pin_cap")
        self._clocks: set[str] = set()
        self.timed = False
        self.slews: list[float] = []

    def cell(self, group: Group) -> Cell:
        pins = {}
        states = [inner for inner in group.groups if inner.kind in _STATES]
        clocks = " ".join(state.attributes.get("clocked_on", "") for state in states)
        self._clocks = set(re.findall(r"\w+", clocks))
        for holder in (group, *group.every("bundle"), *group.every("bus")):
            for pin in holder.every("pin"):
                for name in pin.arguments:
                    pins[name] = self._pin(pin, name)
        powers = [g.number("value") for g in group.every("leakage_power")]
        mean = sum(powers) / len(powers) if powers else 0.0
        return Cell(
            name=group.name,
            area=group.number("area"),
            leakage=group.number("cell_leakage_power", mean) * self._watt,
            sequential=bool(states),
            usable=group.attributes.get("dont_use", "false") != "true",
            pins=pins,
            latch=latch_of(states, {pin.name: pin.function for pin in pins.values()}),
            gate=gate_of(group),
        )

    def _pin(self, group: Group, name: str) -> Pin:
        self.timed |= any(True for _ in group.every("timing"))
        powers = []
        for power in group.every("internal_power"):
            found = [(kind, table) for kind in _POWERS for table in power.every(kind)]
            if found:
                related = power.attributes.get("related_pin", "").split()
                powers.append(
                    InternalPower(
                        related=related[0] if related else "",
                        when=power.attributes.get("when", ""),
                        kinds=tuple(kind for kind, _ in found),
                        tables=tuple(self._table(table) for _, table in found),
                    )
                )
        loads = [
            group.number(kind, self._default_load)
            for kind in ("capacitance", "rise_capacitance", "fall_capacitance")
            if kind in group.attributes
        ]
        return Pin(
            name=name,
            direction=group.attributes.get("direction", "input"),
            capacitance=max(loads, default=self._default_load) * self._farad,
            clock=group.attributes.get("clock", "false") == "true" or name in self._clocks,
            function=group.attributes.get("function", ""),
            powers=tuple(powers),
            limit=group.number("max_capacitance") * self._farad,
        )

    def _table(self, group: Group) -> Table:
        """An energy table (J), its axes in the order that its template says."""
        template = self._templates.get(group.name, Group("none"))
        axes: dict[str, tuple[float, ...]] = {}
        order = []
        for n in (1, 2):
            what = template.attributes.get(f"variable_{n}")
            if what is not None:
                unit, axis = (self._time, "slew") if what in _SLEW else (self._farad, "load")
                text = group.attributes.get(f"index_{n}", template.attributes.get(f"index_{n}", ""))
                axes[axis] = tuple(value * unit for value in _numbers(text))
                order.append(axis)
        flat = [value * self._joule for value in _numbers(group.attributes.get("values", "0"))]
        slews, loads = axes.get("slew", ()), axes.get("load", ())
        self.slews += slews[:1]
        rows, columns = max(len(slews), 1), max(len(loads), 1)
        if len(flat) != rows * columns:
            flat, rows, columns, slews, loads = flat[:1], 1, 1, (), ()
        if order[:1] == ["load"]:  # values run over slews within one load
            values = tuple(tuple(flat[c * rows + r] for c in range(columns)) for r in range(rows))
        else:
            values = tuple(tuple(flat[r * columns : (r + 1) * columns]) for r in range(rows))
        return Table(slews, loads, values)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in re.split(r"[\s,]+", text.strip()) if part]


def _unit(text: str) -> float:
    """A unit such as 1ns, 10pW or 1ff in SI."""
    match = re.fullmatch(r"([\d.]+)\s*([afpnum]?)[a-zA-Z]+", text.strip().replace("F", "f"))
    return float(match[1]) * _PREFIX[match[2]] if match else 1.0
