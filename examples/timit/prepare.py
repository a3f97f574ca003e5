# SPDX-License-Identifier: Apache-2.0
"""Make data sets out of TIMIT's folder tree: filter banks and a phone for each frame.

Writes ``train.npz``, ``dev.npz``, ``test.npz``, ``calibration.npz`` (utterances of the training
set) and ``fold.txt`` (how the phone error folds the classes).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from deltaloom.golden.corpora.timit import NORMALISATIONS, load
from deltaloom.golden.corpora.timit_phones import CLASSES, FOLD
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.storage import replacing

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = 72
"""Utterances that the paper calibrates on."""


def spread(data: Dataset, count: int) -> Dataset:
    """So many of its sequences, at equal distances."""
    count = min(count, len(data))
    return data.subset(n * len(data) // count for n in range(count))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="TIMIT's tree to data sets",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("tree", type=Path, metavar="TIMIT", help="folder with TRAIN and TEST")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "timit", help="folder")
    parser.add_argument(
        "--classes", type=int, choices=sorted(CLASSES), default=48, help="phones to learn"
    )
    parser.add_argument(
        "--normalisation",
        choices=NORMALISATIONS,
        default="speaker",
        help="over what a band's mean and deviation are taken",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Read and save; returns the exit code."""
    args = parse(argv)
    try:
        with Progress() as progress:
            task = progress.add_task("filter banks", total=1.0)
            sets = load(
                args.tree,
                classes=args.classes,
                normalisation=args.normalisation,
                progress=lambda _, part: progress.update(task, completed=part),
            )
        sets["calibration"] = spread(sets["train"], CALIBRATION)
        for part, data in sets.items():
            data.save(args.out / f"{part}.npz")
            print(f"{args.out / f'{part}.npz'}: {len(data):,} utterances, {data.frames:,} frames")
        fold = {name: FOLD[name] for name in CLASSES[args.classes] if name in FOLD}
        with replacing(args.out / "fold.txt") as temporary:
            text = "".join(f"{name} {scored}\n" for name, scored in fold.items())
            temporary.write_text(text, encoding="utf-8")
    except (UserError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
