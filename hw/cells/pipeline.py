# SPDX-License-Identifier: Apache-2.0
"""A golden cell's stage as hardware: its operations as scheduled, one unit a cycle."""

from functools import cache
from typing import Any, ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from ...golden.activations import Curve
from ...golden.cells.graph import walk
from ...golden.cells.stages import Stage
from ...golden.integer_lstm.cells import Lookup
from ..parts.arithmetic import SHIFT_STAGE_BITS, add_halves, sat
from ..parts.rescale_twice import RescaleTwice
from ..words import MULT_BITS, SHIFT_BITS
from .activation import Activation
from .base import CONSTANT, Cell, over
from .curve import CurveTable
from .lookup import LookupTable
from .operations import Op, Ref, lower, most_power
from .roots import Roots, floor_log4
from .schedule import SUM, Schedule, schedule

__all__ = ["Pipeline", "pipeline"]

AMOUNTS = ("c_exponent", "vector_shift")
"""Sources that say how far something is shifted, of which a cell may need the low bits only."""


class Pipeline(Cell):
    """A scheduled stage; `pipeline` makes a class of each.

    LATENCY is the schedule's, one unit a cycle. All values are as wide as golden's ranges say.
    """

    STAGE: ClassVar[Stage]
    SCHEDULE: ClassVar[Schedule]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        build = _Build(m, self)
        ports = {"c": "c_next", "h": "h_next"}
        m.d.comb += [
            getattr(self, ports.get(name, name)).eq(build.output(name))
            for name in self.SCHEDULE.outputs
        ]
        return m


@cache
def pipeline(stage: Stage) -> type[Pipeline]:
    """The stage's class."""
    plan = schedule(lower(stage))
    reads = stage.inputs & {"c", "h", "skip"} | ({"vectors"} if stage.vectors else set())
    constants = {op.name: op.bits for op in plan.start if op.name.startswith(CONSTANT)}
    for count in {count for turn in stage.turns for count in turn.values()}:
        constants |= dict(zip(over(count), (MULT_BITS + 1, SHIFT_BITS + 1), strict=True))
    nodes = {str(node.attr): node for node in walk(stage.outputs.values()) if node.op == "input"}
    numbers = sorted(n for turn in stage.turns for n in turn)
    shifts = any(op.name == "c_exponent" for op in plan.start)
    if any(op.name == "vector_shift" for op in plan.start):
        reads |= {"vector_shift"}
    attributes: dict[str, Any] = {
        "__doc__": f"The stage {stage.name!r}: {plan.size.multipliers} multipliers, "
        f"{plan.size.tables} block RAMs.",
        "STAGE": stage,
        "SCHEDULE": plan,
        "SIZE": plan.size,
        "GATES": len(stage.gates),
        "READS": frozenset(reads | stage.prepared | ({"constants"} if constants else set())),
        "VECTORS": stage.vectors,
        "CONSTANTS": constants,
        "LATENCY": plan.latency,
        "MAX_C_EXPONENT": stage.most_c_exponent if shifts else Cell.MAX_C_EXPONENT,
        "CONTINUES": not stage.first,
        "HAS_OUT": "out" in stage.outputs,
        "SETTLES": plan.settles(stage.turns),
        "TURNS": stage.turns,
        "MEANS": {n: nodes[f"mean_{n}"].bits for n in numbers},
        "SUMS": {n: stage.outputs[f"{SUM}{n}"].bits for n in numbers},
        "SUM_CYCLES": {n: plan.holds(f"{SUM}{n}") for n in numbers},
    }
    return type(f"{stage.name}_cell", (Pipeline,), attributes)


class _Build:
    """The values of one cell's operations, each in the cycles in which it is taken."""

    def __init__(self, m: Module, cell: Pipeline) -> None:
        self._m, self._cell, self._plan = m, cell, cell.SCHEDULE
        self._names = {op: f"{op.name or op.kind}_{n}" for n, op in enumerate(self._plan.start)}
        self._held: dict[tuple[Op, int], Value] = {}
        self._open: dict[Op, Value] = {}
        self._shared: list[tuple[Value, Value]] = []

    def output(self, name: str) -> Value:
        ref = self._plan.outputs[name]
        op = ref.op
        if op is not None and self._plan.opens(op) and not name.startswith(SUM):
            return _wired(self._result(op), ref)
        return self._operand(ref, self._plan.holds(name))

    def _operand(self, ref: Ref, cycle: int) -> Value:
        if ref.op is None:
            return Const(ref.constant << max(-ref.right, 0))
        if ref.op in self._plan.steady:  # always the same, from its own last cycle on
            cycle = self._plan.start[ref.op] + ref.op.latency
        return _wired(self._at(ref.op, cycle), ref)

    def _at(self, op: Op, cycle: int) -> Value:
        """An operation's result in a cycle."""
        late = cycle - self._plan.start[op] - op.last
        if late == 0:
            return self._result(op)
        if (op, cycle) not in self._held:
            value = self._at(op, cycle - 1)
            name = f"{self._names[op]}_{cycle}"
            register = Signal(value.shape(), name=name, reset_less=True)
            self._m.d.sync += register.eq(value)
            self._held[op, cycle] = register
        return self._held[op, cycle]

    def _result(self, op: Op) -> Value:
        """An operation's result, before its last registers."""
        if op not in self._open:
            start = self._plan.start[op]
            if op.kind == "shift":
                self._open[op] = self._shift(op)
            else:
                args = [self._operand(ref, start) for ref in op.args]
                self._open[op] = getattr(self, f"_{op.kind}")(op, *args)
        return self._open[op]

    def _source(self, op: Op) -> Value:
        cell, name = self._cell, op.name
        if name in cell.STAGE.gates:
            value: Value = cell.p[cell.STAGE.gates.index(name)]
            return value
        if name in cell.VECTORS:
            return Value.cast(cell.vectors[name])
        if name in cell.CONSTANTS:
            return Value.cast(cell.constants[name])
        port = Value.cast(getattr(cell, name))
        return port[: op.bits] if name in AMOUNTS else port

    def _table(self, op: Op, p: Value) -> Value:
        assert op.node is not None
        name = self._names[op]
        contents = op.node.function.table
        activation = CurveTable(contents) if isinstance(contents, Curve) else Activation(contents)
        self._m.submodules[name] = activation
        self._m.d.comb += activation.p.eq(p)
        return activation.o

    def _lookup(self, op: Op, p: Value, exponent: Value | None = None) -> Value:
        assert op.node is not None and isinstance(op.node.attr, Lookup)
        self._m.submodules[self._names[op]] = table = LookupTable(op.node.attr.tables)
        self._m.d.comb += table.p.eq(p)
        if exponent is not None:
            self._m.d.comb += table.exponent.eq(exponent)
        return table.o

    def _rescale(self, op: Op, value: Value, mult: Value, shift: Value) -> Value:
        assert op.node is not None
        node = op.node.args[2]
        self._m.submodules[self._names[op]] = rescale = RescaleTwice(
            value_bits=len(value), shifts=(node.low, node.high), out_bits=op.bits
        )
        self._m.d.comb += [
            rescale.value.eq(value),
            rescale.mult.eq(mult),
            rescale.shift.eq(shift),
        ]
        return rescale.o

    def _mul(self, op: Op, a: Value, b: Value) -> Value:
        return (a * b)[: op.bits].as_signed()

    def _sum(self, op: Op, a: Value, b: Value) -> Value:
        base, other = op.args
        assert not base.rounds
        if other.rounds:
            total = add_halves(_signed(a), ~b if other.minus else b)
        else:
            total = a - b if other.minus else a + b
        return sat(total[: op.wide].as_signed(), op.bits)

    def _relu(self, op: Op, v: Value) -> Value:
        return Mux(v[-1], 0, v)[: op.bits].as_signed()  # the registers' reset, in FPGAs

    def _down(self, op: Op, v: Value) -> Value:
        return (v + v[-1].replicate(1).as_signed())[: op.bits].as_signed()

    def _log4(self, op: Op, v: Value) -> Value:
        """How many powers of 4 from 4 on it reaches."""
        assert op.node is not None
        return floor_log4(v, op.node.high, op.bits)

    def _power(self, op: Op, v: Value) -> Value:
        return Cat(self._roots(op)[0], 0).as_signed()

    def _root(self, op: Op, v: Value) -> Value:
        return self._roots(op)[1]

    def _roots(self, op: Op) -> tuple[Value, Value]:
        """The power and the root of what the operation takes, of all that are steady."""
        ops = [each for each in self._plan.start if each.kind == "root"]
        values = [each.args[0] for each in ops]
        if not self._shared:
            contents = ops[0].node.function.table if ops[0].node else None
            assert isinstance(contents, Curve)
            bits = max(ref.op.bits for ref in values if ref.op)
            roots = Roots(count=len(ops), value_bits=bits, most=most_power(ops), table=contents)
            self._m.submodules.roots = roots
            for n, ref in enumerate(values):
                self._m.d.comb += roots.values[n].eq(self._operand(ref, 0))
            self._shared = [*zip(roots.powers, roots.roots, strict=True)]
        return self._shared[values.index(op.args[0])]

    def _clip(self, op: Op, v: Value) -> Value:
        return sat(v[: op.wide].as_signed(), op.bits)

    def _round(self, op: Op, doubled: Value) -> Value:
        if op.exact or op.wide <= op.bits:
            rounded = (doubled + 1).shift_right(1)[: op.wide].as_signed()
            return sat(rounded, op.bits)
        # Whether it fits is known before it is rounded: see `lower`.
        bits = op.bits
        sign, top = doubled[-1], doubled[bits:]
        fits = top.all() | ~top.any()
        limit = Cat((~sign).replicate(bits - 1), sign)
        return Mux(fits, (doubled[: bits + 1] + 1)[1 : bits + 1], limit)[:bits].as_signed()

    def _amount(self, op: Op, e_c: Value, s: Value) -> Value:
        assert op.shift is not None
        shift = op.shift
        return (_times(e_c, shift.c) + _times(s, shift.s) + shift.fixed - shift.low)[: op.bits]

    def _shift(self, op: Op) -> Value:
        """Twice the value, shifted by 3 bits of the amount a cycle, the coarsest first."""
        assert op.shift is not None
        shift, start = op.shift, self._plan.start[op]
        value, amount = (self._operand(ref, start) for ref in op.args)
        bits = (shift.high - shift.low).bit_length()
        if op.args[1].op is not None and op.args[1].op.kind != "amount":
            rest = shift.fixed - shift.low
            factor = shift.c or shift.s
            amount = rest - amount if factor == -1 else _times(amount, factor) + rest
        amount = amount[:bits]
        low = shift.low
        doubled = value.shift_left(1 - low) if low <= 1 else value.shift_right(low - 1)
        places = [*reversed(range(0, bits, SHIFT_STAGE_BITS))]
        for at in places:
            part = Signal(unsigned(min(SHIFT_STAGE_BITS, bits - at)))
            self._m.d.comb += part.eq(amount[at:])
            width = min(op.bits + (1 << at), len(doubled))
            doubled = (doubled >> Cat(Const(0, at), part))[:width].as_signed()
            if at:
                name = f"{self._names[op]}_by_{at}"
                value = Signal(signed(width), name=name, reset_less=True)
                left = Signal(at, name=f"{name}_left", reset_less=True)
                self._m.d.sync += [value.eq(doubled), left.eq(amount)]
                doubled, amount = value, left
        return doubled[: op.bits].as_signed()


def _times(value: Value, factor: int) -> Value:
    """A product with a small constant, which needs no multiplier."""
    powers = [value << n for n in range(abs(factor).bit_length()) if abs(factor) >> n & 1]
    total = sum(powers[1:], powers[0])
    return -total if factor < 0 else total


def _signed(value: Value) -> Value:
    return value if value.shape().signed else Cat(value, 0).as_signed()


def _wired(value: Value, ref: Ref) -> Value:
    """The value as an operand takes it."""
    if ref.right > 0:
        return value.shift_right(ref.right)
    return value.shift_left(-ref.right) if ref.right < 0 else value
