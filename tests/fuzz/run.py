# SPDX-License-Identifier: Apache-2.0
"""Wrong inputs without end: `make fuzz`, or `python tests/fuzz/run.py --seconds 600 --seed 0`.

Each seed is a command line with files (`inputs.py`), or a board's bytes on a serial line
(`board_line.py`). It must be done, or be refused in one line with exit code 2, in 20 s of a
processor and 2 GB. What is not is kept in a folder with its seed.
"""

import argparse
import atexit
import contextlib
import functools
import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import board_line
import inputs

from deltaloom import cli, verbs

SECONDS = 20
PATIENCE = 200
"""Seconds by the clock, on a machine that may be busy."""
MEMORY = 2 << 30
LOADED = (
    "golden.evaluation.sweep",
    "golden.evaluation.tuning",
    "golden.importers.checkpoint",
    "golden.importers.keras.files",
    "golden.importers.onnx.front",
    "host.accelerator",
    "host.opening",
    "golden.reports.sections",
    "golden.quantization.presets",
    "hw.estimates.area",
    "hw.estimates.cycles",
    "terminal.estimates",
)
BUG = 70
"""Exit code of a run that raised what the command line does not know."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one seed; fault: "" where it was done or refused rightly."""

    words: list[str]
    code: int
    text: str
    fault: str


def run(seed: int, folder: Path) -> Verdict:
    """One seed in a process of its own, in an empty folder."""
    shutil.copytree(_bases(), folder, dirs_exist_ok=True)
    words = inputs.make(seed, folder)
    pid = os.fork()
    if not pid:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os._exit(_child(words, folder))
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    text = (folder / "stderr").read_text("utf-8", errors="replace")
    return Verdict(words, code, text, _fault(code, text))


@functools.cache
def _bases() -> Path:
    """The right files, made once; and what verbs import, which each fork then has."""
    for name in LOADED:
        importlib.import_module(f"deltaloom.{name}")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-bases-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    inputs.write_bases(folder)
    return folder


def _child(words: list[str], folder: Path) -> int:
    """Runs in the fork: the command line within its limits; the exit code."""
    gc.freeze()  # a collection would look through, and so copy, all that the parent holds
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    signal.alarm(PATIENCE)
    os.chdir(folder)
    for number, name in ((1, "stdout"), (2, "stderr")):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    try:
        code = board_line.main(int(words[1])) if words[0] == inputs.LINE else cli.main(words)
    except BaseException:
        traceback.print_exc()
        code = BUG
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _fault(code: int, text: str) -> str:
    if code == BUG:
        return "traceback: " + text.strip().rpartition("\n")[2][:200]
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"more than {SECONDS} s"
    if code == -signal.SIGALRM:
        return f"no end after {PATIENCE} s"
    if code < 0:
        return f"killed by signal {-code}"
    if "not enough memory" in text:
        return f"more than {MEMORY >> 30} GB"
    if code == 2 and not (text.startswith("deltaloom: ") and text.count("\n") == 1):
        return "not one line: " + text[:200]
    if "\x1b" in text or not text.replace("\n", "").isprintable():
        return "not printable"
    return "" if code in (0, 1, 2) else f"exit code {code}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="the first; one a run otherwise")
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    args = parser.parse_args()
    first = args.seed if args.seed is not None else int(time.time()) * 1_000_000
    until = time.monotonic() + args.seconds
    codes: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    seed = first
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):  # what was done by then is told
        signal.signal(number, lambda number, frame: ended.append(number))
    while time.monotonic() < until and seed < first + args.count and not ended:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            verdict = run(seed, Path(name))
            codes[verdict.code] += 1
            if verdict.fault:
                faults[verdict.fault] += 1
                shutil.copytree(name, args.keep / str(seed), dirs_exist_ok=True)
                print(f"seed {seed}: {verdict.fault}: {verdict.words}", flush=True)
        seed += 1
    done = seed - first
    print(
        f"{done} inputs from seed {first}: {codes[0]} done, {codes[2]} refused in one line, "
        f"{sum(faults.values())} faults of {len(faults)} kinds"
    )
    return int(bool(faults))


for verb in verbs.VERBS:  # once, here, and not in every fork
    verbs.load(verb)

if __name__ == "__main__":
    sys.exit(main())
