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
from ...parts.pipeline import delay, history
from ...words import MULT_BITS, SHIFT_BITS
from .unit_mean import Reciprocal, UnitMean, division_cycles, sum_cycles

__all__ = [
    "Means",
    "accumulators",
    "divided_alike",
    "last_sum",
    "means_cycles",
    "means_layout",
    "most_turns",
    "settle_cycles",
    "sums_layout",
]


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


def divided_alike(accumulating: Sequence[Sequence[Use]]) -> list[list[int]]:
    """Indices of accumulators whose sums are divided by the same number in each turn.

    accumulating: the uses of each, as of `accumulators`.
    """
    groups: list[tuple[list[int], dict[tuple[int, int], int]]] = []
    for n, uses in enumerate(accumulating):
        counts = {(use.cell, use.turn): use.count for use in uses}
        for group, others in groups:
            if all(others.get(turn, count) == count for turn, count in counts.items()):
                group.append(n)
                others |= counts
                break
        else:
            groups.append(([n], counts))
    return [group for group, _ in groups]


def most_turns(cells: Sequence[str]) -> int:
    """Turns of the cell that has most of them."""
    return 1 + max(len(CELLS[name].TURNS) for name in cells)


def last_sum(cell: str, turn: int) -> int:
    """Cycles from a unit's pre-activations to the last of its values that the turn sums."""
    kind = CELLS[cell]
    return max(kind.SUM_CYCLES[n] for n in kind.TURNS[turn])


def settle_cycles(cell: str, turn: int) -> int:
    """Cycles from the turn's last mean until what comes of means alone holds."""
    return CELLS[cell].SETTLES[turn]


def means_cycles(cell: str, turn: int, units: int, width: int) -> int:
    """Cycles from where the last of a layer's units go into a cell to `done`, in a turn of it.

    width: units that go into it in a cycle.
    """
    counts = CELLS[cell].TURNS[turn].values()
    division = max(division_cycles(one_over(units * count)[1]) for count in counts)
    return last_sum(cell, turn) + sum_cycles(width) + division + settle_cycles(cell, turn)


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
        The means of the turn hold from the next cycle on, and what comes of them is settled when
        the next turn's first unit, which is `turns.AGAIN` cycles later, takes it; low from the
        cycle after the turn's first units on until then.
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
        accumulating = accumulators(self._cells)
        turns = {
            (index, turn): last_sum(name, turn)
            for index, name in enumerate(self._cells)
            for turn in range(len(CELLS[name].TURNS))
        }
        latest = max(turns.values())
        control = history(m, Cat(self.there, self.first, self.last), latest, "units", reset=True)

        # The turn's last sums are there when the latest of them is; then its divisions start.
        ends: Value = Const(0)
        for (cell, turn), cycle in turns.items():
            there, last = control[cycle][: self._width].any(), control[cycle][-1]
            ends = Mux(self._is(cell, turn), there & last, ends)
        starts = delay(m, ends, sum_cycles(self._width), "starts", reset=True)

        made = Signal()
        waits: list[Value] = []
        for n, group in enumerate(divided_alike(accumulating)):
            m.submodules[f"reciprocal_{n}"] = reciprocal = Reciprocal()
            uses = [use for accumulator in group for use in accumulating[accumulator]]
            mult, shift = self._over(uses)
            m.d.comb += [
                reciprocal.start.eq(starts),
                reciprocal.mult.eq(mult),
                reciprocal.shift.eq(shift),
            ]
            for accumulator in group:
                self._accumulator(m, accumulator, accumulating[accumulator], control, reciprocal)
            waits.append(reciprocal.runs)
        settles = {key: settle_cycles(self._cells[key[0]], key[1]) for key in turns}
        left = Signal(range(max(settles.values()) + 1))
        busy = starts | Cat(*waits).any()
        with m.If(self.there.any() & self.first):
            m.d.sync += made.eq(0)
        with m.Elif(starts):
            m.d.sync += made.eq(1)
        with m.If(busy):
            for key, cycles in settles.items():
                with m.If(self._is(*key)):
                    m.d.sync += left.eq(cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.done.eq(made & ~busy & (left == 0))
        return m

    def _is(self, cell: int, turn: int) -> Value:
        return (self.cell == cell) & (self.turn == turn)

    def _chosen(self, uses: Sequence[Use], values: Sequence[Value]) -> Value:
        """The value of the use that it is the turn of; any where it is of none."""
        chosen = values[0]
        for use, value in zip(uses[1:], values[1:], strict=True):
            chosen = Mux(self._is(use.cell, use.turn), value, chosen)
        return chosen

    def _over(self, uses: Sequence[Use]) -> tuple[Value, Value]:
        """mult and shift of the turn's division, each pair of constants in one place of a choice;
        any where it is the turn of none of the uses."""
        turns: dict[tuple[int, int], set[int]] = {}  # of the cell and count
        for use in uses:
            turns.setdefault((use.cell, use.count), set()).add(use.turn)
        both: Value | None = None
        for (cell, count), taken in turns.items():
            layout = constant_layout(CELLS[self._cells[cell]].CONSTANTS)
            word: Any = layout(self.constants[: layout.size])
            mult, shift = (Value.cast(word[name]) for name in over(count))
            pair = Cat(mult[:MULT_BITS], shift[:SHIFT_BITS])
            here = Cat(*(self._is(cell, turn) for turn in sorted(taken))).any()
            both = pair if both is None else Mux(here, pair, both)
        assert both is not None
        return both[:MULT_BITS], both[MULT_BITS:]

    def _accumulator(
        self,
        m: Module,
        n: int,
        uses: Sequence[Use],
        control: Sequence[Value],
        reciprocal: Reciprocal,
    ) -> None:
        """The nth accumulator, fed in the turns that use it, and its means."""
        sums, means = sums_layout(self._cells), means_layout(self._cells)
        bits = max(sums[use.key].width for use in uses)
        mean = UnitMean(
            value_bits=bits,
            mean_bits=max(means[use.key].width for use in uses),
            width=self._width,
        )
        m.submodules[f"mean_{n}"] = mean
        used = Cat(*(self._is(use.cell, use.turn) for use in uses)).any()
        chosen = self._chosen(uses, [control[use.cycle] for use in uses])
        there, first = chosen[: self._width], chosen[self._width]
        for k, unit in enumerate(self.sums):
            value = Signal(signed(bits), name=f"value_{n}_{k}")
            m.d.comb += [
                value.eq(self._chosen(uses, [Value.cast(unit[use.key]) for use in uses])),
                mean.values.word_select(k, bits).eq(value),
            ]
        m.d.comb += [mean.there.eq(Mux(used, there, 0)), mean.first.eq(first)]
        for name in ("start", "runs", "bit", "rounds"):
            m.d.comb += getattr(mean, name).eq(getattr(reciprocal, name))
        for use in uses:
            with m.If(reciprocal.done & self._is(use.cell, use.turn)):
                m.d.sync += self.means[use.key].eq(mean.mean)
