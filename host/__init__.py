# SPDX-License-Identifier: Apache-2.0
"""A host that talks to an accelerator: on a board, on a simulated board, or in golden.

from deltaloom.host import Accelerator

with Accelerator.open("/dev/ttyUSB0", build="build/board") as accelerator:
    outputs = accelerator.predict(features)
"""

from .accelerator import Accelerator, Throughput
from .asynchronous import AsyncAccelerator
from .driver import Counters
from .link import LinkError

__all__ = ["Accelerator", "AsyncAccelerator", "Counters", "LinkError", "Throughput"]
