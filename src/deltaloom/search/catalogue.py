# SPDX-License-Identifier: Apache-2.0
"""All costs by name."""

from ..golden.errors import UserError
from .cost import Cost
from .costs import COSTS, Own

SILICON = ("cycles", "latency", "energy", "luts", "flip-flops", "multipliers", "block-rams")
"""Those of the accelerator that `deltaloom generate` would write; see `silicon`."""


def find_cost(name: str) -> Cost:
    """The cost `name`: one of `COSTS` or `SILICON`, or "FILE.py:FUNCTION"."""
    if name in COSTS:
        return COSTS[name]
    if name in SILICON:
        from .silicon import SILICON_COSTS  # Amaranth

        return SILICON_COSTS[name]
    if ":" in name:
        return Own(name)
    names = ", ".join(("error", "nmse", *COSTS, *SILICON))
    raise UserError(f"objective {name!r}: not known; there are {names}, and FILE.py:FUNCTION")
