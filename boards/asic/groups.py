# SPDX-License-Identifier: Apache-2.0
"""The registers of a design in groups that change together, and what each is made of."""

from dataclasses import dataclass, field
from typing import Any

from .nets import Design, Net

ENABLED = {
    "$_DFF_P_": "$_DFFE_PP_", "$_SDFF_PP0_": "$_SDFFE_PP0P_", "$_SDFF_PP1_": "$_SDFFE_PP1P_",
}  # fmt: skip
OF_RTL = ("$_DFFE_PP_", "$_SDFFE_PP0P_", "$_SDFFE_PP1P_")
"""Flip-flops without an enable, and what each is with one; those that the RTL gives one."""
OUTSIDE = 1
"""In `Group.sources`: inputs of the top."""
_RESET = 2


@dataclass(slots=True, eq=False)
class Group:
    """Flip-flops of one module that change together, or a macro's output.

    Members
    -------
    changes: nets of which one is 1 when the group may change; None: not made yet.
    sources: a bit for each group that its inputs are made of. of_reset: and rst.
    loose: has no enable of the RTL.
    reset: gets a value in reset.
    compared: changes by a comparison of D and Q.
    stuck: gets no enable.
    twin: the group whose enable it shares.
    enable: for a loose group. enabled: by the RTL. sharp: the better one.
    macro, written: it is a macro's output, and its wen.
    word_of_memory: it is one, in flip-flops.
    """

    module: str
    cells: list[Any] = field(default_factory=list)
    changes: list[Net] | None = None
    sources: int = 0
    loose: bool = False
    reset: bool = False
    compared: bool = False
    stuck: bool = False
    of_reset: bool = False
    twin: "Group | None" = None
    enable: Net | None = None
    enabled: Net | None = None
    written: Net | None = None
    macro: bool = False
    sharp: Net | None = None
    word_of_memory: bool = False

    @property
    def bits(self) -> int:
        """How many flip-flops it has."""
        return len(self.cells[0]["connections"]["rdata"]) if self.macro else len(self.cells)


class Groups:
    """The groups of a design, whose resets other than by rst become a part of what is taken.

    Members
    -------
    all: every group.
    absorbed: flip-flops whose reset was made a part of what they take.
    """

    def __init__(self, design: Design) -> None:
        self._design = design
        self._reset = design.port("rst")
        self.all: list[Group] = []
        self.absorbed = design.absorb_resets(self._reset)
        self._of_net: dict[Net, int] = {}
        self._masks: dict[Net, int] = {}
        self._find()

    def _find(self) -> None:
        design = self._design
        absorbed = self.absorbed
        found: dict[Any, Group] = {}
        for module, name, cell in design.cells():
            kind = cell["type"]
            if kind in ENABLED or kind in OF_RTL:
                pins = {
                    pin: design.net(module, bits[0]) for pin, bits in cell["connections"].items()
                }
                loose = kind in ENABLED
                reset = "R" in pins
                key = (module, design.word(module, cell)) if loose else (module, pins["E"])
                group = found.setdefault((*key, loose, pins.get("R")), Group(module, loose=loose))
                group.cells.append(cell)
                group.reset |= reset
                if not loose:
                    group.enabled = pins["E"]
                    group.changes = [group.enabled]
                    group.word_of_memory |= design.word(module, cell).endswith("]")
                self._of_net[pins["Q"]] = id(group)
            elif design.is_macro(kind):
                group = Group(module, cells=[cell], macro=True)
                group.enabled, group.written = (
                    design.net(module, cell["connections"][pin][0]) for pin in ("ren", "wen")
                )
                group.changes = [group.enabled]
                found[module, name] = group
                for bit in cell["connections"]["rdata"]:
                    self._of_net[design.net(module, bit)] = id(group)
        self.all = list(found.values())
        place = {id(group): n + 2 for n, group in enumerate(self.all)}
        self._masks = {net: 1 << place[group] for net, group in self._of_net.items()}
        self._masks |= dict.fromkeys(design.inputs(), OUTSIDE)
        self._masks[self._reset] = _RESET
        for group in self.all:
            for cell in group.cells:
                for bit in cell["connections"]["raddr" if group.macro else "D"]:
                    group.sources |= self._cone(design.net(group.module, bit))
                if id(cell) in absorbed:
                    group.reset |= bool(self._cone(absorbed[id(cell)].reset) & _RESET)
            group.of_reset = bool(group.sources & _RESET)
            group.sources &= ~_RESET

    def _cone(self, net: Net) -> int:
        """The groups, as a mask, that a net is made of."""
        masks, waiting = self._masks, [net]
        while waiting:
            at = waiting[-1]
            if at in masks:
                waiting.pop()
                continue
            inputs = self._design.feeds(at)
            missing = [each for each in inputs if each not in masks]
            if missing:
                waiting += missing
                continue
            mask = 0
            for each in inputs:
                mask |= masks[each]
            masks[at] = mask
            waiting.pop()
        return masks[net]

    def sources(self, group: Group) -> list[Group]:
        mask, found, n = group.sources >> 2, [], 0
        while mask:
            low = (mask & -mask).bit_length() - 1
            n, mask = n + low, mask >> low
            found.append(self.all[n])
            n, mask = n + 1, mask >> 1
        return found
