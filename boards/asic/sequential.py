# SPDX-License-Identifier: Apache-2.0
"""Flip-flops and clock gates, by ngspice: what `combinational` measures, and setup and hold times.

A clock goes through five cycles with 0, 1, 1, 0, 0 at the data; those in which nothing changes say
what the clock itself takes. Setup is the least time of data before the clock's rising edge, and
hold the least after it, for which the output is right and at most a tenth later than it is with
ample time; found within 13 ps, and never too short.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from .combinational import (
    HALF,
    HIGH,
    LOADS,
    SLEWS,
    Arc,
    Array,
    Characterised,
    crossing,
    drive,
    edge,
)  # fmt: skip
from .spice import SUPPLIES, VOLTAGE, Circuit, Waves, ramp, simulate

CLOCK_SLEWS, DATA_SLEWS = (0.02,), (0.02, 0.4)
"""For setup and hold, ns: a clock's edges are steep."""
_DATA = (0, 1, 1, 0, 0)
_CYCLE, _RISE, _FALL, _CHANGE = 12.0, 1.0, 6.0, 9.5  # a cycle, and what happens when in it
_PARTS = ((0.0, 5.0), (5.0, 8.5), (8.5, 12.0))  # around each of the three
_LATER = 1.1
_WIDE, _STEPS = (-0.4, 0.4), 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Clocked:
    """A cell of one data input: its netlist and pins; gate: its output is the clock's pulse."""

    circuit: Circuit
    clock: str
    data: str
    output: str
    gate: bool

    def placed(self, n: int, load: float, clock: str, data: str) -> str:
        """One instance of a deck, with its own supply; clock, data: the sources."""
        nets = {pin: f"p{n}" if net == "vdd" else net for pin, net in SUPPLIES.items()}
        nets |= {self.clock: f"c{n}", self.data: f"d{n}", self.output: f"q{n}"}
        return (
            f"vp{n} p{n} 0 {VOLTAGE}\nvc{n} c{n} 0 {clock}\nvd{n} d{n} 0 {data}\n"
            f"cq{n} q{n} 0 {load:.6g}f\n{self.circuit.instance(str(n), nets)}"
        )


def sequential(
    cell: Clocked, *, models: str, folder: Path, slews: Sequence[float] = SLEWS
) -> Characterised:
    """Measure a flip-flop or a clock gate."""
    loads = tuple(load * drive(cell.circuit.name) for load in LOADS)
    shape = (len(slews), len(loads))
    delays, edges, energies = ([np.zeros(shape), np.zeros(shape)] for _ in range(3))
    clock, data = np.zeros((2, len(slews))), np.zeros((2, len(slews)))
    charges, leaks = np.zeros(2), []
    for i, slew in enumerate(slews):
        waves = _cycles(cell, loads, slew, models=models, folder=folder)
        for j, load in enumerate(loads):
            one = _Cycles(waves, j)
            # The cycle and the edge of the clock at which the output rises, and falls.
            turns = ((1, 0), (1, 1)) if cell.gate else ((1, 0), (3, 0))
            own = [np.mean([one.energy(k, part) for k in one.still(cell)]) for part in (0, 1)]
            for n, (cycle, part) in enumerate(turns):
                half, steep = one.turn(cycle, part, up=n == 0)
                delays[n][i, j], edges[n][i, j] = half, steep
                more = one.energy(cycle, part) - own[part]
                energies[n][i, j] = more - load * 1e-3 * VOLTAGE**2 / 2
            clock[:, i] += np.array(own) / len(loads)
            data[:, i] += np.array([one.energy(0, 2), one.energy(2, 2)]) / len(loads)
            charges += np.array([one.charge("c", 2, 0), one.charge("d", 0, 2)])
            leaks.append(one.leakage())
    charges *= 1e-3 / VOLTAGE / len(loads) / len(slews)
    return Characterised(
        loads=tuple(load * 1e-3 for load in loads),
        capacitances={cell.clock: float(charges[0]), cell.data: float(charges[1])},
        arcs=[
            Arc(
                related=cell.clock,
                sense="positive_unate" if cell.gate else "non_unate",
                delays=(delays[0], delays[1]),
                slews=(edges[0], edges[1]),
            )
        ],
        inputs={cell.clock: (clock[0], clock[1]), cell.data: (data[0], data[1])},
        outputs={cell.clock: (energies[0], energies[1])},
        leakage=float(np.mean(leaks)) * VOLTAGE * 1e9,
        constraints=_constraints(cell, models=models, folder=folder),
    )


def _cycles(
    cell: Clocked, loads: Sequence[float], slew: float, *, models: str, folder: Path
) -> Waves:
    ticks = [
        (_CYCLE * k + at, to) for k in range(len(_DATA)) for at, to in ((_RISE, 1), (_FALL, 0))
    ]
    # Data change near the end of the cycle before.
    pairs = list(pairwise(_DATA))
    changes = [(_CYCLE * k + _CHANGE, to) for k, (old, to) in enumerate(pairs) if old != to]
    deck = [models, cell.circuit.text]
    for n, load in enumerate(loads):
        deck.append(cell.placed(n, load, ramp(ticks, slew), ramp(changes, slew)))
    names = [f"{what}{n}" for n in range(len(loads)) for what in ("q", "p", "c", "d")]
    saved = [f"v({name})" if name[0] == "q" else f"i(v{name})" for name in names]
    until = _CYCLE * len(_DATA)
    return simulate("".join(deck), until=until, saved=saved, folder=folder)


class _Cycles:
    """The waves of one instance, by cycle and part: 0 the clock's rise, 1 its fall, 2 data."""

    def __init__(self, waves: Waves, n: int) -> None:
        self._time = waves["time"] * 1e9
        self._waves, self._n = waves, n

    def _part(self, name: str, cycle: int, part: int) -> tuple[Array, Array]:
        low, high = (_CYCLE * cycle + at for at in _PARTS[part])
        inside = (self._time >= low) & (self._time <= high)
        return self._time[inside], self._waves[name][inside]

    @staticmethod
    def still(cell: Clocked) -> tuple[int, ...]:
        """Cycles in which the output does not change."""
        return (4,) if cell.gate else (2, 4)

    def energy(self, cycle: int, part: int) -> float:
        """What the cell takes, pJ."""
        time, current = self._part(f"i(vp{self._n})", cycle, part)
        return float(np.trapezoid(-current, time)) * VOLTAGE * 1e3

    def charge(self, pin: str, cycle: int, part: int) -> float:
        """What goes into a pin, fC."""
        time, current = self._part(f"i(v{pin}{self._n})", cycle, part)
        return abs(float(np.trapezoid(current, time))) * 1e6

    def leakage(self) -> float:
        """The supply's current before anything moves, A."""
        return -float(self._waves[f"i(vp{self._n})"][0])

    def turn(self, cycle: int, part: int, *, up: bool) -> tuple[float, float]:
        """The output's delay from the clock, and its slew, ns."""
        half, slew = edge(*self._part(f"v(q{self._n})", cycle, part), up=up)
        return half - _CYCLE * cycle - (_RISE, _FALL)[part], slew


def _constraints(cell: Clocked, *, models: str, folder: Path) -> dict[str, tuple[Array, Array]]:
    """Setup and hold: for data that rise and that fall, [the clock's slew, data's slew]."""
    shape = (len(CLOCK_SLEWS), len(DATA_SLEWS))
    found = {what: (np.zeros(shape), np.zeros(shape)) for what in ("setup", "hold")}
    for i, clock in enumerate(CLOCK_SLEWS):
        for j, data in enumerate(DATA_SLEWS):
            kinds = [(what, to) for what in ("setup", "hold") for to in (1, 0)]
            spans = [_WIDE] * len(kinds)
            for _ in range(2):
                tries = [np.linspace(*span, _STEPS) for span in spans]
                good = _try(cell, kinds, tries, (clock, data), models=models, folder=folder)
                spans = [_first(times, fine) for times, fine in zip(tries, good, strict=True)]
            for (what, to), (_, time) in zip(kinds, spans, strict=True):
                found[what][1 - to][i, j] = time
    return found


def _first(times: Array, good: Sequence[bool]) -> tuple[float, float]:
    """The last time that is not good, and the next one, from which on all are."""
    bad = [n for n, fine in enumerate(good) if not fine]
    n = min(max(bad[-1], 0), len(times) - 2) if bad else 0
    return float(times[n]), float(times[n + 1])


def _try(
    cell: Clocked, kinds: Sequence[tuple[str, int]], tries: Sequence[Array],
    slews: tuple[float, float], *, models: str, folder: Path,
) -> list[list[bool]]:  # fmt: skip
    """Whether the output is right, for each kind of constraint and each of its times."""
    clock_slew, data_slew = slews
    first, second, until = 1.5, 7.5, 10.5
    clock = ramp([(first, 1), (first + 3, 0), (second, 1), (second + 3, 0)], clock_slew)
    load = LOADS[1] * drive(cell.circuit.name)
    deck, checks = [models, cell.circuit.text], list[int]()
    for (what, to), times in zip(kinds, tries, strict=True):
        # With ample time, then with each: the data's edge before the clock's, or after it.
        for time in (2.0, *times):
            at = second - time if what == "setup" else second + time
            taken = to if what == "setup" else 1 - to
            edges = [(at, to)] if what == "setup" else [(first + 4, 1 - to), (at, to)]
            deck.append(cell.placed(len(checks), load, clock, ramp(edges, data_slew)))
            checks.append(taken)
    waves = simulate(
        "".join(deck), until=until, saved=[f"v(q{n})" for n in range(len(checks))], folder=folder
    )
    time = waves["time"] * 1e9
    late = time > second - 0.5
    outputs = [waves[f"v(q{n})"][late] for n in range(len(checks))]
    arrive = _arrivals(cell, checks, time[late], outputs, second)
    good, n = [], 0
    for times in tries:
        ample, each = arrive[n], arrive[n + 1 : n + 1 + len(times)]
        good.append([bool(one <= _LATER * ample) for one in each])
        n += 1 + len(times)
    return good


def _arrivals(
    cell: Clocked, checks: Sequence[int], time: Array, outputs: Sequence[Array], second: float
) -> list[float]:
    """When each output is there after the clock's edge; NaN: wrong. Of a gate that has to stay
    shut: 1 where it does."""
    pulse = time < second + 2.5  # a gate's output falls with the clock
    found = []
    for taken, wave in zip(checks, outputs, strict=True):
        seen = wave[pulse]
        if cell.gate and not taken:
            found.append(1.0 if seen.max() < VOLTAGE - HIGH else float("nan"))
            continue
        right = seen[-1] > HIGH if taken else seen[-1] < VOLTAGE - HIGH
        found.append(crossing(time[pulse], seen, HALF) - second if right else float("nan"))
    return found
