# SPDX-License-Identifier: Apache-2.0
"""The paper's sweep on text: bits of weights against bits of activations, in fixed point only.

Quantizes each network of `train.py` with each pair of widths and runs it bit for bit as the
hardware does. Writes the tables into ``docs/text.md`` and the picture beside it. What is not there
yet is prepared and trained first.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from prepare import BUILD, ROOT
from prepare import main as prepare
from rich.progress import Progress

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.sweep import Sweep, sweep
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.storage import replacing

mpl.use("svg")
from matplotlib import pyplot

BITS = (2, 3, 4, 6, 8, 16)
NAMES, CELLS = ("bible", "snippets"), ("lstm", "gru")
TITLES = {"bible": "King James Version, perplexity", "snippets": "film reviews, error in %"}
PAGE, PICTURE = ROOT / "docs" / "text.md", ROOT / "docs" / "text-bits.svg"
BEGIN, END = "<!-- by examples/text/sweep.py -->\n", "<!-- end -->\n"


def measure(name: str, cell: str, folder: Path, bits: Sequence[int]) -> tuple[FloatModel, Sweep]:
    """The float model, and the errors of the network with each pair of widths."""
    calibration, test = (
        Dataset.load(folder / f"{name}-{part}.npz") for part in ("calibration", "test")
    )
    model = import_checkpoint(folder / f"{name}-{cell}.pt")
    statistics = observe(model, calibration)
    with Progress() as progress:
        task = progress.add_task(f"{name} {cell}", total=1.0)
        found = sweep(
            model,
            statistics,
            test,
            bits,
            bits,
            progress=lambda _, part: progress.update(task, completed=part),
        )
    return model, found


def table(model: FloatModel, found: Sweep, title: str) -> str:
    """Markdown: a line for each width of weights."""
    weights = sorted({point.weight_bits for point in found.points})
    activations = sorted({point.activation_bits for point in found.points})
    errors = {(p.weight_bits, p.activation_bits): p for p in found.points}
    layer = model.layers[0]
    head = (
        f"**{title}**: {model.inputs:,} tokens, {layer.units} units, {model.outputs:,} outputs; "
        f"float {found.float_error:.2f}.\n\n"
    )
    lines = [
        "| weights | " + " | ".join(f"{bits}-bit activations" for bits in activations) + " | kB |",
        "|---" * (len(activations) + 2) + "|",
    ]
    for bits in weights:
        values = " | ".join(f"{errors[bits, other].error:.2f}" for other in activations)
        lines.append(f"| {bits} bits | {values} | {errors[bits, 16].size_bits / 8000:,.1f} |")
    return head + "\n".join(lines) + "\n"


def draw(results: dict[tuple[str, str], Sweep], file: Path) -> None:
    """A panel for each network: error over weight bits, a line for each width of activations."""
    mpl.rcParams["svg.hashsalt"] = "deltaloom"
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.5), sharex=True, layout="constrained")
    for (name, cell), panel in zip(results, axes.ravel(), strict=True):
        found = results[name, cell]
        widths = sorted({point.activation_bits for point in found.points})
        places = {bits: n for n, bits in enumerate(sorted({p.weight_bits for p in found.points}))}
        for bits in widths:
            mine = [point for point in found.points if point.activation_bits == bits]
            x = [places[point.weight_bits] for point in mine]
            panel.plot(x, [p.error for p in mine], marker="o", ms=3, label=f"A{bits}")
        panel.axhline(found.float_error, color="black", lw=0.8, ls=":", label="float")
        panel.set_title(f"{cell.upper()}, {TITLES[name]}", fontsize=10)
        panel.set_xticks([*places.values()], [f"W{bits}" for bits in places])
        panel.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8, ncols=2)
    with replacing(file) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def write_page(text: str, page: Path) -> None:
    """Put the text between the page's marks."""
    whole = page.read_text("utf-8")
    if BEGIN not in whole or END not in whole:
        raise UserError(f"{page}: lacks {BEGIN.strip()} and {END.strip()}; put them back")
    before, _, rest = whole.partition(BEGIN)
    after = rest.partition(END)[2]
    with replacing(page) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def ready(folder: Path) -> None:
    """Prepare and train what is missing."""
    from train import train

    for name in NAMES:
        if not (folder / f"{name}-words.txt").is_file() and prepare([name, "--out", str(folder)]):
            raise UserError(f"{name}: cannot be prepared")
        for cell in CELLS:
            if not (folder / f"{name}-{cell}.pt").is_file():
                train(name, cell, folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Sweep, write and draw; returns the exit code."""
    parser = argparse.ArgumentParser(description="bits of weights against bits of activations")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder of data and networks")
    parser.add_argument("--bits", default=",".join(map(str, BITS)), help="widths, 16 among them")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write the tables into")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="picture to draw")
    args = parser.parse_args(argv)
    try:
        bits = [int(word) for word in re.findall(r"\d+", args.bits)]
        ready(args.out)
        results, tables = {}, []
        for name in NAMES:
            for cell in CELLS:
                model, found = measure(name, cell, args.out, bits)
                results[name, cell] = found
                tables.append(table(model, found, f"{cell.upper()}, {TITLES[name]}"))
                print(tables[-1], flush=True)
        draw(results, args.picture)
        write_page("\n".join(tables), args.page)
    except (UserError, OSError) as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
