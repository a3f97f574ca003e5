# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from deltaloom.golden.cells import CELLS
from deltaloom.hw.cells.picture import page, picture

PAGE = Path(__file__).parents[3] / "docs" / "cells" / "schedules.md"


def test_the_picture_of_a_pipeline():
    (stage,) = CELLS["ligru"].stages
    assert picture(stage).splitlines() == [
        "cycle           012345",
        "a",
        "relu            =....",
        "z",
        "sigmoid         ====",
        "h",
        "sum                =",
        "mul                 =",
        "sum                  =",
    ]


def test_the_page_is_up_to_date():
    """python -m deltaloom.hw.cells.picture > docs/cells/schedules.md"""
    assert PAGE.read_text("utf-8") == page()
