# SPDX-License-Identifier: Apache-2.0
"""Whether an accelerator fits the boards: by the estimate's numbers and the boards' own."""

from dataclasses import replace

import pytest

from deltaloom.boards.board import Board
from deltaloom.boards.flow import fits
from deltaloom.boards.flow.families import family_of
from deltaloom.boards.flow.fits import check_fit, fit_boards
from deltaloom.boards.registry import BOARDS
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.estimates.area import estimate_area

CONFIG = derive_config(make_network([("lstm", 128), ("lstm", 128)], 40, seed=1))
"""149 block RAMs and 59 multipliers, as yosys finds (docs/area.md)."""


def test_every_board_has_used_and_there():
    found = {fit.board: fit for fit in fit_boards(CONFIG)}
    assert list(found) == list(BOARDS)
    for name, board in BOARDS.items():
        area = family_of(board).area(CONFIG)
        assert found[name].luts == (area.luts, board.device.luts)
        assert found[name].block_rams == (area.block_rams, board.device.brams)
        assert found[name].multipliers == (area.multipliers, board.device.dsps)
        assert found[name].sprams == (area.sprams, board.device.sprams)
        assert ("SPRAMs" in found[name].resources) == (board.family == "ice40")
    fitting = {name for name, fit in found.items() if fit.fits}
    assert fitting == {"ecpix5_85f", "orangecrab_85f", "ulx3s_85f"}


def test_what_is_surely_too_large_is_refused_by_name():
    check_fit(CONFIG, BOARDS["ulx3s_85f"])
    with pytest.raises(
        UserError,
        match=r"ulx3s_45f: the accelerator takes about 1\d\d block RAMs, there are 108: "
        "quantize to fewer bits, use fewer units or build for ecpix5_85f",
    ):
        check_fit(CONFIG, BOARDS["ulx3s_45f"])


def test_weights_in_an_sdram_fit_the_boards_that_have_it():
    config = derive_config(make_network([("gru", 16)], 8, seed=1), weight_memory="sdram_16mx16")
    fitting = {fit.board for fit in fit_boards(config) if fit.fits}
    ulx3s = {"ulx3s_12f", "ulx3s_25f", "ulx3s_45f", "ulx3s_85f"}
    assert fitting == ulx3s | {"icesugar_pro", "icepi_zero"}
    other = replace(config, weight_memory="sdram_2mx32", word_bits=32)
    wide = {fit.board for fit in fit_boards(other) if fit.fits}
    assert wide == {"colorlight_i5", "colorlight_i9", "tang_nano_20k"}
    on_chip = replace(config, weight_memory="block_ram")
    assert {fit.board for fit in fit_boards(on_chip) if fit.fits} > fitting


def test_too_little_spram_is_as_too_little_block_ram():
    """180,000 weights of 8 bits and their padding are 6 SPRAMs of 32 kB, of 4."""
    config = derive_config(make_network([("linear", 300)], 600), word_bits=8)
    with pytest.raises(
        UserError,
        match=r"^icebreaker: the accelerator takes about 6 SPRAMs, there are 4: "
        "quantize to fewer bits, use fewer units or build for ecpix5_85f$",
    ):
        check_fit(replace(config, hardwired=True, counted=False), BOARDS["icebreaker"])


@pytest.mark.parametrize(("luts", "refused"), [(1.0, False), (0.96, False), (0.9, True)])
def test_a_little_too_large_by_an_estimate_is_not_sure(monkeypatch, luts, refused):
    board: Board = BOARDS["ulx3s_85f"]
    there = int(estimate_area(CONFIG).luts * luts)
    board = replace(board, device=replace(board.device, luts=there))
    monkeypatch.setattr(fits, "BOARDS", {board.name: board})
    assert fit_boards(CONFIG)[0].fits == (luts == 1.0)
    if refused:
        with pytest.raises(UserError, match=r"LUT4s, .* use narrower weight words"):
            check_fit(CONFIG, board)
    else:
        check_fit(CONFIG, board)


def test_a_small_fpga_is_told_of_hardwired():
    config = derive_config(make_network([("ligru", 64)], 40, weight_bits=4), word_bits=16)
    with pytest.raises(UserError, match=r"LUT4s, .* put the network into the logic \(--hardwired"):
        check_fit(config, BOARDS["icebreaker"])
    check_fit(replace(config, hardwired=True, counted=False), BOARDS["tang_nano_9k"])
    one_lane = derive_config(make_network([("ligru", 64)], 40, weight_bits=4), word_bits=4)
    check_fit(replace(one_lane, hardwired=True, counted=False), BOARDS["icebreaker"])
