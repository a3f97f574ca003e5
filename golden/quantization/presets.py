# SPDX-License-Identifier: Apache-2.0
"""Schemes by name, and from TOML files.

The names are the rows of Tables 2 and 3 of "Shrink and Eliminate" (Rezk et al. 2022). A file holds
the fields of `Scheme`, a preset and a method to start from, and bits of single paths:

    preset = "M1"
    method = "gptq"
    skip = "part"
    [paths]
    "lstm.0.h" = "4/8"
    "lstm.1.h.g" = {weights = 16, activations = 16}
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import UserError
from .scheme import Bits, Scheme, check_bits

PRESETS: Mapping[str, tuple[Bits, Bits, Bits]] = {
    # weights/activations of the first layer's input, of the other recurrent-layer paths, of the FC
    "16-bit": ((16, 16), (16, 16), (16, 16)),
    "8-bit": ((8, 8), (8, 8), (8, 8)),
    "4-bit": ((4, 4), (4, 4), (4, 4)),
    "M1": ((8, 8), (2, 8), (8, 8)),
    "M2": ((8, 8), (2, 8), (4, 4)),
    "M3": ((8, 8), (2, 8), (2, 8)),
    "M4": ((2, 8), (2, 8), (2, 8)),
    "M5": ((8, 8), (4, 4), (4, 4)),
    "M6": ((8, 8), (2, 4), (4, 4)),
    "M7": ((8, 8), (2, 4), (2, 4)),
    "M8": ((4, 4), (2, 4), (2, 4)),
}
FIRST_STATE: Mapping[str, Bits] = {"M7": (4, 4), "M8": (4, 4)}
"""Of the first layer's U, or an SRU's first projection, where it differs from the second column."""
METHODS: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "granularity": "tensor",
        "clipping": "paper",
        "activation_clipping": "paper",
        "activation_range": "median",
        "activation_codes": "symmetric",
        "rounding": "nearest",
    },
    "row": {
        "granularity": "row",
        "clipping": "mmse",
        "activation_clipping": "mmse",
        "activation_range": "all",
        "activation_codes": "symmetric",
        "rounding": "nearest",
    },
    "gptq": {
        "granularity": "row",
        "clipping": "mmse",
        "activation_clipping": "mmse",
        "activation_range": "all",
        "activation_codes": "symmetric",
        "rounding": "gptq",
    },
    "auto": {
        "granularity": "row",
        "clipping": "mmse",
        "activation_clipping": "mmse",
        "activation_range": "all",
        "activation_codes": "auto",
        "rounding": "auto",
    },
}
"""How values are cut and rounded: as the paper does, a scale per row, that with GPTQ, and what
measured best for a path's bits."""

HIDDEN = ("roles", "overrides")
"""Fields of `Scheme` that a file has other words for."""
BITS_KEYS = {"weights", "activations"}


def preset(name: str, **options: Any) -> Scheme:
    """The paper's scheme `name`, with other fields of `Scheme` as given.

    As in its Tables 2 and 3, the recurrent path of the candidate keeps 16 bits in all layers,
    unless `skip` says otherwise.
    """
    return Scheme(**_merge(_preset(name), options))


def method(name: str) -> Mapping[str, Any]:
    """The fields of `Scheme` that a method sets. Raises UserError for a name that is none."""
    if name not in METHODS:
        raise UserError(f"method {name!r}: no such method; methods: {', '.join(METHODS)}")
    return METHODS[name]


def read_scheme(name: str, **options: Any) -> Scheme:
    """The preset `name`, or the scheme of a TOML file; its fields as given, where there are any.

    `overrides` among them are added to the file's.
    """
    if name.endswith(".toml"):
        found = _read_file(Path(name))
        if "overrides" in options:
            options["overrides"] = {**found.get("overrides", {}), **options["overrides"]}
        try:
            return Scheme(**_merge(found, options))
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    return preset(name, **options)


def parse_bits(text: str) -> Bits | None:
    """(4, 8) from "4/8"; None where it is anything else."""
    weights, _, activations = text.partition("/")
    if not (weights.isdecimal() and activations.isdecimal()):
        return None
    return int(weights), int(activations)


def _preset(name: str) -> dict[str, Any]:
    if name == "integer-lstm":
        raise UserError(
            f"scheme {name!r}: is a recipe of its own; `deltaloom quantize --scheme {name}` and "
            "deltaloom.quantize_integer_lstm take it"
        )
    if name not in PRESETS:
        raise UserError(
            f"scheme {name!r}: no such scheme; give a FILE.toml or one of {', '.join(PRESETS)}"
        )
    first, rest, output = PRESETS[name]
    roles = {"input": first, "first state": FIRST_STATE.get(name, rest), "output": output}
    bits = {"weight_bits": rest[0], "activation_bits": rest[1]}
    return {**bits, "roles": roles, "skip": "all"}


def _merge(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields found, and over them those given."""
    for name in ("weight_bits", "activation_bits"):
        if name in given and "roles" in found:
            raise UserError(
                f"{name}: a preset has its own bits; leave one of them out, or give single paths "
                "other bits"
            )
    return {**found, **given}


def _read_file(file: Path) -> dict[str, Any]:
    """The fields that a TOML file sets."""
    try:
        with file.open("rb") as stream:
            given = tomllib.load(stream)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not TOML ({error}); mend that line") from error
    except RecursionError as error:
        raise UserError(f"{file}: nested too deeply; write names with dots") from error
    own = {field.name: field.type for field in fields(Scheme) if field.name not in HIDDEN}
    names = ["preset", "method", *own, "paths"]
    for name, value in given.items():
        if name not in names:
            raise UserError(f"{file}: {name!r} is no setting; settings: {', '.join(names)}")
        wanted = dict if name == "paths" else int if own.get(name) is int else str
        if type(value) is not wanted:
            what = {dict: "a table", int: "a whole number", str: "a text"}[wanted]
            raise UserError(f"{file}: {name} = {value!r} is not possible, it must be {what}")
    try:
        found = _preset(given["preset"]) if "preset" in given else {}
        found.update(method(given["method"]) if "method" in given else {})
        found = _merge(found, {name: value for name, value in given.items() if name in own})
        default = (found.get("weight_bits", 8), found.get("activation_bits", 8))
        paths = _flat(given.get("paths", {}))
        found["overrides"] = {name: _bits_of(name, bits, default) for name, bits in paths.items()}
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Paths by name; a name's dots without quotes make tables within tables in TOML."""
    paths: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict) and value and not {*value} <= BITS_KEYS:
            paths.update(_flat(value, f"{prefix}{name}."))
        else:
            paths[prefix + name] = value
    return paths


def _bits_of(name: str, given: Any, default: Bits) -> Bits:
    """Bits of a path from "W/A" or {weights = W, activations = A}; those not given: the default."""
    bits: Bits | None = None
    if isinstance(given, str):
        bits = parse_bits(given)
    elif isinstance(given, dict) and given:
        bits = (given.get("weights", default[0]), given.get("activations", default[1]))
    if bits is None:
        raise UserError(
            f"path {name!r}: {given!r} is not possible, it must be like '4/8' or "
            "{weights = 4, activations = 8}"
        )
    check_bits(f" of {name}", bits)
    return bits
