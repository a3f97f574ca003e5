# SPDX-License-Identifier: Apache-2.0
"""Delays, slews, capacitances, energies and leakage of combinational cells, by ngspice.

Every input is switched in every state of the others, up and down again, at each slew of a grid;
where the output follows, with each load of it. A table has the slowest of the states' delays and
slews, and the mean of their energies. What a transition of an input costs where the output stays
is the input's own energy, and is taken off the output's, so that each joule is counted once
(`energy.py` adds up).
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .spice import SUPPLIES, VOLTAGE, Circuit, Waves, ramp, simulate

Array = NDArray[np.float64]

SLEWS = (0.01, 0.05, 0.2, 0.8)
"""Of inputs, 20 to 80 %, ns."""
LOADS = (0.5, 4.0, 20.0, 80.0)
"""Of outputs, fF, of a cell of drive strength 1; others have so many times more."""
LOW, HALF, HIGH = 0.2 * VOLTAGE, 0.5 * VOLTAGE, 0.8 * VOLTAGE
_BEFORE, _SETTLE = 1.0, 6.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Arc:
    """From an input to an output, for one sense; tables [slew, load] of the output's rise and fall.

    Members
    -------
    delays, slews: ns, from half to half of the voltage, and from 20 to 80 % of it.
    """

    related: str
    sense: str
    delays: tuple[Array, Array]
    slews: tuple[Array, Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Characterised:
    """What was measured of a cell.

    Members
    -------
    capacitances: of inputs, pF.
    inputs: the energy of a rise and a fall of each input, pJ by slew, where the output stays.
    outputs: of a rise and a fall of the output by the input, pJ [slew, load], without C V^2 / 2.
    leakage: of the states' mean, nW.
    loads: pF.
    constraints: (setup, hold) of data that rise and that fall, ns [clock's slew, data's slew].
    """

    loads: tuple[float, ...]
    capacitances: Mapping[str, float]
    arcs: Sequence[Arc]
    inputs: Mapping[str, tuple[Array, Array]]
    outputs: Mapping[str, tuple[Array, Array]]
    leakage: float
    constraints: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Case:
    """One instance: the pin that switches, the others' state, and the output's load in fF.

    sense: -1, 0, 1: the output falls, stays or rises with the pin.
    """

    pin: str
    others: Mapping[str, int]
    sense: int
    load: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One case's rise and fall of the pin: delay and slew (ns), energy (pJ), charge (fC)."""

    delays: tuple[float, float]
    slews: tuple[float, float]
    energies: tuple[float, float]
    charge: float


def evaluate(function: str, values: Mapping[str, int]) -> int:
    """A Liberty function of gates."""
    return int(eval(function.replace("!", "~"), {"__builtins__": {}}, dict(values))) & 1


def drive(name: str) -> int:
    """A cell's drive strength, as its name says."""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 1


def cases(inputs: Sequence[str], function: str, loads: Sequence[float]) -> Iterable[_Case]:
    """All of a cell: each pin in each state of the others, with each load if the output follows."""
    for pin in inputs:
        others = [each for each in inputs if each != pin]
        for bits in itertools.product((0, 1), repeat=len(others)):
            state = dict(zip(others, bits, strict=True))
            low, high = (evaluate(function, {**state, pin: level}) for level in (0, 1))
            for load in loads if low != high else loads[1:2]:
                yield _Case(pin, state, high - low, load)


def combinational(
    cell: Circuit,
    inputs: Sequence[str],
    output: str,
    function: str,
    *,
    models: str,
    folder: Path,
    slews: Sequence[float] = SLEWS,
    loads: Sequence[float] | None = None,
) -> Characterised:
    """Measure a cell of one output. Takes about a second a transistor.

    loads: in fF; None: those of its drive strength.
    """
    loads = tuple(loads or (load * drive(cell.name) for load in LOADS))
    todo = list(cases(inputs, function, loads))
    runs = [_run(cell, output, todo, slew, models=models, folder=folder) for slew in slews]
    stays: dict[str, tuple[Array, Array]] = {}
    for pin in inputs:
        still = [n for n, case in enumerate(todo) if case.pin == pin and not case.sense]
        if still:
            rise, fall = (
                np.array([_mean([run[n].energies[edge] for n in still]) for run in runs])
                for edge in (0, 1)
            )
            stays[pin] = rise, fall
    arcs: list[Arc] = []
    energies: dict[str, tuple[Array, Array]] = {}
    halves = np.array(loads) * 1e-3 * VOLTAGE**2 / 2
    for pin in inputs:
        own = stays.get(pin)
        free = (own[0] + own[1])[:, None] / 2 if own else np.zeros((1, 1))
        both = []
        for sense in (1, -1):
            at = [
                [n for n, c in enumerate(todo) if (c.pin, c.sense, c.load) == (pin, sense, load)]
                for load in loads
            ]
            if not at[0]:
                continue
            order = (0, 1) if sense > 0 else (1, 0)  # the pin's edge that lets the output rise
            arcs.append(
                Arc(
                    related=pin,
                    sense="positive_unate" if sense > 0 else "negative_unate",
                    delays=_tables(runs, at, attrgetter("delays"), max, order),
                    slews=_tables(runs, at, attrgetter("slews"), max, order),
                )
            )
            both.append(_tables(runs, at, attrgetter("energies"), _mean, order))
        rise, fall = (np.mean([pair[n] for pair in both], axis=0) for n in (0, 1))
        energies[pin] = rise - free - halves, fall - free - halves
    middle = runs[min(1, len(runs) - 1)]
    return Characterised(
        loads=tuple(load * 1e-3 for load in loads),
        capacitances={
            pin: float(
                np.mean(
                    [
                        one.charge
                        for one, case in zip(middle, todo, strict=True)
                        if case.pin == pin and case.sense
                    ]
                )
            )
            / VOLTAGE
            * 1e-3
            for pin in inputs
        },
        arcs=arcs,
        inputs=stays,
        outputs=energies,
        leakage=_leakage(cell, inputs, output, models=models, folder=folder),
    )


def _tables(
    runs: Sequence[Sequence[Measured]],
    cases: Sequence[Sequence[int]],
    what: Callable[[Measured], tuple[float, float]],
    pick: Callable[[Sequence[float]], float],
    order: tuple[int, int],
) -> tuple[Array, Array]:
    """[slew, load] for each edge in order: of the cases at each load, what `pick` makes of them."""
    rise, fall = (
        np.array([[pick([what(run[n])[edge] for n in at]) for at in cases] for run in runs])
        for edge in order
    )
    return rise, fall


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _leakage(
    cell: Circuit, inputs: Sequence[str], output: str, *, models: str, folder: Path
) -> float:
    """The mean over all states, nW."""
    deck = [models, cell.text, f"vone vdd 0 {VOLTAGE}\n"]
    states = list(itertools.product(("0", "vdd"), repeat=len(inputs)))
    for n, state in enumerate(states):
        nets = {pin: f"p{n}" if net == "vdd" else net for pin, net in SUPPLIES.items()}
        nets |= {**dict(zip(inputs, state, strict=True)), output: f"y{n}"}
        deck += [f"vp{n} p{n} 0 {VOLTAGE}\n", cell.instance(str(n), nets)]
    saved = [f"i(vp{n})" for n in range(len(states))]
    waves = simulate("".join(deck), until=0.1, saved=saved, folder=folder)
    return -VOLTAGE * 1e9 * float(np.mean([waves[name][0] for name in saved]))


def _run(
    cell: Circuit, output: str, todo: Sequence[_Case], slew: float, *, models: str, folder: Path
) -> list[Measured]:
    """All cases of a cell at one slew, side by side."""
    width = slew / 0.6
    rise = _BEFORE + width / 2
    fall = rise + width + _SETTLE
    deck, saved = [models, cell.text, f"vone vdd 0 {VOLTAGE}\n"], []
    for n, case in enumerate(todo):
        nets = {pin: f"p{n}" if net == "vdd" else net for pin, net in SUPPLIES.items()}
        nets |= {pin: "vdd" if level else "0" for pin, level in case.others.items()}
        nets |= {case.pin: f"a{n}", output: f"y{n}"}
        deck += [
            f"vp{n} p{n} 0 {VOLTAGE}\n",
            f"va{n} a{n} 0 {ramp([(rise, 1), (fall, 0)], slew)}\n",
            f"cy{n} y{n} 0 {case.load:.6g}f\n",
            cell.instance(str(n), nets),
        ]
        saved += [f"v(y{n})", f"i(vp{n})", f"i(va{n})"]
    until = fall + width / 2 + _SETTLE
    waves = simulate("".join(deck), until=until, saved=saved, folder=folder)
    return [_measure(waves, n, case, rise, fall) for n, case in enumerate(todo)]


def _measure(waves: Waves, n: int, case: _Case, rise: float, fall: float) -> Measured:
    time = waves["time"] * 1e9
    y, supply, pin = waves[f"v(y{n})"], -waves[f"i(vp{n})"], -waves[f"i(va{n})"]
    middle = (rise + fall) / 2
    delays, slews, energies, charges = [], [], [], []
    for at, (start, end), up in (
        (rise, (0.0, middle), case.sense > 0),
        (fall, (middle, time[-1]), case.sense < 0),
    ):
        part = (time >= start) & (time <= end)
        energies.append(float(np.trapezoid(supply[part], time[part])) * VOLTAGE * 1e3)
        charges.append(abs(float(np.trapezoid(pin[part], time[part]))) * 1e6)
        if case.sense:
            delay, slew = edge(time[part], y[part], up=up)
            delays.append(delay - at)
            slews.append(slew)
    return Measured(
        (delays[0], delays[1]) if delays else (0.0, 0.0),
        (slews[0], slews[1]) if slews else (0.0, 0.0),
        (energies[0], energies[1]),
        sum(charges) / 2,
    )


def edge(time: Array, wave: Array, *, up: bool) -> tuple[float, float]:
    """When a wave is half-way, and its slew; NaN where it does not get there."""
    first, half, last = (crossing(time, wave, at) for at in (LOW, HALF, HIGH))
    return half, (last - first if up else first - last)


def crossing(time: Array, wave: Array, level: float) -> float:
    """The last time at which a wave crosses the level; NaN: it does not."""
    above = wave >= level
    (found,) = np.nonzero(above[1:] != above[:-1])
    if not len(found):
        return float("nan")
    n = int(found[-1])
    part = (level - wave[n]) / (wave[n + 1] - wave[n])
    return float(time[n] + part * (time[n + 1] - time[n]))
