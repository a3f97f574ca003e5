# SPDX-License-Identifier: Apache-2.0
"""The verbs of the command line, one module and one class each.

A verb's module imports only light things at its top (the command line reads it for the help) and
everything else inside `run`, so that a verb works without what only other verbs need.
"""

import argparse
import importlib
from collections.abc import Mapping
from typing import Protocol, cast

VERBS: Mapping[str, str] = {
    # verb: module.Class, in the order of use
    "import": "import_.Import",
    "features": "features.Features",
    "quantize": "quantize.Quantize",
    "sweep": "sweep.Sweep",
    "tune": "tune.Tune",
    "search": "search.Search",
    "finetune": "finetune.Finetune",
    "evaluate": "evaluate.Evaluate",
    "generate": "generate.Generate",
    "simulate": "simulate.Simulate",
    "build": "build.Build",
    "flash": "flash.Flash",
    "board-sim": "board_sim.BoardSim",
    "run": "run.Run",
    "demo": "demo.Demo",
}


class Verb(Protocol):
    """One verb. help: one lower-case line. Defaults are shown by the parser, units by each help."""

    help: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's arguments."""

    def run(self, args: argparse.Namespace) -> None:
        """Do the work; raises UserError for what the user can mend.

        Raises SystemExit(1) after it has printed a result that is not good.
        """


def load(name: str) -> Verb:
    """The verb called `name`; its module is imported now."""
    module, _, cls = VERBS[name].rpartition(".")
    return cast(Verb, getattr(importlib.import_module(f"{__name__}.{module}"), cls)())
