# SPDX-License-Identifier: Apache-2.0
"""The transcripts of the Asterisk prompts as words of the pronunciation dictionary."""

import gzip
import re
from pathlib import Path

DIGITS = {
    "0": "zero",
    "1": "one",
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "6": "six",
    "7": "seven",
    "8": "eight",
    "9": "nine",
}
PRONUNCIATIONS = {  # words of the transcripts that the dictionary lacks
    "backtick": "B AE K T IH K",
    "caret": "K EH R AH T",
    "digium": "D IH JH IY AH M",
    "exclaimation": "EH K S K L AH M EY SH AH N",
    "forevermore": "F ER EH V ER M AO R",
    "fourtieth": "F AO R T IY AH TH",
    "iax": "AY EY EH K S",
    "ivr": "AY V IY AA R",
    "lowercase": "L OW ER K EY S",
    "pbx": "P IY B IY EH K S",
    "prepend": "P R IY P EH N D",
    "prepending": "P R IY P EH N D IH NG",
    "represenatives": "R EH P R AH Z EH N AH T IH V Z",
    "rerecord": "R IY R AH K AO R D",
    "semicolon": "S EH M IY K OW L AH N",
    "touchtone": "T AH CH T OW N",
    "umute": "AH N M Y UW T",
    "undelete": "AH N D AH L IY T",
    "undeleted": "AH N D AH L IY T AH D",
    "unmute": "AH N M Y UW T",
    "unmuted": "AH N M Y UW T AH D",
    "uppercase": "AH P ER K EY S",
    "waldo's": "W AO L D OW Z",
    "witheld": "W IH TH HH EH L D",
    "xray": "EH K S R EY",
}
SYMBOLS = DIGITS | {"*": "star", "#": "pound"}


def read_transcripts(path: Path) -> dict[str, str]:
    """Clip name -> normalised words, from lines of ``name: text``; comments start with ``;``."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    transcripts = {}
    for line in text.splitlines():
        name, colon, words = line.partition(":")
        if colon and not line.startswith(";"):
            transcripts[name.strip()] = normalise(words)
    return transcripts


def normalise(text: str) -> str:
    """Lower-case words; digits and keys spelled out, remarks in brackets dropped.

    >>> normalise("Press 1 now [beep], don't wait: A.M.")
    "press one now don't wait a m"
    """
    text = re.sub(r"\[.*?\]|\(.*?\)|<.*?>", " ", text.lower())
    return " ".join(SYMBOLS.get(w, w) for w in re.findall(r"[a-z]+(?:'[a-z]+)*|[0-9*#]", text))
