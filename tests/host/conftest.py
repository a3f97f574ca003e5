# SPDX-License-Identifier: Apache-2.0
"""Two small networks that fit one design, and a board in Python that holds it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deltaloom.boards.flow.design import BoardDesign
from deltaloom.boards.registry import find_board
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config


@dataclass(frozen=True)
class Project:
    """A design and the networks that fit it; `folder` is what `deltaloom build` would leave."""

    design: BoardDesign
    networks: list[Network]
    folder: Path


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    networks = [
        make_network([("lstm", 6), ("linear", 19)], 5, threshold=2),
        make_network([("lstm", 5), ("linear", 3)], 4, threshold=1),
    ]
    config = derive_config(*networks, word_bits=32)
    design = BoardDesign.of(networks[0], config, find_board("ulx3s_25f"))
    folder = tmp_path_factory.mktemp("build")
    design.save(folder, networks[0])
    return Project(design, networks, folder)


@pytest.fixture
def walk() -> np.ndarray:
    """Real features [30, 5] that change slowly."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(size=(30, 5)), axis=0) / 4
