# SPDX-License-Identifier: Apache-2.0
"""What of a Liberty file a clock gate can be made of: latches, and integrated gates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .liberty import Group


@dataclass(frozen=True, slots=True)
class Latch:
    """The pins of a plain latch: transparent while `enable` is high, or low where `high` is not."""

    data: str
    enable: str
    high: bool
    output: str


@dataclass(frozen=True, slots=True)
class GatePins:
    """The pins of an integrated clock gate for rising edges; `tied`: its scan pins, tied low."""

    enable: str
    clock: str
    output: str
    tied: tuple[str, ...]


def latch_of(states: Sequence[Group], functions: Mapping[str, str]) -> Latch | None:
    """The latch that a cell of these states is: one without clear and preset, and with an output
    that is its state; functions: of its pins."""
    if len(states) != 1 or states[0].kind != "latch":
        return None
    (state,) = states
    enable = re.fullmatch(r"\(?(!?)\s*(\w+)\s*('?)\)?", state.attributes.get("enable", "").strip())
    data = state.attributes.get("data_in", "").strip()
    outputs = [pin for pin, function in functions.items() if function.strip("() ") == state.name]
    if (
        not enable
        or not outputs
        or data not in functions
        or {"clear", "preset"} & set(state.attributes)
    ):
        return None
    return Latch(data, enable[2], high=not (enable[1] or enable[3]), output=outputs[0])


def gate_of(group: Group) -> GatePins | None:
    """An integrated clock gate for rising edges, by the attributes that Liberty has for it."""
    kind = group.attributes.get("clock_gating_integrated_cell", "")
    if not kind.startswith("latch_posedge") or "obs" in kind:
        return None
    found: dict[str, list[str]] = {
        what: [
            pin.name
            for pin in group.every("pin")
            if pin.attributes.get(f"clock_gate_{what}_pin") == "true"
        ]
        for what in ("enable", "clock", "out", "test")
    }
    if any(len(found[what]) != 1 for what in ("enable", "clock", "out")):
        return None
    (enable,), (clock,), (output,) = found["enable"], found["clock"], found["out"]
    return GatePins(enable, clock, output, tied=tuple(found["test"]))
