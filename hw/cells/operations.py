# SPDX-License-Identifier: Apache-2.0
"""A cell's graph as operations of the hardware, each of which ends in registers.

One operation of arithmetic is between two rows of registers. Rounding takes none where the next
operation is an adder: its half bit is that adder's carry. A saturation takes none behind an adder,
and is not there at all where golden's ranges show that nothing saturates.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from amaranth.utils import bits_for

from ...golden.cells.graph import Node, Shift, walk
from ...golden.cells.stages import Stage
from ...golden.cells.values import NORMAL
from ...golden.integer_lstm.cells import Lookup, Rescaling
from ..parts.arithmetic import SHIFT_STAGE_BITS
from ..parts.rescale_twice import rescale_twice_latency
from ..words import VECTOR_SHIFT_BITS
from .activation import Activation
from .base import CONSTANT, SKIP_LATENCY, STATE_LATENCY, STEADY
from .lookup import LookupTable
from .roots import roots_cycles

__all__ = ["Op", "Ref", "lower", "most_power"]

COMPONENTS = ("table", "lookup", "rescale", "power", "root")
"""Operations that are components, whose results come from registers."""

WIDE_BITS = 20
"""A rounded product wider than this is clipped before it is added, for a short carry chain."""


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """An operation, or a source of values.

    kind: source; table, lookup, rescale, mul, sum, relu, down, power and root (of a value that is
    the same for all units), shift (by an amount that is no constant, its result twice as large),
    amount (of a shift), round (half of what is twice as large, rounded) or clip. args: what it
    takes. bits: width of its signed result. latency: cycles; of a source, the cycle in which it
    comes. wide: bits before it saturates to `bits`. node: what it computes, a source's name or a
    shift.
    """

    kind: str
    args: tuple["Ref", ...]
    bits: int
    latency: int
    node: Node | None = None
    name: str = ""
    shift: Shift | None = None
    wide: int = 0
    exact: bool = True

    @property
    def steady(self) -> bool:
        """Whether the result is the same for all units of a layer."""
        if self.kind == "source":
            return self.name.startswith(STEADY)
        args = [arg.op for arg in self.args if arg.op]
        return bool(args) and all(op.steady for op in args)

    @property
    def last(self) -> int:
        """Cycles to the value that a row of registers still has to take, where there is one."""
        return self.latency - (self.kind not in ("source", *COMPONENTS))


@dataclass(frozen=True, slots=True)
class Ref:
    """An operand: an operation's result (or a constant) shifted right by `right` wires.

    rounds: it is twice the value, and is rounded in the adder that takes it; minus: inverted, for
    an adder that subtracts it.
    """

    op: Op | None
    right: int = 0
    rounds: bool = False
    minus: bool = False
    constant: int = 0


def lower(stage: Stage) -> dict[str, Ref]:
    """What leaves the stage, by name, as operations."""
    lowering = _Lowering(stage)
    return {name: lowering.whole(node) for name, node in stage.outputs.items()}


class _Lowering:
    def __init__(self, stage: Stage) -> None:
        self._most = stage.most_c_exponent
        self._constants = stage.constants
        normals = [node for node in walk(stage.outputs.values()) if node.op == "normal"]
        power = max((node.args[1].high for node in normals), default=0)
        self._root_cycles = roots_cycles(len(normals), power)
        self._ready = dict.fromkeys(stage.gates, 0) | {"skip": SKIP_LATENCY}
        self._ops: dict[object, Op] = {}
        self._found: dict[Op, int] = {}

    def whole(self, node: Node) -> Ref:
        """The node's value."""
        if node.op == "const":
            return Ref(None, constant=node.low)
        if node.op == "sat" and node.args[0].bits <= node.bits:
            return self.whole(node.args[0])
        if node.op == "rshr" and not _rounds(node):
            inner = self.whole(node.args[0])
            return Ref(inner.op, inner.right + node.shift.fixed, constant=inner.constant)
        if node.op == "normal":
            return Ref(self._op(node), right=1)
        return Ref(self._op(node))

    def _op(self, node: Node) -> Op:
        if id(node) not in self._ops:
            self._ops[id(node)] = self._make(node)
        return self._ops[id(node)]

    def _make(self, node: Node) -> Op:
        match node.op:
            case "input":
                return self._source(str(node.attr), node.bits)
            case "table" if node.args[0].op == "normal" and self._steady(node.args[0].args[0]):
                args = (self.whole(node.args[0].args[0]),)
                return Op("root", args, node.bits, self._root_cycles, node=node)
            case "table":
                args = (self.whole(node.args[0]),)
                name = node.function.name
                return Op("table", args, 16, Activation.LATENCY, node=node, name=name)
            case "mul":
                return Op("mul", tuple(map(self.whole, node.args)), node.bits, 1, node=node)
            case "own":
                return self._own(node)
            case "relu" | "down":
                return Op(node.op, (self.whole(node.args[0]),), node.bits, 1, node=node)
            case "add" | "sub":
                return self._sum(node, node.bits)
            case "rshr" | "scale":
                return Op("round", (self._doubled(node),), node.bits, 1, node=node, wide=node.bits)
            case "log4" if self._steady(node.args[0]):
                args = (self.whole(node.args[0]),)
                return Op("power", args, node.bits, self._root_cycles, node=node)
            case "log4":
                return Op("log4", (self.whole(node.args[0]),), node.bits, 1, node=node)
            case "normal":
                power = node.args[1]
                ends = [2 * end - NORMAL.fraction for end in (power.low, power.high)]
                return self._shifter(node, Shift(-NORMAL.fraction, 2, 0, *ends))
        inner = node.args[0]  # of a saturation
        if inner.op in ("add", "sub"):
            return self._sum(inner, node.bits)
        if _rounds(inner):
            # Only left shifts saturate and only right shifts round, where the value had 16 bits.
            exact = inner.args[0].bits > 16
            args = (self._doubled(inner),)
            return Op("round", args, node.bits, 1, node=node, wide=inner.bits, exact=exact)
        args = (self.whole(inner),)
        return Op("clip", args, node.bits, 1, node=node, wide=inner.bits)

    def _steady(self, node: Node) -> bool:
        """Whether a value is the same for all units."""
        op = self.whole(node).op
        return op is not None and op.steady

    def _own(self, node: Node) -> Op:
        args = [self.whole(arg) for arg in node.args]
        match node.operation:
            case Lookup() as lookup:
                if not lookup.alone:
                    args.append(Ref(self._amount("c_exponent", bits_for(self._most))))
                latency = LookupTable.LATENCY
                return Op("lookup", tuple(args), 16, latency, node=node, name=lookup.name)
            case Rescaling():
                value, _, shift = node.args
                latency = rescale_twice_latency(value.bits, (shift.low, shift.high))
                return Op("rescale", tuple(args), node.bits, latency, node=node)
        raise TypeError(f"{node.operation.name}: no component does this operation")

    def _source(self, name: str, bits: int) -> Op:
        if name in self._constants:
            name = f"{CONSTANT}{name}"
        steady = name.startswith(STEADY)
        ready = 0 if steady else self._ready.get(name, STATE_LATENCY)
        return self._ops.setdefault(name, Op("source", (), bits, ready, name=name))

    def _sum(self, node: Node, bits: int) -> Op:
        """a + b or a - b, saturated to these bits: at most one of them is rounded in the adder."""
        a, b = node.args
        subtract = node.op == "sub"
        rounded = [n for n in ([b] if subtract else [a, b]) if _rounds(n)]
        if not rounded:
            args = (self.whole(a), self.whole(b))
            return Op(
                "sum", (args[0], _minus(args[1], subtract)), bits, 1, node=node, wide=node.bits
            )
        # The later one is rounded in the adder, the other one before it.
        late = max(rounded, key=lambda n: self._earliest(self._doubled(n).op))
        other = b if late is a else a
        halves = self._doubled(late)
        most = max(other.bits, bits) + 1
        if node.bits > bits and late.bits > max(WIDE_BITS, most):
            assert halves.op is not None
            key = ("clip", id(late), most)
            wide = late.bits + 1
            clip = Op("clip", (Ref(halves.op, halves.right),), most + 1, 1, wide=wide)
            halves = Ref(self._ops.setdefault(key, clip), rounds=True)
        args = (self.whole(other), _minus(halves, subtract))
        return Op("sum", args, bits, 1, node=node, wide=node.bits)

    def _doubled(self, node: Node) -> Ref:
        """Twice the value of a rounding shift, rounded down."""
        value, shift = self.whole(node.args[0]), node.shift
        if shift.constant:
            return Ref(value.op, value.right + shift.fixed - 1, rounds=True)
        key = ("shift", id(node))
        if key not in self._ops:
            self._ops[key] = self._shifter(node, shift)
        return Ref(self._ops[key], rounds=True)

    def _shifter(self, node: Node, shift: Shift) -> Op:
        """Twice the node's first argument, shifted by what is no constant, and rounded down."""
        amounts = []
        bits = bits_for(shift.high - shift.low)
        if node.op != "rshr":
            amounts.append(self.whole(node.args[1]))
        elif shift.c:
            amounts.append(Ref(self._amount("c_exponent", bits_for(self._most))))
        if shift.s:
            amounts.append(Ref(self._amount("vector_shift", VECTOR_SHIFT_BITS)))
        if len(amounts) == 2:
            amounts = [Ref(Op("amount", tuple(amounts), bits, 1, shift=shift))]
        stages = -(-bits // SHIFT_STAGE_BITS)
        args = (self.whole(node.args[0]), *amounts)
        return Op("shift", args, node.bits + 1, stages, node=node, shift=shift)

    def _earliest(self, op: Op | None) -> int:
        """The first cycle in which a result is there."""
        if op is None:
            return 0
        if op not in self._found:
            first = max((self._earliest(arg.op) for arg in op.args), default=0)
            self._found[op] = first + op.latency
        return self._found[op]

    def _amount(self, name: str, bits: int) -> Op:
        self._ready[name] = 0
        return self._source(name, bits)


def most_power(ops: Iterable[Op]) -> int:
    """Largest power of 4 in what these take roots of."""
    return max(op.node.args[0].args[1].high for op in ops if op.node)


def _rounds(node: Node) -> bool:
    """Whether it is a shift that may round."""
    return node.op == "scale" or (
        node.op == "rshr" and not (node.shift.constant and node.shift.fixed <= 0)
    )


def _minus(ref: Ref, subtract: bool) -> Ref:
    return Ref(ref.op, ref.right, ref.rounds, subtract, ref.constant)
