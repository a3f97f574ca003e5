# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page of tables and charts: no script, no link, no other file.

A page is well-formed XML, too. `report_sections` makes the sections of each verb.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ..writing import write_text
from . import charts

STYLE = (
    """
:root { color-scheme: light dark; --ground: #ffffff; --text: #1f2328; --quiet: #6b7480;
  --line: #e3e6ea; --stripe: #f6f7f9; --first: #2f6db5; --second: #d2691e; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --text: #e4e7eb;
  --quiet: #98a1ab; --line: #2d333a; --stripe: #1c2026; --first: #6ea8e6; --second: #f0a35e; } }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1.25rem; background: var(--ground);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 52rem; }
.note { color: var(--quiet); font-size: .87rem; }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .65rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--quiet);
  white-space: pre; line-height: 1.25; }
th:first-child, td:first-child { text-align: left; padding-left: .25rem; }
tr:nth-child(even) td { background: var(--stripe); }
.figures { display: flex; flex-wrap: wrap; gap: .75rem; margin: .5rem 0; }
"""
    + charts.STYLE
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under headings (a heading may have several lines); the first column names."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        head = "".join(f"<th>{escape(text)}</th>" for text in self.headings)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
            for row in self.rows
        )
        return (
            f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """Pictures of `charts`, side by side where there is room."""

    charts: Sequence[str]

    def html(self) -> str:
        return f'<div class="figures">{"".join(self.charts)}</div>'


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. note: what the numbers are, one paragraph."""

    title: str
    parts: Sequence[Table | Figures]
    note: str = ""

    def html(self) -> str:
        note = f'<p class="note">{escape(self.note)}</p>' if self.note else ""
        body = "".join(part.html() for part in self.parts)
        return f"<section><h2>{escape(self.title)}</h2>{note}{body}</section>"


def with_unit(title: str, unit: str) -> str:
    """A heading."""
    return f"{title}, {unit}" if unit else title


def page(title: str, sections: Iterable[Section], note: str = "") -> str:
    """The whole page as text; note: one line under the title."""
    body = "\n".join(section.html() for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        f'<h1>{escape(title)}</h1><p class="note">{escape(note)}</p>\n{body}\n</body></html>\n'
    )


def write(file: Path, title: str, sections: Iterable[Section], note: str = "") -> None:
    """Write the page, whole or not at all. Raises UserError where that is not possible."""
    write_text(page(title, sections, note), file)
