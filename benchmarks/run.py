# SPDX-License-Identifier: Apache-2.0
"""Runs benchmark suites and records their figures; see README.md here."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import area
import area_model
import arrays
import beacons
import board_table
import cells
import energy
import energy_lanes
import energy_model
import integer_lstm
import integer_lstm_area
import integer_lstm_trained
import knee
import lanes
import largest
import models
import norm_area
import peers
import picks
import sdram
import search
import software
import speech
import training
from figures import REPORT, Figure, line, record
from rich.console import Console

Suite = Callable[[Path], Iterator[Figure]]

SUITES: dict[str, Suite] = {
    "speech": lambda work: speech.figures(work, frames=50),
    "peers": lambda work: peers.figures(work, steps=40),
    "cells": cells.figures,
    "knee": knee.figures,
    "lanes": lanes.figures,
    "models": lambda work: models.figures(work, steps=50),
    "software": lambda work: software.figures(),
    "integer-lstm": lambda work: integer_lstm.figures(),
}
FPGA: dict[str, Suite] = {
    "area": area.figures,
    "area-model": area_model.figures,
    "arrays": arrays.figures,
    "integer-lstm-area": integer_lstm_area.figures,
    "integer-lstm-norm": integer_lstm_area.norm_figures,
    "lane-area": lanes.area,
    "largest": largest.figures,
    "norm-area": norm_area.figures,
}
LONG: dict[str, Suite] = {
    **search.SEARCHES,
    "search-beacons": beacons.figures,
    "search-picks": picks.figures,
    "integer-lstm-trained": integer_lstm_trained.figures,
    "energy": energy.figures,
    "energy-lanes": energy_lanes.figures,
    "energy-model": energy_model.figures,
    "training": training.figures,
    "training-changes": training.changes,
    "sdram": lambda work: sdram.figures(work, dense_steps=4, smooth_steps=20),
    "boards": board_table.figures,
}


def main() -> int:
    """The exit code: 1 where a figure misses its target, 0 where none does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "suites",
        nargs="*",
        choices=[*SUITES, *FPGA, *LONG, []],
        help="default: all quick; searches, energy, training and sdram only by name",
    )
    parser.add_argument("--fpga", action="store_true", help="the suites that place and route")
    parser.add_argument("--keep", action="store_true", help="add the figures to the history")
    args = parser.parse_args()
    every = SUITES | FPGA | LONG
    console = Console()
    missed = []
    for name in args.suites or (FPGA if args.fpga else SUITES):
        console.rule(name)
        for figure in every[name](REPORT.parent / "work"):
            record(figure, keep=args.keep)
            console.print(line(figure))
            if figure.met is False:
                missed.append(figure)
    for figure in missed:
        limit = f"at {'most' if figure.at_most else 'least'} {figure.target:g}"
        what = f"target missed: {figure.name}: {figure.value:g} {figure.unit}".rstrip()
        print(f"{what}, should be {limit}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
