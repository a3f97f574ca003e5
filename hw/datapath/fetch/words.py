# SPDX-License-Identifier: Apache-2.0
"""What travels into the fetch unit, between its parts, and on to the accumulators."""

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...parts.memory import MemoryWrite
from ...words import (
    COLUMN_BITS,
    EVENT_BITS,
    LIST_BITS,
    SLOTS,
    SOURCE_BITS,
    WEIGHT_BITS,
    WORD_COUNT_BITS,
    FetchPass,
    StepTag,
    row_pass,
)
from ..events.words import BankKey

FetchJob = data.StructLayout({"pass": FetchPass, "step": StepTag})
"""A pass in a certain step, for the fetch unit."""

Round = data.StructLayout({"empty": unsigned(1), "more": unsigned(1)})
"""empty: no sums come. more: they go into M only, and the pass has another round."""

Position = data.StructLayout(
    {
        "set": unsigned(1),  # what the list has for this round is known
        "final": unsigned(1),  # the list has no more than that
        "empty": unsigned(1),  # final, and without any
        "plays": unsigned(1),  # set, and not empty
        "at_last": unsigned(1),  # the next entry ends its group
        "start": COLUMN_BITS,  # events of the rounds before
    }
)
"""Where a pass is in its list; all but `start` is known a cycle ahead."""


def row_job(slots: int = SLOTS) -> data.StructLayout:
    """A pass in a certain step, for the accumulators."""
    return data.StructLayout({"pass": row_pass(slots), "step": StepTag})


def list_answer(levels: int | None) -> data.StructLayout:
    """What a list's state was, for one of two passes.

    valid: there is an answer. following: it is for the pass that waits. closed, count: as
    `ListState` has them; least: so many events make a round of a list that still grows.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "following": unsigned(1),
            "closed": unsigned(1),
            "count": COLUMN_BITS * (levels or 1),
            "least": COLUMN_BITS + 1,
        }
    )


def entry_place(levels: int | None) -> data.StructLayout:
    """Which entry of a list comes next.

    index: in the list, or in its level. Of a list of terms, whose levels follow each other from
    the highest one down: nothing: the level has no term, and takes a beat all the same. lower: it
    is the first beat of a level below the highest.
    """
    level = {"level": range(levels or 1), "nothing": unsigned(1), "lower": unsigned(1)}
    return data.StructLayout({"index": COLUMN_BITS, **(level if levels else {})})


def entry_use(levels: int | None) -> data.StructLayout:
    """One entry of a list, for one group of rows: what it takes to make a beat of it."""
    level = {"level": range(levels or 1), "nothing": unsigned(1), "lower": unsigned(1)}
    return data.StructLayout(
        {
            "address": EVENT_BITS,
            **(level if levels else {}),
            "source": unsigned(SOURCE_BITS),
            "list": unsigned(LIST_BITS),
            "key": BankKey,
            "release": unsigned(1),  # the bank's last use; may come without an entry
            "group_base": WEIGHT_BITS,
            "first": unsigned(1),  # of its group
            "last": unsigned(1),
            "words": WORD_COUNT_BITS,  # D-words of the group
            "digits_log2": unsigned(2),  # log2 of the lanes that one weight takes
            "used": unsigned(1),  # for the first time in this pass
            "tally": unsigned(1),  # and in this step
            "products": unsigned(14),  # that the event stands for in this pass
        }
    )


def store_members(*, depth: int, word_bits: int) -> dict[str, Any]:
    """What every weight store of `depth` words has: `store`, `load` and `load_ready`."""
    address_bits = max(1, (depth - 1).bit_length())
    return {
        "store": Out(weight_store_signature(address_bits=address_bits, word_bits=word_bits)),
        "load": In(MemoryWrite(depth, word_bits)),
        "load_ready": Out(1),
    }


def weight_store_signature(*, address_bits: int, word_bits: int) -> wiring.Signature:
    """As the store sees it: `request` carries a word's address, `response` the word."""
    return wiring.Signature(
        {
            "request": In(stream.Signature(address_bits)),
            "response": Out(stream.Signature(word_bits, always_ready=True)),
        }
    )
