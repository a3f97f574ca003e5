# SPDX-License-Identifier: Apache-2.0
"""What travels into the event lists and out of them."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...words import COLUMN_BITS, EVENT_BITS, LIST_BITS, UNIT_BITS

BankKey = data.StructLayout({"bank": unsigned(1), "list": unsigned(LIST_BITS)})
"""Names one bank of one list."""

TermEvent = data.StructLayout(
    {
        "j": unsigned(UNIT_BITS),
        "twice": unsigned(1),
        "negative": unsigned(1),
        "head": unsigned(1),  # the delta's highest term, which stands for the event
    }
)
"""One term of element j: +-1 or +-2 times 4**level."""


def event_layout(delta_bits: int) -> data.StructLayout:
    """One fired delta: element index j and delta d."""
    return data.StructLayout({"j": unsigned(UNIT_BITS), "d": signed(delta_bits)})


class ListWriter(wiring.Signature):
    """Appends events to one list at a time, seen from whoever writes.

    Parameters
    ----------
    delta_bits : int
        Width of a delta.

    Members
    -------
    open : out, 1 bit
        Start an empty bank: the one that `key` names, at address `base`.
    key : out, `BankKey`
    base : out, 14 bits
    push : out, 1 bit
        Append `event`; from the second cycle after `open` on.
    event : out, `event_layout(delta_bits)`
    close : out, 1 bit
        The bank is final, with an event that is pushed in this cycle.
    taken : in, 1 bit
        The bank that `key` names is final and its reader not done with it.
    """

    def __init__(self, delta_bits: int) -> None:
        super().__init__(
            {
                "open": Out(1),
                "key": Out(BankKey),
                "base": Out(EVENT_BITS),
                "push": Out(1),
                "event": Out(event_layout(delta_bits)),
                "close": Out(1),
                "taken": In(1),
            }
        )


class ListState(wiring.Signature):
    """Tells how much there is of a list, seen from whoever asks.

    Parameters
    ----------
    levels : int, optional
        Levels of a list of terms; None: it is a list of events.

    Members
    -------
    query : out, `BankKey`
        Any bank; the answer comes in the same cycle.
    closed : in, 1 bit
        It is final: no more will be appended.
    count : in, 13 bits, or 13 bits for each level
        Its events so far; or its terms of each level, level 0 in the lowest bits.
    """

    def __init__(self, levels: int | None = None) -> None:
        super().__init__(
            {"query": Out(BankKey), "closed": In(1), "count": In(COLUMN_BITS * (levels or 1))}
        )


class ListEntries(wiring.Signature):
    """Reads entries, and gives banks back, seen from whoever reads.

    Parameters
    ----------
    delta_bits : int
        Width of a delta.
    levels : int, optional
        Levels of a list of terms; None: it is a list of events.

    Members
    -------
    en : out, 1 bit
        Nothing on the way from `addr` to `data` moves without it.
    addr : out, 14 bits
    level : out, range(levels)
        Of the entry at `addr`; only of a list of terms.
    data : in, `event_layout(delta_bits)` or `TermEvent`
        The entry, two cycles with `en` later.
    release : out, 1 bit
        The reader is done with the bank `release_key`.
    release_key : out, `BankKey`
    """

    def __init__(self, delta_bits: int, levels: int | None = None) -> None:
        super().__init__(
            {
                "en": Out(1),
                "addr": Out(EVENT_BITS),
                **({"level": Out(range(levels))} if levels else {}),
                "data": In(TermEvent if levels else event_layout(delta_bits)),
                "release": Out(1),
                "release_key": Out(BankKey),
            }
        )


class ListReader(wiring.Signature):
    """Both of what a reader needs of a change detector's lists.

    Parameters
    ----------
    delta_bits, levels
        As of `ListEntries`.

    Members
    -------
    state : out, `ListState`
    entries : out, `ListEntries`
    """

    def __init__(self, delta_bits: int, levels: int | None = None) -> None:
        super().__init__(
            {"state": Out(ListState(levels)), "entries": Out(ListEntries(delta_bits, levels))}
        )
