# SPDX-License-Identifier: Apache-2.0
from deltaloom.boards.family.results import Usage
from deltaloom.boards.gowin.synthesis import lut_places


def test_adders_and_distributed_memories_take_places_of_luts():
    """What nextpnr reports of the benchmark's LiGRU on a Tang Nano 9K."""
    usage = {"LUT4": Usage(5044, 8640), "ALU": Usage(1210, 6480), "RAM16SDP4": Usage(91, 270)}
    assert lut_places(usage) == Usage(6982, 8640)
