# SPDX-License-Identifier: Apache-2.0
"""The front as data, the page, and schemes as files."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deltaloom.golden.quantization.presets import METHODS, read_scheme
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.search.genes import Space
from deltaloom.search.goals import Goals
from deltaloom.search.outputs import page, plain, scheme_text

GOALS = Goals.of(["error", "size"])
DRIVER = Path(__file__).with_name("page_driver.js")
BROWSER = DRIVER.with_name("page_browser.js")
CATCH = "<script>window.faults = []; onerror = (what) => { faults.push(String(what)); };</script>"


@pytest.fixture(scope="module")
def found(small):
    scheme = Scheme(**METHODS["paper"], delta_mode="exact")
    problem = small.problem(scheme=scheme)
    space = Space.of(small.model, thresholds=(0, 8), settings={"word_bits": (64, 128)})
    return small.run(problem, space=space, goals=GOALS), problem


def test_the_front_as_data(found):
    search, problem = found
    data = json.loads(json.dumps(plain(search, problem), allow_nan=False))
    assert len(data["front"]) == len(search.front)
    assert len(data["front"]) + len(data["solutions"]) == len(search.solutions)
    assert data["hypervolume"][-1] == [
        pytest.approx(len(search.solutions), abs=20),
        search.hypervolume,
    ]
    gene = data["sensitivities"][0]
    assert gene["name"] == "gru.0.x weights" and [level["value"] for level in gene["levels"]] == [
        2,
        4,
        8,
        16,
    ]
    assert gene["levels"][0]["nmse"] > gene["levels"][-1]["nmse"]


def test_a_scheme_file_is_the_solution(found, tmp_path):
    search, problem = found
    for one in search.front:
        file = tmp_path / "scheme.toml"
        file.write_text(scheme_text(search, problem, one), encoding="utf-8")
        choice = search.space.choice(one.levels)
        assert read_scheme(str(file)) == choice.scheme(problem.scheme)
    assert "# deltaloom generate --word-bits" in file.read_text()


def test_the_page_needs_nothing_else(found):
    text = page(*found, "a < b")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<link" not in text and " src=" not in text and "__DATA__" not in text
    assert text.count("</script>") == 2 and "a \\u003c b" in text


@pytest.mark.parametrize("method", ["sensitivity", "random"])
def test_the_page_works(small, tmp_path, method):
    """Clicked through by node, in a stand-in for a browser."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    problem = small.problem()
    search = small.run(problem, goals=GOALS, method=method)
    file = tmp_path / "page.html"
    file.write_text(page(search, problem, "a search"), encoding="utf-8")
    process = subprocess.run([node, DRIVER, file], capture_output=True, text=True, check=False)
    assert process.stderr == ""
    seen = json.loads(process.stdout)
    front = len(search.front)
    assert seen["svg"] and seen["charts"] == 8 + 1  # the costs, and NMSE
    assert seen["rows"] == seen["unfilteredRows"] == seen["front"] == front
    assert seen["frontDots"] == front * 9 and seen["otherDots"] == seen["solutions"] * 9
    assert all(seen[name] for name in ("first", "row", "dot", "copied"))
    assert seen["filteredRows"] == 1 < front  # only the least error is within its own
    assert seen["tip"].startswith(f"solution {front - 1}\nframe error, %: ")
    assert f"Solution {front - 1}: " in seen["chosen"] and seen["volume"] == 1
    assert seen["hidden"] == (method == "random")
    assert seen["genes"] == (6 if method == "sensitivity" else 0)


def test_the_page_in_a_browser(found, tmp_path):
    """Clicked through in headless Chromium, where it is installed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    search, problem = found
    text = page(search, problem, "a search").replace("<head>", f"<head>{CATCH}", 1)
    script = f"<script>{BROWSER.read_text(encoding='utf-8')}</script>"
    file = tmp_path / "page.html"
    file.write_text(text.replace("</body>", f"{script}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    dom = subprocess.run([chromium, *options], capture_output=True, text=True, check=True).stdout
    seen = json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)[1]))
    front = len(search.front)
    assert seen.pop("faults") == []
    assert seen.pop("rows") == seen.pop("dots") == seen.pop("unfiltered") == front
    assert seen.pop("filtered") == 1 < front
    assert seen.pop("tip").startswith(f"solution {front - 1}\nframe error, %: ")
    assert all(seen.values()), [name for name, good in seen.items() if not good]
