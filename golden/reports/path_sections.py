# SPDX-License-Identifier: Apache-2.0
"""Sections of a report about a network's paths: their weights and activations."""

from collections.abc import Mapping, Sequence

from . import charts
from .diagnosis import PathHistograms
from .page import Figures, Section, Table
from .paths import PathReport

__all__ = ["histograms_section", "paths_section"]


def paths_section(reports: Sequence[PathReport], title: str = "Paths") -> Section:
    """Weights and activations of each path, by numbers."""
    weights = Table(
        (
            "path",
            "weight\nbits",
            "scale\n1e-3",
            "clipped\n%",
            "lost\nenergy %",
            "SQNR\ndB",
            "products'\nSQNR, dB",
            "kB",
        ),
        [
            (
                r.name,
                str(r.weight_bits),
                _between(*(1e3 * scale for scale in r.weight_scale)),
                f"{r.clipped:.2f}",
                f"{r.clip_loss:.4f}",
                f"{r.weight_sqnr:.1f}",
                f"{r.product_sqnr:.1f}",
                f"{r.kilobytes:,.1f}",
            )
            for r in reports
        ],
    )
    activations = Table(
        (
            "path",
            "activation\nbits",
            "scale\n1e-3",
            "range",
            "saturated\n%",
            "codes at\nthe rails",
            "of\nsamples",
            "SQNR\ndB",
            "threshold\ncodes",
            "sum\nbits",
        ),
        [
            (
                r.name,
                str(r.activation_bits),
                f"{1e3 * r.activation_scale:.3g}",
                f"{r.activation_range[0]:.3g} .. {r.activation_range[1]:.3g}",
                f"{r.saturated:.2f}",
                f"{r.at_rails:,}",
                f"{r.samples:,}",
                f"{r.activation_sqnr:.1f}",
                str(r.threshold),
                str(r.accumulator_bits),
            )
            for r in reports
            if not r.tokens
        ],
    )
    note = (
        "Scale: the real value of one code, from the smallest row's to the largest's. Lost energy: "
        "what clipping takes from the sum of the squared weights. SQNR: signal to quantization "
        "noise ratio; of the products on the data, about their mean. Saturated: activations beyond "
        "the last code by half a code or more; the rails are the first and the last code. kB: 1000 "
        "bytes of weights. Sum bits: what the accumulator needs, proven."
    )
    return Section(title, [weights, activations], note)


def histograms_section(by_path: Mapping[str, PathHistograms]) -> Section:
    """Weights and activations of each path with their clip points."""
    drawn = []
    for name, pair in by_path.items():
        for what, values, label in (
            ("weights", pair.weights, "weight, codes"),
            ("activations", pair.activations, "activation, real value"),
        ):
            clips = (values.low, values.high)
            title = f"{name} {what}"
            drawn.append(charts.histogram(title, values.edges, values.counts, clips, label))
    note = (
        "How many values there are (a logarithmic scale), of weights before rounding, each in "
        "codes of its row, and of activations on the data. Dashed lines: the first and the last "
        "code; what is outside is clipped to them."
    )
    return Section("Weights and activations", [Figures(drawn)], note)


def _between(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} .. {high:.3g}"
