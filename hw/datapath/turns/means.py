# SPDX-License-Identifier: Apache-2.0
"""The means of one turn of a layer, which the turns after it read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from ....golden.cells.steps import one_over
from ...cells.base import constant_layout, over
from ...cells.catalogue import CELLS, constant_bits
from ...parts.pipeline import history
from .unit_mean import UnitMean

__all__ = [
    "Means",
    "accumulators",
    "means_cycles",
    "means_layout",
    "most_turns",
    "settle_cycles",
    "sums_layout",
]

MEAN_CYCLES = 4
"""From a turn's last sum to where its mean is held, besides the shift behind the multiplier."""


@dataclass(frozen=True, slots=True)
class Use:
    """What an accumulator does in one turn of one cell.

    cell: index in the cell unit's cells; turn: of those of the cell. key: of `sums_layout`. count:
    how many values the sum is of. cycle: in which it comes after the unit's pre-activations.
    """

    cell: int
    turn: int
    key: str
    count: int
    cycle: int


def _key(cell: str, n: int) -> str:
    return f"{cell}_{n}"


def sums_layout(cells: Sequence[str]) -> StructLayout:
    """All values of these cells whose mean is taken, of one unit."""
    return StructLayout(
        {_key(c, n): signed(bits) for c in cells for n, bits in CELLS[c].SUMS.items()}
    )


def means_layout(cells: Sequence[str]) -> StructLayout:
    """The means of these cells."""
    return StructLayout(
        {_key(c, n): signed(bits) for c in cells for n, bits in CELLS[c].MEANS.items()}
    )


def accumulators(cells: Sequence[str]) -> list[list[Use]]:
    """The uses of each accumulator: a turn of a cell has one for each of its sums."""
    uses: list[list[Use]] = []
    for index, name in enumerate(cells):
        cell = CELLS[name]
        for turn, counts in enumerate(cell.TURNS):
            for place, (n, count) in enumerate(counts.items()):
                if place == len(uses):
                    uses.append([])
                cycle = cell.SUM_CYCLES[n]
                uses[place].append(Use(index, turn, _key(name, n), count, cycle))
    return uses


def most_turns(cells: Sequence[str]) -> int:
    """Turns of the cell that has most of them."""
    return 1 + max(len(CELLS[name].TURNS) for name in cells)


def settle_cycles(cells: Sequence[str]) -> int:
    """Cycles from the turn's last mean until what comes of means alone holds, in any cell."""
    return max(1, *(CELLS[name].SETTLES for name in cells))


def means_cycles(cells: Sequence[str], cell: str, turn: int, units: int) -> int:
    """Cycles from where the last of a layer's units go into a cell to `done`, in a turn of it."""
    kind = CELLS[cell]
    last = max(
        kind.SUM_CYCLES[n] + one_over(units * count)[1] for n, count in kind.TURNS[turn].items()
    )
    return last + MEAN_CYCLES + settle_cycles(cells)


class Means(wiring.Component):
    """Sum over the units of a turn, divide by their number, and hold the means for the next turns.

    A turn's sums have an accumulator each, which those of the next turn use again.

    LATENCY: `means_cycles` from the turn's last units to `done`. THROUGHPUT: `width` units a cycle.

    Parameters
    ----------
    cells : sequence of str
        Names in `CELLS`; at least one takes turns.
    width : int
        Units a cycle.

    Members
    -------
    there : in, `width` bits
        Which units go into the cells, in a turn that makes means.
    first, last : in, 1 bit
        With the turn's first units, and with its last ones.
    cell, turn : in
        Of the units, held until `done`.
    constants : in, `constant_bits(cells)` bits
        The layer's, from a cycle after its first units on.
    sums : in, `sums_layout(cells)` for each of `width` units
        Each of them in its own cycle, `Cell.SUM_CYCLES`.
    means : out, `means_layout(cells)`
    done : out, 1 bit
        The means of the turn hold, and what comes of them is settled; low from the cycle after its
        first units on until then.
    """

    there: Signal
    first: Signal
    last: Signal
    cell: Signal
    turn: Signal
    constants: Signal
    sums: Any
    means: Any
    done: Signal

    def __init__(self, *, cells: Sequence[str], width: int = 1) -> None:
        self._cells, self._width = tuple(cells), width
        super().__init__(
            {
                "there": In(width),
                "first": In(1),
                "last": In(1),
                "cell": In(range(len(cells))),
                "turn": In(range(most_turns(cells))),
                "constants": In(constant_bits(cells)),
                "sums": In(ArrayLayout(sums_layout(cells), width)),
                "means": Out(means_layout(cells)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        every = accumulators(self._cells)
        latest = max(use.cycle for uses in every for use in uses)
        control = history(m, Cat(self.there, self.first, self.last), latest, "units", reset=True)

        waits: list[Value] = []  # for an accumulator that the turn uses
        for n, uses in enumerate(every):
            mean = self._accumulator(m, n, uses, control)
            was_done, made = Signal(name=f"was_done_{n}"), Signal(name=f"made_{n}")
            rises = mean.done & ~was_done
            m.d.sync += was_done.eq(mean.done)
            with m.If(self.there.any() & self.first):
                m.d.sync += made.eq(0)
            with m.Elif(rises):
                m.d.sync += made.eq(1)
            for use in uses:
                with m.If(rises & self._is(use)):
                    m.d.sync += self.means[use.key].eq(mean.mean)
            used = Cat(*(self._is(use) for use in uses)).any()
            waits.append(used & ~made)
        left = Signal(range(settle_cycles(self._cells) + 1))
        all_made = ~Cat(*waits).any()
        with m.If(~all_made):
            m.d.sync += left.eq(settle_cycles(self._cells))
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.done.eq(all_made & (left == 0))
        return m

    def _is(self, use: Use) -> Value:
        return (self.cell == use.cell) & (self.turn == use.turn)

    def _accumulator(
        self, m: Module, n: int, uses: Sequence[Use], control: Sequence[Value]
    ) -> UnitMean:
        """The nth accumulator, fed in the turns that use it."""
        sums, means = sums_layout(self._cells), means_layout(self._cells)
        bits = max(sums[use.key].width for use in uses)
        mean = UnitMean(
            value_bits=bits,
            mean_bits=max(means[use.key].width for use in uses),
            width=self._width,
        )
        m.submodules[f"mean_{n}"] = mean
        chosen = Mux(self._is(uses[0]), control[uses[0].cycle], 0)
        mult: Value = Const(0)
        shift: Value = Const(0)
        values: list[Value] = [Const(0)] * self._width
        for use in uses:
            if use is not uses[0]:
                chosen = Mux(self._is(use), control[use.cycle], chosen)
            layout = constant_layout(CELLS[self._cells[use.cell]].CONSTANTS)
            constants: Any = layout(self.constants[: layout.size])
            names = over(use.count)
            mult = Mux(self._is(use), Value.cast(constants[names[0]]), mult)
            shift = Mux(self._is(use), Value.cast(constants[names[1]]), shift)
            values = [
                Mux(self._is(use), Value.cast(unit[use.key]), value)
                for unit, value in zip(self.sums, values, strict=True)
            ]
        wide = [Signal(signed(bits), name=f"value_{n}_{k}") for k in range(self._width)]
        m.d.comb += [
            *(signal.eq(value) for signal, value in zip(wide, values, strict=True)),
            Cat(mean.there, mean.first, mean.last).eq(chosen),
            mean.values.eq(Cat(*wide)),
            mean.mult.eq(mult),
            mean.shift.eq(shift),
        ]
        return mean
