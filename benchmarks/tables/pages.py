# SPDX-License-Identifier: Apache-2.0
"""The tables as Markdown, as records for JSON and as sections of an HTML page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cases import (
    ALLOWED,
    CELLS,
    NARROW,
    OURS,
    ROUNDS,
    SCHEMES,
    SKIPPED,
    TRIED,
    Case,
    Measured,
)
from trends import PUBLISHED, TRENDS, Row, Tables, Trend

from deltaloom.golden.quantization.presets import PRESETS
from deltaloom.golden.reports.page import Section
from deltaloom.golden.reports.scheme_sections import SchemeResult, schemes_section

POINTS = 1.5
"""What 4 bits may cost over float."""
HALF = 50.0
"""Percent of the operations that are to be eliminated, at under `ALLOWED` points."""
METHOD_NAMES = {"paper": "paper", "row": "per row", "gptq": "GPTQ"}


@dataclass(frozen=True, slots=True)
class Found:
    """All measured cases, by what tells them apart."""

    cases: Mapping[Case, Measured]

    def of(
        self, cell: str, scheme: str, method: str = "paper", skip: str = "all"
    ) -> Measured | None:
        for case, measured in self.cases.items():
            if (case.cell, case.scheme, case.method, case.skip) == (cell, scheme, method, skip):
                return measured
        return None

    def ours(self, cell: str) -> Measured | None:
        """The row of `OURS`."""
        return self.of(cell, OURS, "ours", "none")

    @property
    def published_form(self) -> Tables:
        """With operations as the paper counts them, to compare."""
        rows, skips = {}, {}
        for cell in CELLS:
            for scheme in SCHEMES:
                if (m := self.of(cell, scheme)) is not None:
                    rows[cell, scheme] = Row(
                        error=m.error,
                        size_mb=m.size_mb,
                        error_with=m.error_with,
                        eliminated=m.published,
                        eliminated_with=m.published_with,
                    )
            for scheme in SKIPPED if cell != "sru" else ():  # which has no recurrent products
                for skip in ("none", "all", "part"):
                    if (m := self.of(cell, scheme, skip=skip)) is not None:
                        skips[cell, scheme, skip] = m.error
        return Tables(rows, skips)


def records(found: Found) -> list[dict[str, Any]]:
    """One for each cell and row of Tables 2 and 3, operations as measured."""
    return [
        {
            "cell": cell,
            "scheme": scheme,
            "error": m.error,
            "error_with_thresholds": m.error_with,
            "eliminated_operations": m.eliminated,
            "eliminated_operations_with_thresholds": m.eliminated_with,
            "size_mb": m.size_mb,
            "thresholds": dict(m.thresholds),
        }
        for cell in CELLS
        for scheme in (*SCHEMES, OURS)
        if (m := found.ours(cell) if scheme == OURS else found.of(cell, scheme)) is not None
    ]


def sections(found: Found) -> list[Section]:
    """For each cell its schemes, with thresholds 0."""
    result = []
    for cell, title in CELLS.items():
        own = {r["scheme"]: r for r in records(found) if r["cell"] == cell}
        rows = {
            name: SchemeResult(r["error"], r["size_mb"] * 2**20 / 1000, r["eliminated_operations"])
            for name, r in own.items()
        }
        base = own["base"]["error"] if "base" in own else None
        if rows:
            section = schemes_section(rows, "frame error, %", base=base)
            result.append(replace(section, title=f"{title}, thresholds 0"))
    return result


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_cell(show: Callable[[str, str], str | None], scheme: str) -> list[str]:
    """What is shown of each cell under a scheme; "-" where there is nothing."""
    return [show(cell, scheme) or "-" for cell in CELLS]


def skip_table(found: Found) -> str:
    """Table 1: error / MB without skipping, with it, and in the first layers only."""
    columns = [(cell, skip) for cell in CELLS for skip in ("none", "all", "part")]

    def show(cell: str, scheme: str, skip: str) -> str:
        m = found.of(cell, scheme, skip=skip)
        return "-" if m is None else f"{m.error:.1f} / {m.size_mb:.3f}"

    return table(
        ["scheme", *(f"{CELLS[cell]} {skip}" for cell, skip in columns)],
        [[scheme, *(show(cell, scheme, skip) for cell, skip in columns)] for scheme in SKIPPED],
    )


def size_table(found: Found) -> str:
    """Table 2: bits, and error / MB."""

    def show(cell: str, scheme: str) -> str | None:
        m = found.ours(cell) if scheme == OURS else found.of(cell, scheme)
        return None if m is None else f"{m.error:.1f} / {m.size_mb:.3f}"

    def bits(scheme: str) -> list[str]:
        if scheme == "base":
            return ["32/32"] * 3
        of = PRESETS["4-bit" if scheme == OURS else SCHEMES[scheme]]
        return [f"{weights}/{activations}" for weights, activations in of]

    return table(
        ["scheme", "first input W/A", "rest W/A", "output W/A", *CELLS.values()],
        [[scheme, *bits(scheme), *by_cell(show, scheme)] for scheme in (*SCHEMES, OURS)],
    )


def operations_table(found: Found, *, published: bool) -> str:
    """Table 3: error and percent of eliminated operations, in brackets with chosen thresholds."""

    def show(cell: str, scheme: str) -> str | None:
        m = found.ours(cell) if scheme == OURS else found.of(cell, scheme)
        if m is None:
            return None
        first, then = m.eliminated, m.eliminated_with
        if published:
            first, then = m.published, m.published_with
        if not any(m.thresholds.values()):  # none costs as little as that
            return f"{m.error:.1f} {first:.0f}"
        return f"{m.error:.1f}({m.error_with:.1f}) {first:.0f}({then:.0f})"

    return table(
        ["scheme", *CELLS.values()],
        [
            [scheme, *by_cell(show, scheme)]
            for scheme in (*(name for name in SCHEMES if name != "base"), OURS)
        ],
    )


def methods_table(found: Found) -> str:
    """Errors by method of quantization."""
    columns = [(cell, method) for cell in CELLS for method in METHOD_NAMES]

    def show(cell: str, scheme: str, method: str) -> str:
        m = found.of(cell, scheme, method)
        return "-" if m is None else f"{m.error:.2f}"

    return table(
        ["scheme", *(f"{CELLS[cell]} {METHOD_NAMES[method]}" for cell, method in columns)],
        [[name, *(show(cell, name, method) for cell, method in columns)] for name in NARROW],
    )


def reached(found: Found, scheme: str) -> dict[str, bool]:
    """By cell, whether this row of 4 bits is close to float and eliminates half for little."""
    result = {}
    for cell in CELLS:
        base = found.of(cell, "base")
        m = found.ours(cell) if scheme == OURS else found.of(cell, scheme)
        if base is not None and m is not None:
            free = m.eliminated >= HALF
            paid = m.eliminated_with >= HALF and m.error_with - m.error < ALLOWED
            result[cell] = m.error - base.error <= POINTS and (free or paid)
    return result


def targets_table(found: Found) -> str:
    """4 bits against float, and what is eliminated for little."""
    rows = []
    for scheme in ("4-bit", OURS):
        for cell, met in reached(found, scheme).items():
            base = found.of(cell, "base")
            m = found.ours(cell) if scheme == OURS else found.of(cell, scheme)
            if base is None or m is None:
                continue
            rows.append(
                [
                    f"{scheme}, {CELLS[cell]}",
                    f"{base.error:.2f}",
                    f"{m.error:.2f} ({m.error - base.error:+.2f})",
                    f"{m.eliminated:.1f}",
                    f"{m.error_with:.2f} ({m.error_with - m.error:+.2f})",
                    f"{m.eliminated_with:.1f}",
                    "yes" if met else "no",
                ]
            )
    return table(
        [
            "",
            "float",
            "thresholds 0 (over float)",
            "eliminated",
            "with thresholds (over 0)",
            "eliminated",
            "met",
        ],
        rows,
    )


def trends_table(found: Found) -> str:
    """The paper's trends, in its numbers and in ours, and whether they hold."""
    ours = found.published_form
    rows, notes, verdicts = [], [], []
    for trend in TRENDS:
        fails = trend.fails(ours)
        if not trend.values(ours):
            verdict = "-"
        elif len(fails) == len(trend.values(ours)):
            verdict = "no"
        elif fails and trend.first is not None:
            verdict = f"no, the {CELLS[fails[0]]}"
        elif fails:
            verdict = "not " + ", ".join(CELLS[cell] for cell in fails)
        else:
            verdict = "yes"
        rows.append([trend.text, _numbers(trend, PUBLISHED), _numbers(trend, ours), verdict])
        if fails and trend.why_not:
            notes.append(f"- {trend.why_not}")
        verdicts.append(verdict)
    whole = verdicts.count("yes")
    partly = sum(verdict.startswith("not ") for verdict in verdicts)
    summary = (
        f"Of {len(verdicts)} trends: hold on all cells here {whole}, but for the cells that are "
        f"named {partly}, do not {len(verdicts) - whole - partly}."
    )
    trends = table(["trend", "paper", "here", "holds here"], rows)
    return "\n\n".join([summary, trends, *(["\n".join(notes)] if notes else [])])


def _numbers(trend: Trend, tables: Tables) -> str:
    return (
        " ".join(f"{v + 0:.1f}" for v in trend.values(tables).values()) + f" {trend.unit}"
    ).strip()


def page(found: Found, *, date: str, command: str) -> str:
    """docs/tables.md."""
    minutes = sum(m.seconds for m in found.cases.values()) / 60
    ladders = "; ".join(f"{bits}: {', '.join(map(str, values))}" for bits, values in TRIED.items())
    return f"""# The paper's tables on the speech models

Tables 1, 2 and 3 of "Shrink and Eliminate" (Rezk, Nordström, Ul-Abdin, Information 2022, 13(4),
176), in form and columns, on the shipped speech models: two layers of 128 units (SRU and minGRU
four) and a linear output, one direction, trained by `examples/speech`. The paper has TIMIT, models
of 550 units, both directions, and phone error rates, of the first four cells; so the levels cannot
be compared, only what changes them. Made {date} by

    {command}

{len(found.cases)} cases took {minutes:.1f} minutes of processor time; two run at a time. Errors are
frame errors in percent of the test set's scored frames. MB are 2^20 bytes; sizes count weights at
their bits, and biases, vectors and rescale multipliers at 16. Where nothing else is said,
quantization is the paper's ([quantization](quantization.md), method `paper`), with the candidate's
recurrent path skipped in all layers.

In brackets: with delta thresholds. They were chosen on the tuning set, where they may cost at most
{ALLOWED} points, by the search `greedy` ([thresholds](thresholds.md)) with {ROUNDS} round of single
steps, and evaluated on the test set. Candidates, in codes, by the activations' bits:
{ladders}, the paper's. A row without brackets has
no threshold above 0 that costs as little. `deltaloom tune` tries more candidates and rounds, and
finds more, see there. "{OURS}" is not the paper's: scales per row, GPTQ rounding and zero points,
and no path is skipped.

## Table 1: path skipping

Error / MB with the candidate's recurrent path at 16 bits in no layer, in all, and in the first half
of them (here: one of two). Thresholds are 0. SRU and minGRU have no recurrent product, so nothing
to skip.

{skip_table(found)}

## Table 2: error and size

Error / MB, thresholds 0.

{size_table(found)}

## Table 3: eliminated operations

Error and percent of the operations eliminated, as measured: of all multiply-accumulates of dense
steps, those that no event asks for, skipped paths and first steps as they are.

{operations_table(found, published=False)}

{costs(found)}

The same as the paper counts: skipped paths and operations by element eliminate 3 %, whatever they
do, and the first two steps of a sequence nothing.

{operations_table(found, published=True)}

## What was to be shown

4 bits within {POINTS} points of float, and {HALF:.0f} % of the operations or more eliminated, at
thresholds 0 or at under {ALLOWED} points more on the test set.

{targets_table(found)}

Better quantization at few bits: errors by method, thresholds 0, the same paths skipped. The paper's
has a scale per matrix; the others one per row, and GPTQ makes good each weight's rounding error by
the weights still to come.

{methods_table(found)}

{gains(found)}

## The paper's trends

Cells in the order LSTM, GRU, LiGRU, SRU; eliminated operations as the paper counts them.

{trends_table(found)}
"""


def costs(found: Found) -> str:
    """What chosen thresholds cost on data on which they were not chosen."""
    more = [m.error_with - m.error for m in found.cases.values() if any(m.thresholds.values())]
    over = sum(cost > ALLOWED for cost in more)
    mean = sum(more) / max(len(more), 1)
    return (
        f"On the test set the chosen thresholds cost {mean:+.2f} points on average of "
        f"{len(more)} cases, from {min(more, default=0):+.2f} to {max(more, default=0):+.2f}, "
        f"and more than the {ALLOWED} allowed on the tuning set in {over}. A tenth of a point is "
        "11 frames."
    )


def gains(found: Found) -> str:
    """What better methods change at 2-bit weights, on average over cells."""
    lines = []
    two_bits = [name for name in NARROW if any(weights == 2 for weights, _ in PRESETS[name])]
    for method, name in METHOD_NAMES.items():
        changes = [
            (m.error - p.error, m.error - p.error < 0)
            for scheme in two_bits
            for cell in CELLS
            if method != "paper"
            and (m := found.of(cell, scheme, method)) is not None
            and (p := found.of(cell, scheme)) is not None
        ]
        if changes:
            mean = sum(change for change, _ in changes) / len(changes)
            better = sum(less for _, less in changes)
            lines.append(
                f"- {name}: {mean:+.2f} points over the paper's on average of the schemes with "
                f"2-bit weights and all cells; lower in {better} of {len(changes)}."
            )
    return "\n".join(lines)
