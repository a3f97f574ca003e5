# SPDX-License-Identifier: Apache-2.0
"""What the next round of a pass may have to wait for: D-words that are still in the pipeline."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...config import AcceleratorConfig
from ...parts.pipeline import history
from .stages import SCALE, complete_stage

SUMS_SETTLE = SCALE + 2
"""Cycles from a D-word's turn to `sums_written`."""


def gates_settle(config: AcceleratorConfig) -> int:
    """Cycles from the turn of a D-word that completes a gate to `gates_queued`."""
    return complete_stage(config) + 1


class Interlock(wiring.Component):
    """Tells when all that D-words have changed can be relied on.

    Both answers come from registers, so that what waits for them may still be decided in the
    same cycle. They are high after reset.

    LATENCY: `SUMS_SETTLE` and `gates_settle` cycles.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    turn : in, 1 bit
        It is a D-word's turn.
    completes_gate : in, 1 bit
        With turn: the D-word's gate goes on to the cell unit.
    sums_written : out, 1 bit
        M holds the sums of every D-word that had its turn.
    gates_queued : out, 1 bit
        Every gate that a D-word has completed is in the cell unit's queue.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._to_queue = complete_stage(config)
        super().__init__(
            {
                "turn": In(1),
                "completes_gate": In(1),
                "sums_written": Out(1),
                "gates_queued": Out(1),
            }
        )

    turn: Signal
    completes_gate: Signal
    sums_written: Signal
    gates_queued: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        written, queued = Signal(init=1), Signal(init=1)
        m.d.comb += [self.sums_written.eq(written), self.gates_queued.eq(queued)]

        recent = history(m, self.turn, SCALE, "turn", reset=True)
        m.d.sync += written.eq(~Cat(*recent).any())

        cycles_left = Signal(range(self._to_queue))  # of the last gate, on its way to the queue
        with m.If(self.turn & self.completes_gate):
            m.d.sync += [cycles_left.eq(self._to_queue - 1), queued.eq(0)]
        with m.Else():
            m.d.sync += [
                queued.eq(cycles_left == 0),
                cycles_left.eq(Mux(cycles_left == 0, 0, cycles_left - 1)),
            ]
        return m
