# SPDX-License-Identifier: Apache-2.0
"""For all tests: one thread a process for products, before NumPy is imported; no deadlines.

The products are small, tests run in several processes, and threads that wait for a busy core made
the golden model five times slower. A property test's time says how busy the machine is, no more.
"""

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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
