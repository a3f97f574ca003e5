# SPDX-License-Identifier: Apache-2.0
"""What the paper's Tables 1 to 3 say, and which of it our tables say, too.

"Shrink and Eliminate" (Rezk, Nordström, Ul-Abdin, Information 2022, 13(4), 176).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

CELL_ORDER = ("lstm", "gru", "ligru", "sru")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A cell under a scheme: errors and eliminated operations in percent, with thresholds 0 and
    (`_with`) with chosen ones; size in MB.
    """

    error: float
    size_mb: float
    error_with: float
    eliminated: float
    eliminated_with: float


@dataclass(frozen=True, slots=True)
class Tables:
    """rows: by cell and scheme; skips: errors by cell, scheme and skip (Table 1)."""

    rows: Mapping[tuple[str, str], Row]
    skips: Mapping[tuple[str, str, str], float]

    def error(self, cell: str, scheme: str) -> float:
        return self.rows[cell, scheme].error


def _published() -> Tables:
    """The paper's numbers, cells in `CELL_ORDER`."""
    error_size = {  # Table 2
        "base": "14.1/54.4 15.4/53 14.5/38.2 17.2/21.2",
        "F-pt": "14.1/27.2 15.4/26.6 14.5/19.1 17.2/10.6",
        "8-bit": "14.2/14.8 15.5/14.8 14.9/10.5 16.9/5.3",
        "4-bit": "15.1/8.5 16/8.8 15.5/6.2 17.9/2.7",
        "M1": "14.7/7 15.4/7.4 16.6/5.6 17.9/2.9",
        "M2": "15.1/6 15.5/6.4 17.1/4.6 18.4/1.9",
        "M3": "15.8/5.5 15.7/5.9 17.4/4.1 18.5/1.4",
        "M4": "17.4/5.4 17.2/5.8 23.3/4.1 21.4/1.3",
        "M5": "14.6/8.6 15.5/8.9 15.4/6.2 17.4/2.7",
        "M6": "14.8/6 15.5/6.4 16.9/4.6 19.3/1.9",
        "M7": "15.8/5.7 15.7/6 17.4/4.2 19.7/1.5",
        "M8": "16.4/5.7 16.2/6 18.5/4.2 20.6/1.4",
    }
    with_thresholds = {  # Table 3: error with, eliminated, eliminated with; "-": none was found
        "8-bit": "14.4/17/56 15.5/18/56 15/48/55 16.8/20/31",
        "4-bit": "14.9/51/66 16.1/46/64 -/64/- -/55/-",
        "M1": "14.7/22/55 15.5/17/56 16.8/49/56 18.4/20/31",
        "M2": "15.1/25/57 15.6/18/57 17.2/53/56 18.8/34/45",
        "M3": "16/20/56 15.8/17/56 17.4/49/56 18.8/20/31",
        "M4": "17.6/21/56 17.3/19/57 23.9/51/57 21.5/20/33",
        "M5": "14.7/52/66 15.8/47/64 -/65/- -/56/-",
        "M6": "15.2/52/66 15.8/47/64 -/63/- -/55/-",
        "M7": "16.1/51/66 16.1/46/64 -/63/- -/55/-",
        "M8": "16.6/51/65 16.6/46/63 -/63/- -/53/-",
    }
    skips = {  # Table 1: none, all, part
        "8-bit": "16/14.2/14.4 19.3/15.5/15.6 21/14.9/14.9",
        "4-bit": "17.2/15.1/15.1 21.9/16/16.3 21.6/15.5/15.5",
    }
    rows = {}
    for scheme, text in error_size.items():
        others = with_thresholds.get(scheme, "-/0/- -/0/- -/0/- -/0/-")
        for cell, own, more in zip(CELL_ORDER, text.split(), others.split(), strict=True):
            error, size = own.split("/")
            error_with, eliminated, eliminated_with = more.split("/")
            rows[cell, scheme] = Row(
                error=float(error),
                size_mb=float(size),
                error_with=float(error if error_with == "-" else error_with),
                eliminated=float(eliminated),
                eliminated_with=float(eliminated if eliminated_with == "-" else eliminated_with),
            )
    by_skip = {}
    for scheme, text in skips.items():
        for cell, errors in zip(CELL_ORDER, text.split(), strict=False):  # not the SRU
            for skip, error in zip(("none", "all", "part"), errors.split("/"), strict=True):
                by_skip[cell, scheme, skip] = float(error)
    return Tables(rows, by_skip)


PUBLISHED = _published()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """A sentence that holds for a cell where `value` of its tables is within `rule`.

    first: instead of a rule, the cell whose value is the least ("least") or "most" of all.
    why_not: where it does not hold here, the reason.
    """

    text: str
    value: Callable[[Tables, str], float]
    at_most: float | None = None
    at_least: float | None = None
    first: tuple[str, str] | None = None
    unit: str = ""
    why_not: str = ""

    def values(self, tables: Tables) -> dict[str, float]:
        """By cell, where the tables have what it takes; rounded as it is shown."""
        found = {}
        for cell in CELL_ORDER:
            try:
                found[cell] = round(self.value(tables, cell), 1)
            except KeyError:
                continue
        return found

    def fails(self, tables: Tables) -> list[str]:
        """Cells for which it does not hold."""
        values = self.values(tables)
        if self.first is not None and values:
            cell, how = self.first
            best = (min if how == "least" else max)(values, key=lambda name: values[name])
            return [] if values[best] == values.get(cell) else [best]
        return [
            cell
            for cell, value in values.items()
            if (self.at_most is not None and value > self.at_most)
            or (self.at_least is not None and value < self.at_least)
        ]


TRENDS = (
    Trend(
        text="The LSTM has the least error of all",
        value=lambda t, c: t.error(c, "base"),
        first=("lstm", "least"),
        unit="%",
    ),
    Trend(
        text="8 bits cost at most half a point",
        value=lambda t, c: t.error(c, "8-bit") - t.error(c, "base"),
        at_most=0.5,
        unit="points",
    ),
    Trend(
        text="4 bits cost at most a point",
        value=lambda t, c: t.error(c, "4-bit") - t.error(c, "base"),
        at_most=1.0,
        unit="points",
    ),
    Trend(
        text="Path skipping takes more than a point away at 8 bits",
        value=lambda t, c: t.skips[c, "8-bit", "none"] - t.skips[c, "8-bit", "all"],
        at_least=1.0,
        unit="points",
    ),
    Trend(
        text="and at 4 bits",
        value=lambda t, c: t.skips[c, "4-bit", "none"] - t.skips[c, "4-bit", "all"],
        at_least=1.0,
        unit="points",
        why_not="Path skipping: a likely reason is that scales are static and exact here, while "
        "the paper's code rescales each product by its own largest value, the recurrent ones at "
        "every step. So there is less error in the recurrent paths that 16 bits could take away.",
    ),
    Trend(
        text="Skipping in the first layers only costs at most 0.3 points more, at 4 bits",
        value=lambda t, c: t.skips[c, "4-bit", "part"] - t.skips[c, "4-bit", "all"],
        at_most=0.3,
        unit="points",
    ),
    Trend(
        text="2-bit weights but for the first input and the output (M1) cost at most two points "
        "over 8 bits",
        value=lambda t, c: t.error(c, "M1") - t.error(c, "8-bit"),
        at_most=2.0,
        unit="points",
        why_not="2-bit weights: GPTQ takes most of their cost away, see the table above.",
    ),
    Trend(
        text="They cost the GRU least",
        value=lambda t, c: t.error(c, "M1") - t.error(c, "8-bit"),
        first=("gru", "least"),
        unit="points",
    ),
    Trend(
        text="and the LiGRU most",
        value=lambda t, c: t.error(c, "M1") - t.error(c, "8-bit"),
        first=("ligru", "most"),
        unit="points",
    ),
    Trend(
        text="2 bits for the first input (M4 over M3) cost at least a point",
        value=lambda t, c: t.error(c, "M4") - t.error(c, "M3"),
        at_least=1.0,
        unit="points",
    ),
    Trend(
        text="8 bits for the first input (M5) are no worse than 4",
        value=lambda t, c: t.error(c, "4-bit") - t.error(c, "M5"),
        at_least=0.0,
        unit="points",
    ),
    Trend(
        text="M7 is at least 85 % smaller than float",
        value=lambda t, c: 100 * (1 - t.rows[c, "M7"].size_mb / t.rows[c, "base"].size_mb),
        at_least=85.0,
        unit="%",
        why_not="Sizes: these models are small, so that the vectors' 16 bits and the skipped path "
        "weigh more.",
    ),
    Trend(
        text="Without thresholds, 4-bit activations eliminate at least 15 points more than 8-bit",
        value=lambda t, c: t.rows[c, "4-bit"].eliminated - t.rows[c, "8-bit"].eliminated,
        at_least=15.0,
        unit="points",
    ),
    Trend(
        text="The LiGRU eliminates most without thresholds, at 8 bits",
        value=lambda t, c: t.rows[c, "8-bit"].eliminated,
        first=("ligru", "most"),
        unit="%",
    ),
    Trend(
        text="The weights' bits hardly matter there: M4 within 4 points of 8-bit",
        value=lambda t, c: abs(t.rows[c, "M4"].eliminated - t.rows[c, "8-bit"].eliminated),
        at_most=4.0,
        unit="points",
    ),
    Trend(
        text="Chosen thresholds eliminate at least half at 8 bits",
        value=lambda t, c: t.rows[c, "8-bit"].eliminated_with,
        at_least=50.0,
        unit="%",
        why_not="Thresholds: half of a LiGRU's recurrent operations are skipped paths, which count "
        "as 97 % sent; Table 3 has what they really send.",
    ),
    Trend(
        text="at a cost of at most half a point",
        value=lambda t, c: t.rows[c, "8-bit"].error_with - t.rows[c, "8-bit"].error,
        at_most=0.5,
        unit="points",
    ),
    Trend(
        text="The SRU eliminates least with thresholds, at 8 bits",
        value=lambda t, c: t.rows[c, "8-bit"].eliminated_with,
        first=("sru", "least"),
        unit="%",
    ),
)
