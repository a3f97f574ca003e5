# SPDX-License-Identifier: Apache-2.0
"""Run an external tool: every line it prints goes to a log file and past a watcher; and a cache.

Synthesis and place and route take minutes and may crash, so they run as child processes. Results
live in one folder per digest of everything that went in; a folder appears only when complete.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ...golden.errors import UserError
from ...golden.processes import end, start
from ...golden.writing import claimed, clean_leftovers, hidden

Progress = Callable[[str], None]
"""Called with a short line for each stage that starts, such as "placing"."""


def silent(stage: str) -> None:
    """The progress callback of callers who want none."""


def run_tool(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    cwd: Path,
) -> int:
    """Run ``command`` and return its exit code (negative: killed by that signal).

    Both output streams are appended to ``log`` and given line by line to ``on_line``. The child
    and all that it started end with the caller, and when the caller is interrupted.
    """
    with (
        log.open("a", buffering=1, encoding="utf-8", errors="replace") as out,
        start(
            list(command),
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as child,
    ):
        if child.stdout is None:  # pragma: no cover: PIPE was asked for
            raise RuntimeError("the child has no output stream")
        try:
            for line in child.stdout:
                out.write(line)
                on_line(line)
            return child.wait()
        except BaseException:
            end(child)
            raise


def stage_watcher(stages: Sequence[tuple[str, str]], progress: Progress) -> Callable[[str], None]:
    """A line watcher that reports each (text to look for, stage) once, in any order."""
    waiting = list(stages)

    def watch(line: str) -> None:
        for entry in waiting:
            if entry[0] in line:
                waiting.remove(entry)
                progress(entry[1])
                return

    return watch


def last_error(log: Path) -> str:
    """The last line of a tool's log that looks like an error, without its prefix."""
    found = "it printed no error"
    for line in log.read_text("utf-8", errors="replace").splitlines():
        _, mark, text = line.partition("ERROR: ")
        if mark:
            found = text.strip()
    return found


def failed(tool: str, code: int, log: Path, *, shown: Path) -> UserError:
    """The error for a tool that ended with ``code``: its own words, and the log ``shown``."""
    return UserError(f"{tool} failed (exit code {code}): {last_error(log)}; see {shown}")


def digest(*parts: object) -> str:
    """A name for everything that decides a result: text as it is, the rest as sorted JSON."""
    state = hashlib.blake2b(digest_size=10)
    for part in parts:
        text = part if isinstance(part, str) else json.dumps(part, sort_keys=True)
        state.update(f"{len(text)}:".encode())
        state.update(text.encode())
    return state.hexdigest()


@contextlib.contextmanager
def fresh_folder(final: Path) -> Iterator[Path]:
    """A folder to work in that becomes ``final`` when the block ends without an exception.

    A block that fails leaves its folder as ``<final>.failed``, for its logs; see `moved`.
    """
    part = hidden(final)
    broken = final.with_name(f"{final.name}.failed")
    clean_leftovers(final)  # of killed runs
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with claimed(part):
        try:
            yield part
        except BaseException:
            shutil.rmtree(broken, ignore_errors=True)
            with contextlib.suppress(OSError):  # another process's failed just now, too
                part.rename(broken)
            raise
        try:
            part.rename(final)
        except OSError:  # another process was quicker; both results are the same
            shutil.rmtree(part)
            if not final.is_dir():
                raise


def moved(final: Path, name: str) -> Path:
    """Where a failed block's file ``name`` ends up: the path to name in its error."""
    return final.with_name(f"{final.name}.failed") / name
