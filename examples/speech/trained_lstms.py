# SPDX-License-Identifier: Apache-2.0
"""The paper's table of variants, of LSTMs of the shipped one's size trained on the same speech.

    python examples/speech/prepare.py          # the data, if it is not there
    python examples/speech/trained_lstms.py    # trains what is missing, and prints the table

Each is two layers of 128 cells and a linear layer, trained by ``train.py`` and quantized by the
integer-only recipe: frame error in float and in integers, size, frames a second in golden and in
LiteRT on one core, words that differ from LiteRT's, cycles of a dense step on 64-bit weight words
by the cycle model, and what `tune` eliminates. With layer normalization, also the error without
the factor 2^10. Without ai-edge-litert its columns are empty. The plain one is shipped, and needs
neither the data nor torch: ``python examples/speech/trained_lstms.py plain``.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from integer_lstm_trained import TRAINED, VARIANTS, Row, checkpoint, float_network, measure

TRAINING = ("--epochs", "12", "--delta-epochs", "5", "--chunk", "100", "--batch", "32")
PROJECTED = 64
COLUMNS = (
    *("variant", "kB", "float", "integer-only", "frames/s, golden", "frames/s, LiteRT"),
    *("words that differ", "cycles", "with thresholds", "eliminated"),
)


def trained(cell: str, work: Path) -> Path:
    """The checkpoint, which is trained where it is not there."""
    file = checkpoint(cell, work)
    if not file.exists():
        import train  # which needs torch

        width = ("--hidden", str(PROJECTED)) if cell == "lstm_projected" else ()
        options = ("--cell", cell, "--data", str(work), "--out", str(work), *TRAINING, *width)
        if train.main(options):
            raise SystemExit(1)
    return file


def line(name: str, row: Row) -> str:
    """The table's line of a variant."""
    if row.broken_error is not None:
        name += f" (without the factor 2^10: {row.broken_error:.2f} %)"
    entries = {
        "variant": name,
        "kB": f"{row.kilobytes:.1f}",
        "float": f"{row.float_error:.2f} %",
        "integer-only": f"{row.error:.2f} %",
        "frames/s, golden": f"{row.speed:,.0f}",
        "frames/s, LiteRT": "" if row.litert_speed is None else f"{row.litert_speed:,.0f}",
        "words that differ": "" if row.differ is None else f"{row.differ} of {row.words:,}",
        "cycles": "-" if row.cycles is None else f"{row.cycles:,}",
        "with thresholds": f"{row.sparse_error:.2f} %",
        "eliminated": f"{row.eliminated:.1f} %",
    }
    return f"| {' | '.join(entries[column] for column in COLUMNS)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=TRAINED)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="default: all")
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in args.variants or VARIANTS:
        cell = VARIANTS[name]
        print(line(name, measure(float_network(cell, trained(cell, args.work)))), flush=True)


if __name__ == "__main__":
    main()
