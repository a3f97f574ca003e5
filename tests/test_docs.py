# SPDX-License-Identifier: Apache-2.0
"""Every Markdown page against the tree: its links, the files it names, its place on the site."""

import ast
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FOLDERS = ("golden", "hw", "boards", "sim", "host")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(
    r"`((?:(?:golden|hw|boards|sim|src|tests|docs|benchmarks|examples)/[\w./-]*[\w-]\.\w+)"
    r"|(?:[A-Z]+\.md|Makefile|pyproject\.toml))`"
)
_PLACEHOLDER = re.compile(r"\b(?:AREATABLE|TODO|FIXME|XXX|TBD)\b|<<<<<<<|>>>>>>>")
_MAKE = re.compile(r"(?:`|^    )make ([a-z-]+)", re.MULTILINE)


def pages():
    """Every Markdown file of ours, as a path from the root."""
    yield from (place.name for place in ROOT.glob("*.md"))
    for folder in ROOT.iterdir():
        ours = folder.name == ".github" or not folder.name.startswith((".", "build"))
        if folder.is_dir() and ours:
            yield from (place.relative_to(ROOT).as_posix() for place in folder.rglob("*.md"))


PAGES = sorted(pages())


def anchors(text):
    """What a code host calls the headings of a page."""
    seen, found = Counter(), []
    for heading in re.findall(r"^#+ +(.*?) *$", _CODE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def broken_links(page):
    """The links of a page that lead nowhere in the tree."""
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    return broken


def missing_files(text):
    """Files that a page names in code quotes and that are not there."""
    return [name for name in _NAMED.findall(text) if not (ROOT / name).exists()]


def placeholders(text):
    """Words that stand for what is still to be written, and marks of a merge."""
    return _PLACEHOLDER.findall(text)


def quotes(text):
    """The Python blocks of a page that begin with a file's name: (file, the pieces between ...)."""
    for indent, block in re.findall(
        r"^( *)```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL
    ):
        first, *lines = [line.removeprefix(indent).rstrip() for line in block.splitlines()]
        if first.startswith("# ") and first.endswith(".py"):
            marked = "\n".join("..." if line.strip() == "..." else line for line in lines)
            yield first[2:], [piece.strip("\n") for piece in marked.split("\n...\n")]


def wrong_quotes(text, root=ROOT):
    """The pieces of a page's quotes that are not in the file that they are said to be from."""
    wrong = []
    for name, pieces in quotes(text):
        source = (root / name).read_text("utf-8")
        for piece in pieces:
            at = source.find(piece)
            if at < 0:
                wrong.append(f"{name}: {piece}")
            source = source[at + len(piece) :] if at >= 0 else source
    return wrong


def table_rows(text):
    """The cells of every row of a page's tables, without the headings."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", row.strip("|")) for row in rows]
    named = [[cell.strip() for cell in row] for row in cells]
    rules = {n for n, row in enumerate(named) if set("".join(row)) <= {"-", ":"}}
    return [row for n, row in enumerate(named) if n not in rules and n + 1 not in rules]


def test_broken_links_and_missing_files_are_seen(tmp_path):
    (tmp_path / "there.md").write_text("# A `b`, c\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    good = "[a](there.md) [b](there.md#a-b-c) [c](there.md#twice-1) [d](#title) [e](https://x.y)"
    page.write_text(f"# Title\n\n{good} [f](gone.md) [g](there.md#gone) [h](#gone)\n")
    assert broken_links(page) == ["gone.md", "there.md#gone", "#gone"]
    assert missing_files("`hw/words.py` `hw/gone.py` `NOWHERE.md`") == ["hw/gone.py", "NOWHERE.md"]


def test_placeholders_are_seen():
    assert placeholders("TODO: a\nAREATABLE\n<<<<<<< b, XXXL") == ["TODO", "AREATABLE", "<<<<<<<"]


def test_wrong_quotes_are_seen(tmp_path):
    (tmp_path / "a.py").write_text("def f(x):\n    y = x\n    z = y\n    return z\n")
    block = "   ```python\n   # a.py\n   def f(x):\n       ...\n       return {}\n   ```\n"
    assert wrong_quotes(block.format("z"), tmp_path) == []
    assert wrong_quotes(block.format("x"), tmp_path) == ["a.py:     return x"]
    assert len(list(quotes(block))) == 1


@pytest.mark.parametrize("page", [page for page in PAGES if "/howto/" in page])
def test_quotes(page):
    """What a recipe shows of the tree is what is there."""
    assert wrong_quotes((ROOT / page).read_text("utf-8")) == []


def test_tables_are_read():
    assert table_rows("text\n\n| a | b |\n|---|---|\n| `x` | \\|d\\| |\n") == [["`x`", "\\|d\\|"]]


def test_pages_were_found():
    assert {"README.md", "CONTRIBUTING.md", "docs/words.md", "tests/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    assert broken_links(ROOT / page) == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_still_to_be_written(page):
    assert placeholders((ROOT / page).read_text("utf-8")) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_named_files(page):
    assert missing_files((ROOT / page).read_text("utf-8")) == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(_MAKE.findall((ROOT / page).read_text("utf-8")))
    assert {"docs", "test-slow"} <= targets and named <= targets
    assert named or page != "CONTRIBUTING.md"


def test_every_word_has_one_line_and_one_file():
    rows = table_rows((DOCS / "words.md").read_text("utf-8"))
    words = [word for word, _, _ in rows]
    assert len(words) == len({word.lower() for word in words})
    assert len(words) >= 35
    for word, meaning, file in rows:
        assert meaning, word
        assert len(_LINK.findall(file)) == 1, f"{word}: {file}"


def test_architecture_has_the_folders_and_their_imports():
    """The table says what tests/test_import_contract.py checks."""
    text = (DOCS / "architecture.md").read_text("utf-8")
    rows = {row[1]: row for row in table_rows(text) if row[1].startswith("`deltaloom")}
    assert list(rows) == [*(f"`deltaloom.{name}`" for name in FOLDERS), "`deltaloom`"]
    for n, name in enumerate(FOLDERS):
        allowed = rows[f"`deltaloom.{name}`"][-1]
        assert allowed == (", ".join(FOLDERS[:n]) or "nothing of ours")
    contract = (ROOT / "tests" / "test_import_contract.py").read_text("utf-8")
    top = re.search(r"^TOP = (\(.*\))$", contract, re.MULTILINE)
    assert ast.literal_eval(top[1]) == FOLDERS


def test_datapath_has_a_section_for_each_folder():
    found = [p.name for p in (ROOT / "hw" / "datapath").iterdir() if (p / "__init__.py").exists()]
    headings = anchors((DOCS / "datapath.md").read_text("utf-8"))
    assert len(found) == 8
    assert [name for name in headings if name in found] == sorted(found)


def test_docstrings_become_sphinx_text():
    rst = runpy.run_path(str(DOCS / "conf.py"))["rst"]
    start = "One *line*, |d| of x_.\n\n    code = 1\n\n"
    text = f"{start}Parameters\n----------\na, b: one,\n    `two`\nc: x"
    assert rst(text) == [
        r"One \*line\*, \|d\| of x\_.",
        "",
        "::",
        "",
        "    code = 1",
        "",
        "**Parameters**",
        "",
        "- `a, b`: one,",
        "  `two`",
        "- `c`: x",
        "",
    ]
    assert rst("i : in, 1 bit\n    High.") == ["- `i`: in, 1 bit", "  High.", ""]
    assert rst("names: of all\n    outputs") == ["- `names`: of all", "  outputs", ""]


def without_tests(files, text):
    """Files that have neither a test file in their place nor a line in the tests' map."""
    named = set(_NAMED.findall(text))
    own = {f: ROOT / "tests" / Path(f).parent / f"test_{Path(f).name}" for f in files}
    return sorted(file for file in files if file not in named and not own[file].is_file())


def test_every_file_of_the_hardware_is_in_the_map_of_tests():
    text = (ROOT / "tests" / "README.md").read_text("utf-8")
    files = [p.relative_to(ROOT).as_posix() for p in (ROOT / "hw").rglob("*.py")]
    files = [file for file in files if not file.endswith(("__init__.py", "words.py"))]
    assert without_tests(["hw/new.py", "hw/parts/queue.py"], text) == ["hw/new.py"]
    assert without_tests(files, text) == []


def test_the_map_of_tests_has_no_file_that_got_its_own():
    text = (ROOT / "tests" / "README.md").read_text("utf-8")
    listed = [row[0] for row in table_rows(text) if row[0].startswith("`hw/")]
    named = [name for cell in listed for name in _NAMED.findall(cell)]
    assert len(named) > 5
    assert without_tests(named, "") == sorted(named)


def test_every_page_is_on_the_site_once():
    names = runpy.run_path(str(DOCS / "conf.py"))  # it needs no Sphinx
    listed = [names["FRONT"], *(page for some in names["PAGES"].values() for page in some)]
    hosted = [page for page in PAGES if page.startswith(".github/")]
    assert sorted(f"{page}.md" for page in listed) == [p for p in PAGES if p not in hosted]
