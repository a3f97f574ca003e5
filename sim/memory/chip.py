# SPDX-License-Identifier: Apache-2.0
"""The SDRAM of `sdram.v` as an instance beside a design."""

from collections.abc import Iterable
from pathlib import Path

from ...hw.sdram_chips import SdramChip

SOURCE = Path(__file__).with_name("sdram.v")
"""The Verilog of the chip."""

PORTS = (*("cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_o", "dq_oe", "dq_i"),)
"""Of `sdram_pads`, called as a design's pins."""


def parameters(chip: SdramChip, *, clock_mhz: float, burst: int, words: int) -> dict[str, int]:
    """Parameters of `sdram_pads`: the chip behind a design of this clock.

    burst: beats of a burst. words: how many of the chip's words must be there.
    """
    return {
        "DQ": chip.dq_bits,
        "ROW": max(chip.row_bits, 11),
        "COLUMN": chip.column_bits,
        "BANK": chip.bank_bits,
        "WORDS_LOG2": max(1, (words - 1).bit_length()),
        "PERIOD": round(1e6 / clock_mhz),
        "CL": chip.at(clock_mhz).cl,
        "BURST": burst,
        **{
            name.upper(): round(1000 * getattr(chip, name))
            for name in ("power_up", "rcd", "rp", "ras", "rc", "rrd", "rfc", "wr", "refi")
        },
    }


def beat_lines(words: Iterable[int], chip: SdramChip, word_bits: int) -> str:
    """Words of a store as the chip holds them, for its file: a beat a line, the lowest first."""
    digits, mask = chip.dq_bits // 4, (1 << chip.dq_bits) - 1
    return "".join(
        f"{word >> low & mask:0{digits}x}\n"
        for word in words
        for low in range(0, word_bits, chip.dq_bits)
    )
