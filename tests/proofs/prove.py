# SPDX-License-Identifier: Apache-2.0
"""Proofs by yosys' own SAT solver: k-induction, and bounded model checking.

A `Claim` has a part of the design as a submodule, signals of the outside that may be anything, and
bits that must be 1 in every cycle from a reset on.
"""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal, Value

LIMIT = 1200
"""Seconds for one proof."""
YOSYS = "from pyosys import libyosys as y; y.run_pass('script prove.ys', y.Design())"


class Claim:
    """What is to be proved, in the making."""

    def __init__(self) -> None:
        self.m = Module()
        self._free: list[Signal] = []
        self._claims: list[Value] = []
        self._assumed: list[Value] = []

    def free(self, shape: Any, name: str) -> Signal:
        """A signal that may be anything in any cycle."""
        self._free.append(Signal(shape, name=name))
        return self._free[-1]

    def assume(self, bit: Any) -> None:
        """The outside keeps this bit at 1."""
        self._assumed.append(Value.cast(bit).bool())

    def claim(self, bit: Any) -> None:
        """This bit is always 1."""
        self._claims.append(Value.cast(bit).bool())

    def before(self, value: Any, name: str) -> Signal:
        """The value a cycle before."""
        held = Signal(len(Value.cast(value)), name=f"{name}_before")
        self.m.d.sync += held.eq(value)
        return held

    def holds_until(self, valid: Any, ready: Any, payload: Any, name: str) -> None:
        """The rule of a stream: what is offered stays until it is taken."""
        waiting = self.before(valid & ~ready, f"{name}_waiting")
        word = self.before(payload, name)
        self.claim(~waiting | valid)
        self.claim(~waiting | (payload == word))

    def rtlil(self) -> str:
        holds, assumed = Signal(name="holds"), Signal(name="assumed")
        self.m.d.comb += [
            holds.eq(Cat(*self._claims).all()),
            assumed.eq(Cat(*self._assumed).all() if self._assumed else 1),
        ]
        ports = [*self._free, holds, assumed]
        return rtlil.convert(self.m, name="top", ports=ports, emit_src=False)


@dataclass(frozen=True, slots=True)
class Result:
    """Whether it is proved; cycles: of the induction or of the counterexample."""

    proved: bool
    cycles: int


def prove(claim: Claim, *, cycles: int, bounded: bool = False) -> Result:
    """By induction over up to so many cycles; bounded: in the first cycles only.

    Raises RuntimeError where there is neither a proof nor a counterexample.
    """
    how = "-tempinduct-baseonly" if bounded else "-tempinduct"
    script = f"""
read_rtlil design.il
proc
flatten
memory -nordff
opt -full
sat {how} -prove holds 1 -set assumed 1 -set rst 0 -seq 0 -maxsteps {cycles} top
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "design.il").write_text(claim.rtlil())
        (Path(folder) / "prove.ys").write_text(script)
        ran = subprocess.run(
            [sys.executable, "-c", YOSYS],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    log = ran.stdout + ran.stderr
    lengths = [int(n) for n in re.findall(r"Trying induction with length (\d+)", log)]
    reached = max(lengths, default=0)
    if "model found for base case: FAIL" in log:
        return Result(False, reached)
    if "Induction step proven: SUCCESS" in log or (bounded and "proved base case for" in log):
        return Result(True, reached)
    raise RuntimeError(f"neither proved nor refuted in {reached} cycles: {log[-500:]}")
