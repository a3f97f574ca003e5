# SPDX-License-Identifier: Apache-2.0
"""Cycle model of the weight store: how long it takes for words, and how far it may be behind."""

from ..config import AcceleratorConfig
from ..datapath.fetch.reader import REQUEST_CYCLES
from ..datapath.fetch.sdram_store import SdramStore
from ..datapath.fetch.weight_store import store_latency
from ..sdram_chips import SdramChip

OPENING = 4
"""Cycles of an SDRAM's row besides tRP: asked for, closed, opened, the next one."""

UPKEEP = 3
"""Cycles of a refresh besides tRP, tRFC and tRCD."""

_COMMANDS = 2
"""That a row takes, and that the data lines wait for where every cycle has one of theirs."""


ARRIVED = 2
"""Cycles from a group's last answer until the next group may end, besides its drain."""

FREED = 3
"""Cycles from an SDRAM's last answer until block RAM is asked: seen, counted, asked."""


class StoreModel:
    """A store of block RAM: a word a cycle, at once.

    Members
    -------
    latency: cycles from a request to its answer
    ahead: cycles that requests may be ahead of an answer's turn
    waits: cycles from a group's end until the next may end, besides those that it drains; None: it
        has drained by the next answer
    handover: cycles from its last request until another store may be asked
    """

    handover = 0

    def __init__(self, config: AcceleratorConfig) -> None:
        self.latency = store_latency(config.near_words or config.weight_words)
        self.ahead = 0
        self.waits: int | None = 0

    def of(self, word: int) -> "StoreModel":
        """The store that has this word."""
        return self

    def busy(self, count: int, columns: int) -> int:
        """Cycles for `count` words of a group's `columns`."""
        return count


class SdramModel(StoreModel):
    """A store in an SDRAM: its data lines are busy for each word, refreshes hold all up.

    Rows are opened while the lines are busy, one at a time.
    """

    def __init__(self, config: AcceleratorConfig, chip: SdramChip) -> None:
        super().__init__(config)
        timing = chip.at(config.memory_clock_mhz)
        store = SdramStore.figures(chip, config.memory_clock_mhz, config.word_bits)
        self.latency, self._beats = store.latency, store.spacing
        self.handover = store.latency + FREED
        self.ahead = store.waiting * store.spacing
        group = config.group_words(config.digit_bits)
        self.waits = None if store.spacing >= group else store.latency
        lost = UPKEEP + timing.rp + timing.rfc + timing.rcd
        self._stretch = timing.refi / (timing.refi - lost)
        self._row_columns = chip.row_words // store.spacing
        self._opening = OPENING + timing.rp
        self._left = 0.0

    def busy(self, count: int, columns: int) -> int:
        rows = min(count, columns / self._row_columns)
        lines = count * self._beats + (_COMMANDS * rows if self._beats == 1 else 0)
        self._left += max(lines, rows * self._opening) * self._stretch
        whole = int(self._left)
        self._left -= whole
        return whole


class MixedModel(StoreModel):
    """The first words in block RAM, the others in an SDRAM."""

    def __init__(self, config: AcceleratorConfig, chip: SdramChip) -> None:
        super().__init__(config)
        self._words = config.near_words
        self._near, self._far = StoreModel(config), SdramModel(config, chip)
        # Answers may come in every cycle, so that a group's end is waited for.
        at_once = config.group_words(config.digit_bits) == 1
        for store in (self._near, self._far):
            store.waits = None if at_once else REQUEST_CYCLES + store.latency + ARRIVED

    def of(self, word: int) -> StoreModel:
        return self._near if word < self._words else self._far


def store_model(config: AcceleratorConfig) -> StoreModel:
    """The model of the store that a configuration has."""
    if config.sdram is None:
        return StoreModel(config)
    return (MixedModel if config.near_words else SdramModel)(config, config.sdram)
