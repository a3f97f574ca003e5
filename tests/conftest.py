# SPDX-License-Identifier: Apache-2.0
"""For all tests: how Python runs.

One thread per process for NumPy's products, before NumPy is imported: they are small, tests run in
several processes, and threads that wait for a busy core made the golden model five times slower.

Rare garbage collections: what Amaranth makes of a design is many objects that all live on, and
looking through them again and again took a quarter of the time of writing its Verilog.

No deadlines for property tests: an example's time says how busy the machine is, no more.
"""

import gc
import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
gc.set_threshold(200_000, 50, 100)
settings.register_profile("deltaloom", deadline=None)
settings.load_profile("deltaloom")


@pytest.fixture(scope="session")
def timit_tree():
    """The module timit_tree.py beside this file: `make_tree`, `sphere`, `phone_lines`."""
    file = Path(__file__).with_name("timit_tree.py")
    spec = importlib.util.spec_from_file_location("timit_tree", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
