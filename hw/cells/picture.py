# SPDX-License-Identifier: Apache-2.0
"""Every cell's equations and pipeline as text: docs/cells/schedules.md.

python -m deltaloom.hw.cells.picture > docs/cells/schedules.md
"""

import sys

from ...golden.cells import CELLS, Stage
from ...golden.cells.text import equations
from .pipeline import pipeline

__all__ = ["page", "picture"]

HEAD = """# Equations and schedules of all cells

Made from the descriptions in `golden/cells/` by `python -m deltaloom.hw.cells.picture`; p_g is the
pre-activation of gate g, c' and h' are the states before the step, clip is within -1..1. Below the
equations is each stage's pipeline, one unit a cycle: `=` while an operation runs, `.` while its
result waits. Values shift by wires, and are rounded in the adder that takes them, where neither has
a row. What comes of means alone is made once between two turns; its cycles are counted from where
the means hold.
"""


def picture(stage: Stage) -> str:
    """A row for each operation, a column for each cycle; the outputs hold in the last one."""
    plan = pipeline(stage).SCHEDULE
    kept = {op: start + op.latency for op, start in plan.start.items()}
    for op in plan.start:
        for arg in op.args:
            if arg.op is not None:
                kept[arg.op] = max(kept[arg.op], plan.start[op])
    for name, ref in plan.outputs.items():
        if ref.op is not None:
            kept[ref.op] = max(kept[ref.op], plan.holds(name))
    # What is made between two turns may take longer than a unit.
    end = max(plan.latency, *plan.settles(stage.turns), 0)
    rows = [f"{'cycle':16}" + "".join(str(n % 10) for n in range(end + 1))]
    for op, start in plan.start.items():
        ready = start + op.latency
        if op.kind == "source":
            line = " " * ready + "." * (kept[op] - ready)
        else:
            line = " " * start + "=" * op.latency + "." * (kept[op] - ready)
        rows.append(f"{op.name or op.kind:16}{line[: end + 1]}".rstrip())
    return "\n".join(rows)


def page() -> str:
    """docs/cells/schedules.md."""
    parts = [HEAD]
    for cell in CELLS.values():
        parts.append(f"\n## {cell.name}\n\n" + _indented("\n".join(equations(cell))))
        for stage in cell.stages:
            size, latency = pipeline(stage).SIZE, pipeline(stage).LATENCY
            own = f", gates {' '.join(stage.gates)}" if len(cell.stages) > 1 else ""
            turns = f"{len(stage.turns) + 1} turns, " if stage.turns else ""
            parts.append(
                f"\n{turns}{latency} cycles, {size.tables} tables, {size.multipliers} multipliers, "
                f"{size.registers} flip-flops besides{own}:\n\n{_indented(picture(stage))}"
            )
    return "".join(parts)


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


if __name__ == "__main__":
    sys.stdout.write(page())
