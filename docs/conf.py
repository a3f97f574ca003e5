# SPDX-License-Identifier: Apache-2.0
"""The site: `make docs` builds it from the Markdown files as they lie in the tree, which is the
source folder of Sphinx, so that a link that works on a code host works there, and the other way
round. Every warning is an error.
"""

import re
from itertools import chain
from pathlib import Path
from typing import Any

import deltaloom

ROOT = Path(__file__).parent.parent
FRONT = "README"


def _pages(folder: str, name: str = "*") -> list[str]:
    return sorted(f"{folder}/{file.stem}" for file in (ROOT / folder).glob(f"{name}.md"))


# The site's contents, in the order of its sidebar: caption, pages.
PAGES = {
    "Use": [
        "docs/checkpoints",
        "docs/quantization",
        "docs/integer-lstm",
        "docs/thresholds",
        "docs/search",
        "docs/training",
        "docs/reports",
        *_pages("docs", "boards"),
        "docs/asic",
        "docs/host",
        "docs/integration",
        "docs/completion",
        "docs/api",
    ],
    "How it works": [
        "docs/architecture",
        "docs/words",
        "docs/arithmetic",
        "docs/datapath",
        "docs/cells",
        *_pages("docs/cells"),
        "docs/lanes",
    ],
    "Measured": [
        "docs/tables",
        "docs/text",
        "docs/real-networks",
        "docs/area",
        "docs/proofs",
        "benchmarks/README",
        "examples/speech/README",
        "examples/radio/README",
        "examples/timit/README",
        "examples/text/README",
        "examples/real/README",
    ],
    "Take part": [
        "CONTRIBUTING",
        *_pages("docs/howto"),
        "tests/README",
        "CHANGELOG",
        "CODE_OF_CONDUCT",
        "SECURITY",
    ],
}

project = "deltaloom"
author = "the deltaloom authors"
project_copyright = author
version = release = deltaloom.__version__

root_doc = FRONT
source_suffix = {".md": "markdown"}
include_patterns = [f"{page}.md" for page in [FRONT, *chain(*PAGES.values())]]
exclude_patterns = [".*", "build", "src"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # headings may begin at any level

html_theme = "furo"
html_title = f"deltaloom {version}"
html_copy_source = False

autodoc_preserve_defaults = True
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
autodoc_member_order = "bysource"
default_role = "code"

_CODE = re.compile(r"(`+[^`]+`+)")
_ITEM = re.compile(r"(\w+(?:, \w+)*) ?: (?=\S)")


def rst(docstring: str) -> list[str]:
    """Our docstrings for Sphinx: paragraphs, sections, lists of names, indented code."""
    lines = []
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        heading, *rest = block.split("\n")
        if rest and rest[0] and not rest[0].strip("-"):
            lines += [f"**{heading}**", "", *_list(rest[1:])]
        elif heading.startswith(" "):
            lines += ["::", "", *block.split("\n")]
        elif _ITEM.match(heading):
            lines += _list([heading, *rest])
        else:
            lines += [_escaped(line.strip()) for line in (heading, *rest)]
        lines.append("")
    return lines


def _list(lines: list[str]) -> list[str]:
    items = []
    for line in lines:
        item = _ITEM.match(line)
        if item:
            items.append(f"- `{item[1]}`: {_escaped(line[item.end() :])}")
        else:
            items.append(f"  {_escaped(line.strip())}")
    return items


def _escaped(text: str) -> str:
    """Nothing in it is markup but `code`."""
    pieces = _CODE.split(text)
    pieces[::2] = [re.sub(r"([\\*|]|(?<=\w)_(?!\w))", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def setup(app: Any) -> None:
    for name in getattr(deltaloom, "__all__", ()):  # what is imported at its first use
        setattr(deltaloom, name, getattr(deltaloom, name))
    app.connect("source-read", _contents)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("build-finished", _index)


def _contents(app: Any, page: str, source: list[str]) -> None:
    """The front page with the sidebar's contents behind its text."""
    if page == FRONT:
        for caption, pages in PAGES.items():
            names = "\n".join(f"/{name}" for name in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n"


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = rst("\n".join(lines))


def _index(app: Any, exception: Exception | None) -> None:
    """A server looks for index.html."""
    if exception is None and app.builder.name == "html":
        text = f'<!doctype html><meta http-equiv="refresh" content="0; url={FRONT}.html">\n'
        (Path(app.outdir) / "index.html").write_text(text, "utf-8")
