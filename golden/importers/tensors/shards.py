# SPDX-License-Identifier: Apache-2.0
"""safetensors files that are parts of one checkpoint, as Hugging Face's tools write them."""

import json
import re
from pathlib import Path

from ... import storage
from ...errors import UserError

INDEX = ".safetensors.index.json"
_PART = re.compile(r"(?P<stem>.*)-(?P<n>\d{1,5})-of-(?P<count>\d{1,5})\.safetensors", re.S)
_MOST_PARTS = 1000


def parts_of(file: Path) -> list[Path]:
    """The files of the checkpoint that `file` is a part or the index of; often itself alone.

    Raises UserError, which names it, where one of them is not there.
    """
    if file.name.endswith(INDEX):
        first = next(iter(sorted(set(_index(file).values()))), "")
        if not _PART.fullmatch(first) or "/" in first:
            raise UserError(f"its first part is called {first!r}, not NAME-00001-of-0000N")
        file = file.with_name(first)
    match = _PART.fullmatch(file.name)
    if match is None:
        return [file]
    count, digits = int(match["count"]), len(match["n"])
    if not 1 <= count <= _MOST_PARTS:
        raise UserError(f"its name says that it has {count} parts, 1 to {_MOST_PARTS} are read")
    names = [
        f"{match['stem']}-{n:0{digits}}-of-{match['count']}.safetensors"
        for n in range(1, count + 1)
    ]
    parts = [file.with_name(name) for name in names]
    missing = next((part for part in parts if not part.is_file()), None)
    if missing is not None:
        raise UserError(f"is one of {count} parts, and {missing.name} is not beside it; add it")
    return parts


def indexed_names(file: Path) -> set[str]:
    """Names of the tensors that the index beside a part lists; none where there is no index."""
    match = _PART.fullmatch(file.name)
    index = file.with_name(f"{match['stem']}{INDEX}") if match else None
    return set(_index(index)) if index is not None and index.is_file() else set()


def _index(file: Path) -> dict[str, str]:
    storage.check_file(file)
    try:
        found = json.loads(file.read_bytes())["weight_map"]
        if not all(isinstance(text, str) for pair in found.items() for text in pair):
            raise TypeError("a name is no text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file.name}: not an index of safetensors files ({error})") from error
    return dict(found)
