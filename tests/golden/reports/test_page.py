# SPDX-License-Identifier: Apache-2.0
"""The page: whole, by itself, escaped, with all sections of a real network."""

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate
from deltaloom.golden.evaluation.sweep import Sweep, SweepPoint
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import Scheme, quantize_with
from deltaloom.golden.reports import page
from deltaloom.golden.reports.diagnosis import histograms
from deltaloom.golden.reports.page import Figures, Section, Table
from deltaloom.golden.reports.path_sections import histograms_section, paths_section
from deltaloom.golden.reports.paths import describe
from deltaloom.golden.reports.scheme_sections import (
    SchemeResult,
    schemes_section,
    sweep_sections,
)
from deltaloom.golden.reports.sections import (
    evaluate_sections,
    evaluation_section,
    events_section,
    quantize_sections,
    tune_sections,
    tuning_section,
)

NASTY = "<script>alert('&\"')</script>"


class Reader(HTMLParser):
    """Checks that tags close in order; keeps attributes and texts."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    return reader


def cells(section, table):
    """Rows of a section's table, by heading."""
    part = [p for p in section.parts if isinstance(p, Table)][table]
    return [dict(zip(part.headings, row, strict=True)) for row in part.rows]


@pytest.fixture(scope="module")
def quantized(make_model, make_dataset):
    """A float model with a nasty name, its statistics, network and labelled data."""
    model, data = make_model([("lstm", 6), ("linear", 3)], 5), make_dataset(5, [30, 20], 3)
    layers = (replace(model.layers[0], name=NASTY), model.layers[1])
    model = replace(model, layers=layers)
    statistics = observe(model, data)
    network = quantize_with(model, statistics, Scheme(weight_bits=4))
    return model, statistics, uniform_thresholds(network, 5), data


def test_a_page():
    table = Table(("path\nname", NASTY), [("a", "1"), (NASTY, "2")])
    text = page.page(NASTY, [Section(NASTY, [table, Figures(["<svg></svg>"])], NASTY)], NASTY)
    reader = read(text)
    assert "script" not in reader.tags
    assert reader.texts.count(NASTY) == 7
    assert reader.tags.count("svg") == 1 and reader.tags.count("td") == 4


def test_all_sections_in_one_file(quantized, tmp_path):
    model, statistics, network, data = quantized
    with Trials(network, data) as trials:
        tuning = tune(trials, "uniform", 5.0, candidates={8: (0, 4, 8)})
    sections = [
        paths_section(describe(network, model, statistics)),
        evaluation_section(network, evaluate(network, data, model)),
        histograms_section(histograms(network, model, statistics)),
        events_section(network, replace(data, names=(NASTY, "other"))),
        tuning_section(tuning),
        schemes_section({NASTY: SchemeResult(3.0, 1.5, 40.0)}, "error, %", base=2.0),
    ]
    page.write(tmp_path / "new" / "report.html", "Report", sections)
    text = (tmp_path / "new" / "report.html").read_text("utf-8")
    reader = read(text)
    for name, _ in network.paths():
        assert sum(name in words for words in reader.texts) >= 8
    assert reader.tags.count("svg") == 2 * 3 + 3
    assert not {"script", "link", "img", "iframe", "object", "base"} & {*reader.tags}
    names = {name for _, name, _ in reader.attributes}
    assert not {"src", "href", "xlink:href", "srcset"} & names
    assert not any(name.startswith("on") for name in names)
    assert "http" not in text and "url(" not in text and "@import" not in text
    assert "nan" not in text
    for heading in ("Paths", "Error and cost", "Events over time", "Delta thresholds", "Schemes"):
        assert heading in reader.texts


def test_the_tables_hold_the_numbers(quantized):
    model, statistics, network, data = quantized
    reports, evaluation = describe(network, model, statistics), evaluate(network, data, model)
    weights, activations = (cells(paths_section(reports), n) for n in (0, 1))
    for report, own, other in zip(reports, weights, activations, strict=True):
        assert own["path"] == other["path"] == report.name
        assert own["SQNR\ndB"] == f"{report.weight_sqnr:.1f}"
        assert own["kB"] == f"{report.weights / 2000:,.1f}"
        assert other["codes at\nthe rails"] == f"{report.at_rails:,}"
        assert other["threshold\ncodes"] == "5"
    section = evaluation_section(network, evaluation)
    (errors,) = cells(section, 0)
    assert errors["quantized"] == f"{evaluation.quantized_error:.2f}"
    assert errors["float"] == f"{evaluation.float_error:.2f}"
    operations, eliminated = cells(section, 1)[:2]
    assert operations["dense"] == f"{evaluation.operations_per_step_dense:,}"
    assert eliminated["thresholds 0"] == f"{evaluation.eliminated_lossless:.1f}"
    assert eliminated["with\nthresholds"] == f"{evaluation.eliminated_operations:.1f}"
    by_path = {row["path"]: row for row in cells(section, 2)}
    assert by_path["linear1.x"]["rows"] == "3"
    wanted = f"{evaluation.eliminated_by_path['linear1.x']:.1f}"
    assert by_path["linear1.x"]["eliminated\n%"] == wanted


def test_without_a_model_there_is_no_float_error(quantized):
    _, _, network, data = quantized
    (errors,) = cells(evaluation_section(network, evaluate(network, data)), 0)
    assert errors["float"] == "-"


def test_tuning_names_the_chosen_thresholds(quantized):
    _, _, network, data = quantized
    with Trials(network, data) as trials:
        tuning = tune(trials, "uniform", 100.0, candidates={8: (0, 4, 40)})
    rows = cells(tuning_section(tuning), 0)
    (chosen,) = [row for row in rows if row[""] == "chosen"]
    assert chosen["linear1.x"] == chosen[f"{NASTY}.h"] == "40"
    assert len(rows) == len(tuning.front)


def test_sections_of_each_verb(quantized):
    model, statistics, network, data = quantized
    evaluation, reports = evaluate(network, data), describe(network, model, statistics)
    with Trials(network, data) as trials:
        tuning = tune(trials, "uniform", 5.0, candidates={8: (0, 4)})
    kinds = [
        quantize_sections(network, model, statistics, reports),
        evaluate_sections(network, evaluation, data),
        evaluate_sections(network, evaluation, data, model),
        tune_sections(tuning, data),
    ]
    assert [[section.title for section in sections] for sections in kinds] == [
        ["Paths", "Weights and activations"],
        ["Error and cost", "Events over time"],
        ["Error and cost", "Events over time", "Paths", "Weights and activations"],
        ["Delta thresholds", "Events over time"],
    ]


def test_sweep():
    points = (
        SweepPoint(2, 8, 31.5, 8000, eliminated=12.5),
        SweepPoint(8, 8, 20.0, 32_000, eliminated=20.0),
    )
    (section,) = sweep_sections(Sweep(("frame error", "%"), 19.5, points))
    rows = cells(section, 0)
    assert [[*row.values()] for row in rows] == [
        ["W2 A8", "31.50", "+12.00", "12.5", "1.0"],
        ["W8 A8", "20.00", "+0.50", "20.0", "4.0"],
    ]
    assert rows[0]["frame error, %"] == "31.50"


def test_a_sweep_of_thresholds():
    points = [
        SweepPoint(8, 8, 20.0 + threshold, 8000, scheme, threshold, 10.0 * threshold)
        for scheme in ("", NASTY)
        for threshold in (1, 4)
    ]
    first, second = sweep_sections(Sweep(("NMSE", "dB"), None, tuple(points)))
    assert (first.title, second.title) == ("Delta thresholds", "Schemes, threshold 1")
    assert [[*row.values()] for row in cells(first, 0)] == [
        ["W8 A8", "1", "21.00", "-", "10.0"],
        ["W8 A8", "4", "24.00", "-", "40.0"],
        [NASTY, "1", "21.00", "-", "10.0"],
        [NASTY, "4", "24.00", "-", "40.0"],
    ]
    assert [row["scheme"] for row in cells(second, 0)] == ["W8 A8", NASTY]
    assert "dashed" not in first.note


def test_events_of_a_sequence_that_has_frames(quantized):
    _, _, network, data = quantized
    empty = np.zeros((0, 5), np.float32)
    long = np.tile(data.features[0], (30, 1))
    section = events_section(network, Dataset((empty, long), names=("none", NASTY)))
    assert NASTY in section.note
    ticks = [int(word) for word in read(section.html()).texts if word.isdecimal()]
    assert max(ticks) == 600


def test_nothing_half_written(tmp_path):
    file = tmp_path / "report.html"
    page.write(file, "first", [])
    before = file.read_text()

    class Broken:
        def html(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        page.write(file, "second", [Section("a", [Broken()])])
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"report.html: cannot be written \(.*\); name another"):
        page.write(tmp_path / "file" / "report.html", "title", [])


def test_the_same_report_twice(quantized):
    model, statistics, network, _ = quantized
    pages = [
        page.page("t", [histograms_section(histograms(network, model, statistics))])
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
