# SPDX-License-Identifier: Apache-2.0
"""The paper's Tables 1, 2 and 3 on the shipped speech models; see docs/tables.md.

Cases that were measured before, with the same code, models and data, are taken from
build/tables/cache, so an interrupted run goes on where it was.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

import pages
from cases import (
    CELLS,
    OURS,
    SCHEMES,
    Bench,
    Case,
    Measured,
    our_cases,
    paper_cases,
    skip_cases,
)
from cases import run as run_cases
from pages import Found

from deltaloom.golden.reports.page import write as write_page

ROOT = Path(__file__).parents[2]
COMMAND = "make tables ARGS=--keep"
AT_LEAST = 3
"""Cells on which 4 bits are to do what `pages.reached` says."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where 4 bits miss their target, 0 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=[*CELLS])
    parser.add_argument("--schemes", nargs="+", choices=[*SCHEMES, OURS], help="some rows only")
    parser.add_argument("--sequences", type=int, help="of each data set, for a quick look")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "tables")
    parser.add_argument("--keep", action="store_true", help="write docs/tables.md, too")
    args = parser.parse_args(arguments)
    if args.keep and (args.schemes or args.sequences or len(args.cells) < len(CELLS)):
        parser.error("--keep: not with a part of the tables; leave the other options out")
    cases = [*paper_cases(args.cells), *skip_cases(args.cells), *our_cases(args.cells)]
    cases = [case for case in cases if args.schemes is None or case.scheme in args.schemes]
    started, ready = time.monotonic(), 0

    def done(case: Case, measured: Measured) -> None:
        nonlocal ready
        ready += 1
        what = f"{case.cell} {case.scheme}, {case.method}, skip {case.skip}"
        minutes = (time.monotonic() - started) / 60
        print(f"{minutes:5.1f} min  {ready}/{len(cases)}  {what}: {measured.error:.2f} %")

    bench = Bench(args.output / "cache", args.sequences)
    found = Found(run_cases(cases, bench, jobs=args.jobs, done=done))
    _write(found, args.output, keep=args.keep)
    met = {scheme: pages.reached(found, scheme) for scheme in ("4-bit", OURS)}
    for scheme, cells in met.items():
        print(f"{scheme}: the target is met on {sum(cells.values())} of {len(cells)} cells")
    print(f"{args.output}: report.json, report.html, tables.md")
    whole = any(len(cells) == len(CELLS) for cells in met.values())
    enough = any(sum(cells.values()) >= AT_LEAST for cells in met.values())
    return 1 if whole and not enough else 0


def _write(found: Found, folder: Path, *, keep: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(pages.records(found), indent=2) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    day = date.today().isoformat()
    page = pages.page(found, date=day, command=COMMAND)
    for file in [folder / "tables.md", *([ROOT / "docs" / "tables.md"] if keep else [])]:
        file.write_text(page, encoding="utf-8")
    sections = pages.sections(found)
    write_page(folder / "report.html", "deltaloom tables", sections, f"{COMMAND}, {day}")


if __name__ == "__main__":
    sys.exit(main())
