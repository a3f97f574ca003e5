# SPDX-License-Identifier: Apache-2.0
"""What a search measured, as JSON lines that only grow: one evaluation each, written as it comes.

A line holds "of", the digest of all that the evaluation depends on but its choice; "choice",
`Choice.key`; "thin"; and "values". A search takes from there what it has of its own digest.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..golden.errors import UserError
from .problem import Values

Key = tuple[str, bool]
"""`Choice.key`, and whether the evaluation was thin."""
Warn = Callable[[str], None]
Usable = Callable[[Values], bool]


class Log:
    """The evaluations of one problem that are known; without a file they are kept in memory only.

    Parameters
    ----------
    file: to read and to append to; None: none.
    digest: of the problem.
    warn: called with one line where the file has damaged ones, and with one where there are values
        that are not usable.
    usable: whether what values rest on is still there; others are left out.
    """

    def __init__(
        self,
        file: Path | None,
        digest: str,
        warn: Warn = lambda line: None,
        usable: Usable = lambda values: True,
    ) -> None:
        self._file, self._digest = file, digest
        self._known: dict[Key, Values] = {}
        self._whole = True
        if file is not None:
            unusable = set()
            for key, values in self._read(file, warn):
                if usable(values):
                    self._known[key] = values
                else:
                    unusable.add(key)
            count = len(unusable - self._known.keys())
            if count:
                what = "evaluation rests" if count == 1 else "evaluations rest"
                warn(f"{file}: {count} {what} on files that are gone or damaged; measured again")
        self.found = len(self._known)

    def get(self, key: Key) -> Values | None:
        """The values of an evaluation, where they are known."""
        return self._known.get(key)

    def add(self, key: Key, values: Values) -> None:
        """Keep an evaluation. Raises UserError where the file cannot be written."""
        self._known[key] = values
        if self._file is None:
            return
        choice, thin = key
        entry = {"of": self._digest, "choice": choice, "thin": thin, "values": dict(values)}
        line = "" if self._whole else "\n"  # ends what a killed search was writing
        line += json.dumps(entry) + "\n"
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab", buffering=0) as stream:
                self._whole = False
                self._whole = stream.write(line.encode()) == len(line.encode())
            if not self._whole:
                raise OSError(None, "the disk is full")
        except OSError as error:
            reason = error.strerror or error
            raise UserError(
                f"{self._file}: cannot be written ({reason}); make room and give the same command "
                "again, it goes on from there"
            ) from error

    def _read(self, file: Path, warn: Warn) -> Iterator[tuple[Key, Values]]:
        try:
            content = file.read_bytes() if file.exists() else b""
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{file}: cannot be read ({reason}); name another") from error
        self._whole = content.endswith(b"\n") or not content
        damaged = []
        for n, line in enumerate(content.splitlines()):
            entry = _entry(line)
            if entry is None:
                damaged += [n + 1] * bool(line.strip())
            elif entry["of"] == self._digest:
                yield (entry["choice"], entry["thin"]), entry["values"]
        if damaged:
            places = ", ".join(map(str, damaged[:5])) + ", ..." * (len(damaged) > 5)
            lines = "line" if len(damaged) == 1 else "lines"
            warn(f"{file}: {lines} {places} damaged and left out; these are measured again")


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line's contents, None where it is no whole evaluation."""
    try:
        entry = json.loads(line)
        texts = isinstance(entry["of"], str) and isinstance(entry["choice"], str)
        values = entry["values"]
        numbers = all(isinstance(v, int | float) and not math.isinf(v) for v in values.values())
        if texts and isinstance(entry["thin"], bool) and numbers and values:
            found: dict[str, Any] = entry
            return found
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
