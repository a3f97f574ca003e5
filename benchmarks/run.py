# SPDX-License-Identifier: Apache-2.0
"""Runs benchmark suites and records their figures; see README.md here."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import area
import peers
import speech
from figures import REPORT, Figure, record
from rich.console import Console

Suite = Callable[[Path], Iterator[Figure]]

SUITES: dict[str, Suite] = {
    "speech": lambda work: speech.figures(work, frames=50),
    "peers": lambda work: peers.figures(work, steps=40),
}
FPGA: dict[str, Suite] = {"area": area.figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "suites", nargs="*", choices=[*SUITES, *FPGA, []], help="default: all quick"
    )
    parser.add_argument("--fpga", action="store_true", help="the suites that place and route")
    parser.add_argument("--keep", action="store_true", help="add the figures to the history")
    args = parser.parse_args()
    every = SUITES | FPGA
    console = Console()
    for name in args.suites or (FPGA if args.fpga else SUITES):
        console.rule(name)
        record(list(every[name](REPORT.parent / "work")), keep=args.keep)


if __name__ == "__main__":
    main()
