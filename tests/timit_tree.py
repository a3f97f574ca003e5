# SPDX-License-Identifier: Apache-2.0
"""A small tree of TIMIT's form with made-up recordings, for tests; no data of TIMIT is in it."""

from pathlib import Path

import numpy as np

from deltaloom.golden.corpora.timit_phones import CORE_TEST, DEVELOPMENT, PHONES

RATE = 16_000
TRAIN = ("fabc0", "mxyz1", "mdef0")
SAMPLES = 3600
"""Of a sentence: 21 frames."""


def sphere(samples, **fields):
    """The bytes of a NIST SPHERE file; fields replace those of its header, None leaves one out."""
    lines = {
        "channel_count": 1,
        "sample_count": len(samples),
        "sample_rate": RATE,
        "sample_n_bytes": 2,
        "sample_byte_format": "01",
        "sample_sig_bits": 16,
    } | fields
    text = "NIST_1A\n   1024\n"
    for name, value in lines.items():
        if value is not None:
            kind = "i" if isinstance(value, int) else f"s{len(value)}"
            text += f"{name} -{kind} {value}\n"
    order = ">i2" if lines["sample_byte_format"] == "10" else "<i2"
    data = np.asarray(samples, np.int16).astype(order).tobytes()
    return (text + "end_head\n").ljust(1024).encode() + data


def phone_lines(phones, samples=SAMPLES):
    """The text of a .PHN file: equally long phones, one after the other."""
    edges = np.linspace(0, samples, len(phones) + 1).astype(int)
    return "".join(f"{a} {b} {p}\n" for a, b, p in zip(edges, edges[1:], phones, strict=False))


def make_tree(folder: Path, *, capitals=True, sentences=("SA1", "SI100", "SX5")) -> Path:
    """A whole tree: three speakers of training, all of the development and core test sets."""
    rng = np.random.default_rng(0)
    case = str.upper if capitals else str.lower
    names = sorted(PHONES)
    speakers = {"TRAIN": TRAIN, "TEST": (*CORE_TEST, *DEVELOPMENT, "mzzz0")}
    for part, members in speakers.items():
        for n, speaker in enumerate(members):
            home = folder / case(part) / case(f"dr{1 + n % 8}") / case(speaker)
            home.mkdir(parents=True)
            for sentence in sentences:
                picked = ["h#", *rng.choice(names, 5), "h#"]
                pitch = rng.uniform(100, 2000, len(picked)).repeat(SAMPLES // len(picked) + 1)
                wave = 8000 * np.sin(np.cumsum(2 * np.pi * pitch[:SAMPLES] / RATE))
                wave += rng.normal(size=SAMPLES) * 100
                (home / case(f"{sentence}.WAV")).write_bytes(sphere(wave.astype(np.int16)))
                (home / case(f"{sentence}.PHN")).write_text(phone_lines(picked))
                (home / case(f"{sentence}.TXT")).write_text(f"0 {SAMPLES} Made up.\n")
    return folder
