# SPDX-License-Identifier: Apache-2.0
"""Random designs against golden without end: `make soak`, or `python tests/soak/soak.py`.

    make soak ARGS="--seconds 86400 --seed 1000"
    make soak ARGS="--seed 1017 --count 1"          # one design again

Each seed is a design (`designs.py`): cells, sizes, widths, lanes and buses at random, for two
networks of which one is in it and the other is loaded. Verilator runs it for a while, with stalls,
resets, loads, thresholds and reads of its registers at random, and `main.cpp` compares every output
word. What was compared is kept in FOLDER/soak.json; the next run goes on behind its last seed. A
difference is kept in FOLDER/SEED with the Verilog and the orders that show it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import designs

from deltaloom.boards.tools import toolchain
from deltaloom.golden.processes import end, start
from deltaloom.golden.writing import write_text
from deltaloom.sim.verilator import compile_model

TOP = "deltaloom"
TOOLS = ("verilator", "g++", "make", "perl")
OPTIONS = ("--x-assign", "unique", "--x-initial", "unique")
FRAMES, MOST_FRAMES = 400, 12_800
"""Frames of the first run of a design, and of the later ones, each twice as long as the last."""
WORTH = 5
"""Times as long as it took to build it, a design is run."""
PATIENCE = 1200


@dataclass
class Log:
    """What was compared: seeds [first, next), and the differences by seed."""

    first: int
    next: int
    words: int = 0
    cycles: int = 0
    runs: int = 0
    seconds: float = 0.0
    differences: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """One line of progress."""
        rate = self.words / self.seconds if self.seconds else 0
        return (
            f"{self.words:,} words equal, {len(self.differences)} differ; {self.next - self.first} "
            f"designs from seed {self.first}, {self.runs:,} runs, {self.cycles:,} cycles, "
            f"{self.seconds:,.0f} s, {rate:,.0f} words/s"
        )


def build(verilog: Path, folder: Path) -> Path:
    """The program of a design."""
    environment = toolchain.environment(*map(toolchain.require, TOOLS))
    main = Path(__file__).with_name("main.cpp")
    with (folder / "build.log").open("w") as out:
        compile_model(
            [main, verilog],
            folder / "obj",
            TOP,
            OPTIONS,
            environment,
            optimisation="-O2",
            out=out.fileno(),
        )
    return folder / "obj" / TOP


def run(program: Path, orders: Path, *plusargs: str) -> str:
    """What the program says: EQUAL or DIFFERS, and where."""
    with start([str(program), str(orders), *plusargs], stdout=subprocess.PIPE, text=True) as child:
        try:
            text, _ = child.communicate(timeout=PATIENCE)
        except BaseException:
            end(child)
            raise
    return text.strip() or f"END exit code {child.returncode}"


def write_orders(design: designs.Design, number: int, frames: int, file: Path) -> None:
    """Of one run, for the program."""
    with file.open("wb") as stream:
        for part in designs.orders(design, number, frames):
            stream.write(part.astype("<u8").tobytes())


def soak(design: designs.Design, log: Log, folder: Path, seconds: float) -> str:
    """Run a design for some seconds, at least once; the line of a difference, "" where none was.

    seconds: at most, where it is more than `WORTH` times what building it took.
    """
    started = time.monotonic()
    program = build(designs.write_verilog(design, folder / "rtl"), folder)
    built = time.monotonic()
    until, number = built + min(seconds, WORTH * (built - started)), 0
    while not number or time.monotonic() < until:
        frames = min(FRAMES << number, MOST_FRAMES)
        orders = folder / "orders"
        write_orders(design, number, frames, orders)
        said = run(program, orders)
        if not said.startswith("EQUAL"):
            return f"run {number} of {frames} frames: {said}"
        words, cycles = (int(part.split()[-1]) for part in said.split(", "))
        log.words += words
        log.cycles += cycles
        log.runs += 1
        number += 1
    return ""


def read_log(file: Path, first: int | None) -> Log:
    """The log that is there, or a new one. Raises ValueError where it begins with another seed."""
    if file.is_file():
        log = Log(**json.loads(file.read_text("utf-8")))
        if first not in (None, log.first):
            raise ValueError(
                f"{file} begins with seed {log.first}; leave --seed out to go on with it, or name "
                "another --folder"
            )
        return log
    first = int(time.time()) if first is None else first
    return Log(first=first, next=first)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="in all (default: 300)")
    parser.add_argument("--seed", type=int, default=None, help="the first; default: go on, or time")
    parser.add_argument("--count", type=int, default=10**9, help="designs, at most")
    parser.add_argument(
        "--design-seconds",
        type=float,
        default=600,
        help=f"of each, at most; else {WORTH} times what building it took (default: 600)",
    )
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    file = args.folder / "soak.json"
    try:
        log = read_log(file, args.seed)
    except ValueError as error:
        parser.error(str(error))
    until, left = time.monotonic() + args.seconds, args.count
    while left and time.monotonic() < until:
        started = time.monotonic()
        design = designs.make_design(log.next)
        with tempfile.TemporaryDirectory(prefix="soak-") as name:
            seconds = min(args.design_seconds, until - started)
            difference = soak(design, log, Path(name), seconds)
            if difference:
                log.differences[str(log.next)] = difference
                kept = args.folder / str(log.next)
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(name, kept, ignore=shutil.ignore_patterns("obj"))
                print(f"seed {log.next} ({design}): {difference}", flush=True)
        log.next += 1
        log.seconds += time.monotonic() - started
        write_text(json.dumps(asdict(log), indent=2) + "\n", file)
        print(log.line(), end="\r" if sys.stdout.isatty() else "\n", flush=True)
        left -= 1
    if sys.stdout.isatty():
        print()
    return int(bool(log.differences))


if __name__ == "__main__":
    sys.exit(main())
