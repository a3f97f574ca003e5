# SPDX-License-Identifier: Apache-2.0
"""Reads the text of a Liberty file (Liberty User Guide, the open format) as nested groups."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...golden.errors import UserError

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\]|\\.)*"|[{}();:,]|[^\s{}();:,"]+', re.DOTALL)
_CONTINUED = re.compile(r"\\\s*\n")


@dataclass(slots=True)
class Group:
    """One group: ``kind (arguments) { attributes and groups }``.

    Members
    -------
    attributes: simple ones, `name : value`; a complex one, `name (a, b)`, is its values joined
        by commas.
    """

    kind: str
    arguments: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its first argument, or nothing."""
        return self.arguments[0] if self.arguments else ""

    def every(self, kind: str) -> Iterator["Group"]:
        """The groups of this kind right inside it."""
        return (group for group in self.groups if group.kind == kind)

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute that is a number; `default` where it is missing or an expression."""
        try:
            return float(self.attributes[name].split()[0])
        except (KeyError, ValueError, IndexError):
            return default


def read(file: Path, option: str) -> Group:
    """The library group of the file that an option names. Raises UserError, as `parse` does."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{option} {file}: {error.strerror}; name a Liberty file") from error
    return parse(text, source=str(file))


def parse(text: str, *, source: str = "Liberty text") -> Group:
    """The library group of a Liberty file. Raises UserError where it is none."""
    tokens = [
        t for t in _TOKEN.findall(_CONTINUED.sub(" ", text)) if not t.startswith(("/*", "//"))
    ]
    if not tokens or tokens[0] != "library":
        raise UserError(f"{source}: is no Liberty file, it does not begin with library (...)")
    try:
        reader = _Reader(tokens)
        holder = Group("file")
        reader.statement(holder)
    except IndexError:
        raise UserError(f"{source}: ends in the middle of a group") from None
    if not holder.groups:
        raise UserError(f"{source}: is no Liberty file, its library has no contents")
    return holder.groups[0]


class _Reader:
    """Walks the tokens; an IndexError is the end of the text."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def statement(self, into: Group) -> None:
        """One attribute or group, added to `into`."""
        name = _plain(self._next())
        follows = self._next()
        if follows == ":":
            into.attributes[name] = " ".join(_plain(token) for token in self._until(";", "}"))
        elif follows == "(":
            arguments = tuple(_plain(t) for t in self._until(")") if t != ",")
            self._at += 1  # the bracket
            if self._at < len(self._tokens) and self._tokens[self._at] == "{":
                self._at += 1
                into.groups.append(self._body(Group(name, arguments)))
            else:
                into.attributes[name] = ", ".join(arguments)

    def _until(self, *ends: str) -> list[str]:
        """The tokens up to one of `ends`, which is the next one then."""
        first = self._at
        while self._tokens[self._at] not in ends:
            self._at += 1
        return self._tokens[first : self._at]

    def _body(self, group: Group) -> Group:
        while (token := self._tokens[self._at]) != "}":
            if token == ";":
                self._at += 1
            else:
                self.statement(group)
        self._at += 1
        return group


def _plain(token: str) -> str:
    return token[1:-1] if token.startswith('"') else token
